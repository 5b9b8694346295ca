"""A compliance report: controls, the policies that are there for each, and what the evidence says of them.

`controls.yaml` maps a framework's controls to evidence. The evidence files are what the tools themselves wrote:
`opa test --format json`, `conftest test --output json`, `kubectl get constraints -o json`, and `kubectl get
validatingadmissionpolicies,validatingadmissionpolicybindings -o json`.
"""

from __future__ import annotations

import datetime
import hashlib
import html
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import yaml

from iaclab.errors import LabError

MET, NOT_MET, UNKNOWN = "met", "not met", "without evidence"
_MARK = {MET: ("✔", "#1a7f37"), NOT_MET: ("✘", "#cf222e"), UNKNOWN: ("?", "#9a6700")}
Verdict = tuple[str, str]  # state, and what the evidence says


@dataclass(frozen=True)
class Evidence:
    """One policy of a control: `said` is what its file says, `sha256` and `time` are the file's."""

    kind: str
    name: str
    file: str
    state: str
    said: str
    sha256: str
    time: str


@dataclass(frozen=True)
class Control:
    """A control with its state: the worst of its evidence."""

    id: str
    title: str
    state: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True)
class Report:
    """All controls of a framework, as they were found at `time` (UTC)."""

    framework: str
    time: str
    controls: tuple[Control, ...]


def report(controls: str | Path, evidence: str | Path, page: str | Path | None = None) -> Report:
    """Judge every control, and write the report as `page` (HTML) with the same content as JSON beside it.

    Args:
        controls: the YAML file that maps controls to evidence.
        evidence: the folder with the tools' answers.
        page: where the report goes; None writes nothing.

    Raises:
        LabError: the map cannot be read.
    """
    framework, entries = _read(Path(controls))
    folder = Path(evidence)
    judged = []
    for entry in entries:
        found = tuple(_judge(folder, item) for item in entry.get("evidence") or [])
        judged.append(Control(str(entry["id"]), str(entry["title"]), _worst(found), found))
    made = Report(framework, _now(), tuple(judged))
    if page is not None:
        Path(page).write_text(render(made))
        Path(page).with_suffix(".json").write_text(json.dumps(asdict(made), indent=1))
    return made


def _read(path: Path) -> tuple[str, list[dict[str, Any]]]:
    try:
        loaded = yaml.safe_load(path.read_text())
        entries = list(loaded["controls"])
        for entry in entries:
            entry["id"], entry["title"]
            for item in entry.get("evidence") or []:
                item["file"], item["name"], _KINDS[item["kind"]]
        return str(loaded["framework"]), entries
    except FileNotFoundError as error:
        raise LabError(f"{path} is not there.", mend=f"ls {path.parent}") from error
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise LabError(
            f"{path} is no map of controls.",
            why=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}. It needs `framework` and `controls`, "
            f"each with `id`, `title` and `evidence`: a list of `kind` ({', '.join(_KINDS)}), `file` and `name`.",
            mend=f"iaclab lint {path}",
        ) from error


