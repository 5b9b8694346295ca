"""The compliance report: each kind of evidence in each state, and a page that names what it rests on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from iaclab.compliance import MET, NOT_MET, UNKNOWN, report
from iaclab.errors import LabError
from iaclab.show import policy_controls

TEST = {"package": "data.platform.quota_test", "name": "test_limit"}
PLAN = {"filename": "plan.json", "namespace": "platform.plan", "successes": 2}
AUDITED = {"auditTimestamp": "2026-11-29T08:00:00Z", "totalViolations": 0}
POLICY = {"kind": "ValidatingAdmissionPolicy", "metadata": {"name": "closed"}, "spec": {}}
FOUND = {"kind": "Pod", "namespace": "x", "name": "stray"}


def constraint(status: dict[str, Any], **spec: str) -> dict[str, Any]:
    return {"items": [{"kind": "Limit", "metadata": {"name": "gpus"}, "spec": spec, "status": status}]}


def binding(*actions: str) -> dict[str, Any]:
    spec = {"policyName": "closed", "validationActions": list(actions)}
    return {"kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "b"}, "spec": spec}


CASES = [
    ("opa-test", "platform.quota", [TEST], MET, "1 test passed"),
    ("opa-test", "platform.quota", [TEST, TEST | {"fail": True}], NOT_MET, "1 of 2 tests failed: test_limit"),
    ("opa-test", "platform.quota", [TEST | {"error": {"message": "x"}}], NOT_MET, "tests failed"),
    ("opa-test", "platform.quo", [TEST], UNKNOWN, "no test of platform.quo"),
    ("conftest", "platform.plan", [PLAN], MET, "nothing was denied in plan.json"),
    ("conftest", "platform.plan", [PLAN | {"failures": [{"msg": "too dear"}]}], NOT_MET, "too dear"),
    ("conftest", "platform.plan", [PLAN | {"successes": 0}], UNKNOWN, "no rule of platform.plan"),
    ("conftest", "platform.other", [PLAN], UNKNOWN, "no rule of platform.other"),
    ("gatekeeper", "Limit/gpus", constraint(AUDITED), MET, "in force"),
    ("gatekeeper", "Limit/gpus", constraint(AUDITED, enforcementAction="dryrun"), NOT_MET, "dryrun"),
    ("gatekeeper", "Limit/gpus", constraint(AUDITED | {"totalViolations": 1, "violations": [FOUND]}), NOT_MET,
     "found 1: Pod x/stray"),
    ("gatekeeper", "Limit/gpus", constraint({}), UNKNOWN, "not audited"),
    ("gatekeeper", "Limit/other", constraint(AUDITED), UNKNOWN, "no constraint Limit/other"),
    ("admission-policy", "closed", {"items": [POLICY, binding("Deny")]}, MET, "1 binding"),
    ("admission-policy", "closed", {"items": [POLICY, binding("Audit", "Warn")]}, NOT_MET, "no binding of it denies"),
    ("admission-policy", "closed", {"items": [POLICY]}, NOT_MET, "no binding of it denies"),
    ("admission-policy", "closed", {"items": [binding("Deny")]}, UNKNOWN, "there is no policy"),
    ("gatekeeper", "Limit/gpus", ["another shape"], UNKNOWN, "not what gatekeeper writes"),
]  # fmt: skip


def write(folder: Path, kind: str, name: str, document: object, *more: dict[str, str]) -> Path:
    (folder / "e.json").write_text(json.dumps(document))
    evidence = [{"kind": kind, "name": name, "file": "e.json"}, *more]
    control = {"id": "C1", "title": "Something <b>", "evidence": evidence}
    (folder / "controls.yaml").write_text(json.dumps({"framework": "Ours", "controls": [control]}))
    return folder / "controls.yaml"


@pytest.mark.parametrize(("kind", "name", "document", "state", "said"), CASES)
def test_what_evidence_says(tmp_path: Path, kind: str, name: str, document: object, state: str, said: str) -> None:
    made = report(write(tmp_path, kind, name, document), tmp_path)
    (control,) = made.controls
    assert (control.state, control.evidence[0].state) == (state, state)
    assert said in control.evidence[0].said
    assert control.evidence[0].sha256 == hashlib.sha256((tmp_path / "e.json").read_bytes()).hexdigest()


def test_a_control_is_as_its_worst_evidence(tmp_path: Path) -> None:
    missing = {"kind": "conftest", "name": "platform.plan", "file": "none.json"}
    controls = write(tmp_path, "opa-test", "platform.quota", [TEST], missing)
    (control,) = report(controls, tmp_path).controls
    assert [e.state for e in control.evidence] == [MET, UNKNOWN] and control.state == UNKNOWN
    controls = write(tmp_path, "opa-test", "platform.quota", [TEST | {"fail": True}], missing)
    assert report(controls, tmp_path).controls[0].state == NOT_MET
    controls.write_text(json.dumps({"framework": "Ours", "controls": [{"id": "C1", "title": "None"}]}))
    assert report(controls, tmp_path).controls[0].state == UNKNOWN


def test_the_page_and_the_picture_name_state_and_evidence(tmp_path: Path) -> None:
    controls = write(tmp_path, "opa-test", "platform.quota", [TEST])
    made = report(controls, tmp_path, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    digest = made.controls[0].evidence[0].sha256
    assert "Something &lt;b&gt;" in page and "1 test passed" in page and digest[:16] in page
    assert "1 met, 0 not met, 0 without evidence" in page
    kept = json.loads((tmp_path / "report.json").read_text())
    assert kept["controls"][0]["evidence"][0]["sha256"] == digest
    picture = policy_controls(made)
    assert "C1 met: platform.quota (opa-test) met" in picture.text
    assert "Something &lt;b&gt;" in picture.svg() and "✔ C1: met" in picture.svg()


@pytest.mark.parametrize(
    "text", ["framework: x", "[1]", "a: b: c", "controls: [{id: 1, title: t, evidence: [{kind: x}]}]"]
)
def test_a_map_that_is_none_is_one_clear_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "controls.yaml").write_text(text)
    with pytest.raises(LabError, match="is no map of controls"):
        report(tmp_path / "controls.yaml", tmp_path)


def test_no_map_at_all(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="is not there"):
        report(tmp_path / "controls.yaml", tmp_path)
