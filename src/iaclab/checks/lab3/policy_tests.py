"""The tests of the policies: `opa test` on the policies as they are, and on policies that are wrong."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

from iaclab.checks.lab3 import running
from iaclab.checks.lab3.proof import Proof
from iaclab.errors import LabError

COVERAGE = 90  # per cent of the policies' lines
_RULE = re.compile(r"^(deny|violation)(\s+contains\b)", re.MULTILINE)
_PACKAGE = re.compile(r"^package\s+([\w.]+)", re.MULTILINE)
_NOTHING = "policies that refuse nothing"
_EVERYTHING = "policies that refuse everything"
_RULES = "policies without one of their rules"
_UNSEEN = f"coverage below {COVERAGE} %"


def proof() -> Proof:
    """What the tests notice; a failure on the policies as they are is a false alarm.

    Raises:
        LabError: there are no policies, or no tests of them.
    """
    files = {name: content.decode(errors="replace") for name, content in running.taken("policy/**/*.rego").items()}
    policies = {name for name in files if not name.endswith("_test.rego")}
    if not policies or len(policies) == len(files):
        raise LabError("policy needs policies, and tests in files that end in _test.rego")
    rules = [(name, match) for name in sorted(policies) for match in _RULE.finditer(files[name])]
    if not rules:
        raise LabError("no policy has a rule `deny contains … if`")
    variants = {"": files, _NOTHING: _silent(files, policies), _EVERYTHING: _strict(files, policies)}
    for number, (name, match) in enumerate(rules):
        text = files[name]
        without = f"{text[: match.start()]}unused_{number}{match[2]}{text[match.end() :]}"
        variants[f"{_RULES} {number}"] = files | {name: without}
    codes, coverage = _run(variants, policies)
    if codes[""]:
        return Proof(4, (_NOTHING, _EVERYTHING, _RULES, _UNSEEN), ("the policies as they are",))
    missed = [what for what in (_NOTHING, _EVERYTHING) if codes[what] == 0]
    unnoticed = [rules[n] for n in range(len(rules)) if codes[f"{_RULES} {n}"] == 0]
    if unnoticed:
        name, match = unnoticed[0]
        line = files[name].count("\n", 0, match.start()) + 1
        missed.append(f"{_RULES} ({len(unnoticed)} of {len(rules)} are not noticed, first {name}:{line})")
    if coverage < COVERAGE or _NOTHING in missed:  # what runs without being asked about is not tested
        missed.append(
            f"{_UNSEEN} ({coverage:.0f} %)" if coverage < COVERAGE else "lines that run and are not asked about"
        )
    return Proof(4, tuple(missed), ())


def _silent(files: dict[str, str], policies: set[str]) -> dict[str, str]:
    """Every rule that refuses is there, and refuses nothing."""
    body = '\n\ndeny contains "nothing" if input.there_is_no_such_field\n'
    return {n: _RULE.sub(r"unused\2", text) + (body if n in policies else "") for n, text in files.items()}


def _strict(files: dict[str, str], policies: set[str]) -> dict[str, str]:
    return {
        n: text + ('\n\ndeny contains "everything" if true\n' if n in policies else "") for n, text in files.items()
    }


def _run(variants: dict[str, dict[str, str]], policies: set[str]) -> tuple[dict[str, int], float]:
    """The exit code of `opa test` for each variant, and the coverage of the policies as they are.

    Its output goes nowhere: what a policy prints must not look like a code.
    """
    opa = f"'{running.tool('opa')}' test --capabilities ../capabilities.json --timeout 10s policy"
    with tempfile.TemporaryDirectory(prefix="iaclab-policy-") as scratch:
        folder = running.put(Path(scratch), {"capabilities.json": running.capabilities()})
        for number, files in enumerate(variants.values()):
            running.put(folder / str(number), files)
        loop = f"for n in $(seq 0 {len(variants) - 1}); do (cd $n && {opa} >/dev/null 2>&1); echo $?; done"
        done = running.run(["/bin/sh", "-c", loop], folder, timeout=120)
        codes = dict(zip(variants, map(int, done.stdout.split()), strict=True))
        counted = running.run(["/bin/sh", "-c", f"cd 0 && {opa} --coverage --format json"], folder)
    return codes, _coverage(counted.stdout, policies) if codes[""] == 0 else 0


def _coverage(report: str, policies: set[str]) -> float:
    try:
        files = json.loads(report)["files"]
    except (ValueError, KeyError, TypeError):
        return 0
    counts = [
        (files[name].get("covered_lines", 0), files[name].get("not_covered_lines", 0))
        for name in files
        if name in policies
    ]
    covered, all_lines = sum(c for c, _ in counts), sum(c + n for c, n in counts)
    return 100 * covered / all_lines if all_lines else 0