def _judge(folder: Path, item: dict[str, str]) -> Evidence:
    path = folder / item["file"]
    try:
        raw = path.read_bytes()
        state, said = _KINDS[item["kind"]](json.loads(raw), item["name"])
    except FileNotFoundError:
        return Evidence(item["kind"], item["name"], item["file"], UNKNOWN, "the file is not there", "", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        state, said = UNKNOWN, f"the file is not what {item['kind']} writes ({type(error).__name__})"
    time = datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
    digest = hashlib.sha256(raw).hexdigest()
    return Evidence(item["kind"], item["name"], item["file"], state, said, digest, _stamp(time))


def _opa_test(document: Any, name: str) -> Verdict:
    """The tests of a package, or of the package with `_test` after its name."""
    wanted = {f"data.{name}", f"data.{name}_test"}
    ours = [test for test in document or [] if test["package"] in wanted]
    failed = [test["name"] for test in ours if test.get("fail") or test.get("error")]
    if not ours:
        return UNKNOWN, f"no test of {name} was run"
    if failed:
        return NOT_MET, f"{len(failed)} of {len(ours)} tests failed: {', '.join(failed)}"
    return MET, f"{len(ours)} test{'s' * (len(ours) > 1)} passed"


def _conftest(document: Any, name: str) -> Verdict:
    ours = [entry for entry in document or [] if entry["namespace"] == name]
    denied = [failure["msg"] for entry in ours for failure in entry.get("failures") or []]
    if denied:
        return NOT_MET, "; ".join(denied[:3])
    asked = sum(entry.get("successes", 0) for entry in ours)
    if not asked:  # a package without rules has nothing to say
        return UNKNOWN, f"no rule of {name} was asked"
    return MET, f"nothing was denied in {', '.join(sorted({entry['filename'] for entry in ours}))}"


def _gatekeeper(document: Any, name: str) -> Verdict:
    kind, _, own = name.partition("/")
    items = [item for item in document["items"] if item["kind"] == kind and item["metadata"]["name"] == own]
    if not items:
        return UNKNOWN, f"there is no constraint {name}"
    status, action = items[0].get("status") or {}, items[0]["spec"].get("enforcementAction", "deny")
    if "totalViolations" not in status:
        return UNKNOWN, "it was not audited yet"
    if action != "deny":
        return NOT_MET, f"it does not refuse anything: enforcementAction {action}"
    if count := int(status["totalViolations"]):
        who = ", ".join(
            f"{v['kind']} {v.get('namespace', '')}/{v['name']}" for v in (status.get("violations") or [])[:3]
        )
        return NOT_MET, f"the audit found {count}: {who}"
    return MET, f"in force, nothing found by the audit of {status['auditTimestamp']}"


def _admission_policy(document: Any, name: str) -> Verdict:
    kinds = {item["kind"] for item in document["items"] if item["metadata"]["name"] == name}
    if "ValidatingAdmissionPolicy" not in kinds:
        return UNKNOWN, f"there is no policy {name}"
    bindings = [item["spec"] for item in document["items"] if item["spec"].get("policyName") == name]
    if not any("Deny" in binding.get("validationActions", []) for binding in bindings):
        return NOT_MET, "no binding of it denies"
    return MET, f"in force, {len(bindings)} binding{'s' * (len(bindings) > 1)}"


_KINDS: dict[str, Callable[[Any, str], Verdict]] = {
    "opa-test": _opa_test,
    "conftest": _conftest,
    "gatekeeper": _gatekeeper,
    "admission-policy": _admission_policy,
}


def _worst(found: tuple[Evidence, ...]) -> str:
    states = {evidence.state for evidence in found} or {UNKNOWN}
    return next(state for state in (NOT_MET, UNKNOWN, MET) if state in states)


def _now() -> str:
    return _stamp(datetime.datetime.now(datetime.UTC))


def _stamp(time: datetime.datetime) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC")


def render(made: Report) -> str:
    """The report as one HTML page without anything from elsewhere."""
    say = html.escape
    count = {state: sum(control.state == state for control in made.controls) for state in _MARK}
    summary = ", ".join(f"{number} {state}" for state, number in count.items())
    rows = []
    for control in made.controls:
        mark, colour = _MARK[control.state]
        lines = [
            f"<li><b>{say(e.kind)}</b> {say(e.name)}: {say(e.state)}. {say(e.said)}"
            f"<br><small>{say(e.file)} {say(e.time)} <code>{say(e.sha256[:16] or 'no file')}</code></small></li>"
            for e in control.evidence
        ]
        rows.append(
            f"<tr><td>{say(control.id)}</td><td>{say(control.title)}</td>"
            f'<td style="color:{colour};white-space:nowrap">{mark} {control.state}</td>'
            f'<td><ul style="margin:0;padding-left:1em">{"".join(lines) or "<li>none is named</li>"}</ul></td></tr>'
        )
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{say(made.framework)}</title>\n'
        f"<h2>{say(made.framework)}</h2>\n<p>{say(made.time)}: {summary}.</p>\n"
        '<table style="text-align:left;border-spacing:12px 4px"><thead><tr><th>control</th><th>what it asks</th>'
        "<th>state</th><th>evidence</th></tr></thead>\n<tbody>\n" + "\n".join(rows) + "\n</tbody></table></html>\n"
    )
