"""Policy checks: every policy in the server's folder `policies`, asked about the JSON plan.

A Sentinel policy set is a folder with a sentinel.hcl (module `sentinel`). A `*.rego` file is asked for `deny`; it says
its enforcement level in OPA's own metadata comment::

    # METADATA
    # description: A notebook gets four GPUs at most.
    # custom:
    #   enforcement_level: hard-mandatory     (or soft-mandatory, advisory)
    package terraform.policies.gpu_limit

    deny contains message if { … input.plan.resource_changes … }
"""

from __future__ import annotations

import importlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iaclab.tfe import sentinel

LEVELS = ("hard-mandatory", "soft-mandatory", "advisory")


@dataclass(frozen=True)
class Verdict:
    """What one policy says: `denied` are its messages; `error` says why it could not be evaluated."""

    name: str
    level: str
    description: str
    denied: tuple[str, ...] = ()
    error: str = ""

    @property
    def passed(self) -> bool:
        """Whether it was evaluated and denies nothing."""
        return not self.denied and not self.error


@dataclass(frozen=True)
class Outcome:
    """A whole policy check: `status` as in the API (passed, soft_failed, hard_failed, errored)."""

    status: str
    result: dict[str, Any]
    log: str


def policies(folder: Path) -> list[Path]:
    """Rego's policy files, by name, without tests (`*_test.rego`), and the folders of Sentinel's policy sets."""
    return [*_rego(folder), *sentinel.sets(folder)]


def _rego(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("*.rego") if not p.name.endswith("_test.rego"))


def check(folder: Path, document: dict[str, Any]) -> Outcome:
    """Evaluate every policy in `folder`; `document` is Rego's `input`, with the plan and the run."""
    started = time.monotonic()
    asked = [evaluate(path, document) for path in _rego(folder)]
    sets = sentinel.check(folder, document)
    verdicts = [*asked, *_sentinel(sets)]
    failed = {level: sum(bool(v.denied) and v.level == level for v in verdicts) for level in LEVELS}
    hard, soft, advisory = (failed[level] for level in LEVELS)
    if any(v.error for v in verdicts):
        status = "errored"
    else:
        status = "hard_failed" if hard else "soft_failed" if soft else "passed"
    result: dict[str, Any] = {
        "result": status == "passed",
        "passed": sum(v.passed for v in verdicts),
        "total-failed": hard + soft + advisory,
        "hard-failed": hard,
        "soft-failed": soft,
        "advisory-failed": advisory,
        "duration": round((time.monotonic() - started) * 1000),
    }
    log = _log(asked, status == "passed") if asked or not sets else ""
    if sets:
        result["sentinel"] = sentinel.document(sets)
        log += ("\n" if log else "") + sentinel.log(sets, status == "passed")
    return Outcome(status, result, log)


def _sentinel(sets: list[sentinel.Set]) -> list[Verdict]:
    """What Sentinel's policies say, as verdicts: a policy that does not pass denies."""
    found = [Verdict(entry.name, "hard-mandatory", "", error=entry.error) for entry in sets if entry.error]
    for entry in sets:
        for policy in entry.policies:
            denied = () if policy["result"] or policy["error"] else ("false",)
            found.append(Verdict(policy["policy"], policy["level"], "", denied, policy["error"] or ""))
    return found


def evaluate(path: Path, document: dict[str, Any]) -> Verdict:
    """What the policy in `path` says of `document`; never raises for a wrong policy."""
    name = path.stem
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        return Verdict(name, "advisory", "", error=f"{path.name} cannot be read: {error}")
    try:
        level, description = _metadata(text)
    except ValueError as error:
        return Verdict(name, "advisory", "", error=str(error))
    package = re.search(r"^package\s+([\w.]+)", text, re.MULTILINE)
    if not package:
        return Verdict(name, level, description, error="it has no package")
    try:
        regopy: Any = importlib.import_module("regopy")
    except ImportError:
        return Verdict(name, level, description, error="Rego needs the Python package regopy: pip install regopy")
    try:
        rego = regopy.Interpreter()
        rego.add_module(path.name, text)
        rego.set_input(document)
        output = rego.query(f"data.{package[1]}.deny")
        denied = next((value for result in output.results for value in result.expressions), None)
    except Exception as error:  # rego-cpp's own errors, and whatever a strange policy does to it
        return Verdict(name, level, description, error=_short(str(error)))
    if not isinstance(denied, list):
        return Verdict(name, level, description, error="it has no rule `deny` that yields a set of messages")
    return Verdict(name, level, description, tuple(sorted(str(message) for message in denied)))


def _metadata(text: str) -> tuple[str, str]:
    block = re.search(r"^# METADATA[ \t]*\n((?:#.*\n)+)", text, re.MULTILINE)
    try:
        found = yaml.safe_load(re.sub(r"^# ?", "", block[1], flags=re.MULTILINE)) if block else {}
        level = (found.get("custom") or {}).get("enforcement_level", "advisory")
        description = str(found.get("description") or found.get("title") or "")
    except (yaml.YAMLError, AttributeError) as error:
        raise ValueError(f"its metadata is not YAML: {error}") from error
    if level not in LEVELS:
        raise ValueError(f"its enforcement_level '{level}' is none of {', '.join(LEVELS)}")
    return level, description


def _short(error: str) -> str:
    """The messages in rego-cpp's syntax tree of an error."""
    found = re.findall(r"\(errormsg \d+:(.*?)\)\n", error)
    return "; ".join(dict.fromkeys(found)) or error.strip()[:300]


def _log(verdicts: list[Verdict], passed: bool) -> str:
    lines = [f"Policy result: {str(passed).lower()}", "", f"Policies evaluated (Rego): {len(verdicts)}"]
    for number, verdict in enumerate(verdicts, 1):
        lines += ["", f"## Policy {number}: {verdict.name} ({verdict.level})"]
        lines += [verdict.description] if verdict.description else []
        lines += [f"Result: {'error' if verdict.error else str(verdict.passed).lower()}"]
        lines += [f"  - {message}" for message in verdict.denied or filter(None, [verdict.error])]
    return "\n".join(lines) + "\n"
