"""Checks of Sentinel, of the hook before a commit, of the report, and of who may read and deploy what."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from iaclab import tools
from iaclab.checks.policy import ask
from iaclab.checks.policy.admission import pod
from iaclab.checks.record import Check
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_TODAY, _LAST, _AFTER = "2026-06-01", "2026-06-30", "2026-07-01"


def _run(command: list[str], folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    whole = {**os.environ, **env}
    return subprocess.run(command, cwd=folder, env=whole, capture_output=True, text=True, timeout=120)


_COST = {  # what is changed for the worse in cost.sentinel
    "< for <=": ("total() <= limit", "total() < limit"),
    "the last pool only": ("sum += ", "sum = "),
    "true": ("total() <= limit", "true"),
}


def _sentinel(_: Profile) -> dict[str, Any]:
    """How the learner's cases judge cost.sentinel, and which changes of it they do not notice."""
    policies = Path("sentinel/policies")
    text = (policies / "cost.sentinel").read_text()
    for old, _new in _COST.values():
        if old not in text:
            raise LabError(f"cost.sentinel has no {old.strip()!r} any more: write tests, and leave this line as it is")
    cases = list((policies / "test" / "cost").glob("*.hcl"))
    if not cases:
        raise LabError("there is no case sentinel/policies/test/cost/*.hcl")
    survived = [name for name, (old, new) in _COST.items() if _tests_pass(policies, text.replace(old, new))]
    return {"own tests": "pass" if _tests_pass(policies, text) else "fail", "survived": survived}


def _tests_pass(policies: Path, cost: str) -> bool:
    """Whether the cases of cost.sentinel pass when this is its text."""
    with tempfile.TemporaryDirectory() as base:
        folder = Path(shutil.copytree(policies, Path(base, "policies")))
        (folder / "cost.sentinel").write_text(cost)
        return _run([sys.executable, "-P", "-m", "iaclab.sentinel", "test", "cost.sentinel"], folder).returncode == 0


def _job(name: str, *variables: dict[str, Any]) -> str:
    container = {"name": "train", "image": "registry.course.local/train:4", "env": list(variables)}
    spec = {"template": {"spec": {"restartPolicy": "Never", "containers": [container]}}}
    return json.dumps({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec})


def _hook(_: Profile) -> dict[str, Any]:
    repository = Path("ci")
    if not (repository / ".git").exists():
        raise LabError("ci is no repository")
    reference = {"secretKeyRef": {"name": "s", "key": "k"}}
    cases = {
        "a key": _job("a", {"name": "API_KEY", "value": "x"}),
        "a password": _job("b", {"name": "DB_PASSWORD", "value": "x"}),
        "an empty token": _job("c", {"name": "HF_TOKEN", "value": ""}),
        "a reference": _job("d", {"name": "API_KEY", "valueFrom": reference}),
        "another name": _job("e", {"name": "KEYBOARD", "value": "x"}),
    }
    with tempfile.TemporaryDirectory() as base:
        clone = Path(base, "clone")
        subprocess.run(["git", "clone", "-q", str(repository.absolute()), str(clone)], check=True, capture_output=True)
        hook = repository / ".git" / "hooks" / "pre-commit"
        on = os.access(hook, os.X_OK)
        if on:
            shutil.copy2(hook, clone / ".git" / "hooks" / "pre-commit")
        found = {name: _commits(clone, text) for name, text in cases.items()}
        tested = any("secret" in path.name for path in (clone / "policy").glob("*_test.rego"))
    return {"hook on": on, "a test is committed": tested} | found


def _commits(clone: Path, manifest: str) -> bool:
    """Whether a manifest can be committed in a clone; the clone is as before afterwards."""
    (clone / "manifests" / "check.yaml").write_text(manifest)
    who = ["-c", "user.name=check", "-c", "user.email=check@course.local"]
    path = os.pathsep.join([str(tools.bin_dir()), str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    subprocess.run(["git", "add", "-A"], cwd=clone, check=True, capture_output=True)
    done = _run(["git", *who, "commit", "-qm", "check"], clone, PATH=path, PRE_COMMIT_HOME=str(clone.parent / "cache"))
    back = ["git", "reset", "-q", "--hard", "origin/HEAD"]
    subprocess.run(back, cwd=clone, check=True, capture_output=True)
    return done.returncode == 0


def _compliant(profile: Profile) -> dict[str, Any]:
    from iaclab.compliance import report

    written = json.loads(Path("audit/report.json").read_text())
    with tempfile.TemporaryDirectory() as base:  # what the systems say now, not what was written
        folder = Path(shutil.copytree("audit/evidence", Path(base, "evidence")))
        (folder / "tests.json").write_text(ask.opa("test", "audit/policy", "--format=json").stdout)
        for name, kinds in (
            ("constraints", "constraints"),
            ("policies", "validatingadmissionpolicies,validatingadmissionpolicybindings"),
        ):
            (folder / f"{name}.json").write_text(ask.kubectl(profile, "get", kinds, "-o", "json").stdout)
        binary = str(tools.ensure("conftest")["conftest"])
        command = [binary, "test", "--output=json", "--policy=audit/policy", "--all-namespaces", "audit/input.json"]
        (folder / "plan.json").write_text(_run(command, Path()).stdout)
        now = report("audit/controls.yaml", folder)
    large = ask.plan(ask.change("gpu_node_pool", "huge", {"name": "huge", "total_gpus": 100_000}))
    denied = ask.decide(["audit/policy"], "data.platform.capacity.deny", large)
    return {
        **{control.id: control.state for control in now.controls},
        "report": ", ".join(sorted({control["state"] for control in written["controls"]})),
        "100,000 GPUs": "denied" if denied else "not denied",
    }


def _access(_: Profile) -> dict[str, Any]:
    def ask_for(team: str, dataset: str = "clicks", **more: object) -> bool:
        question: dict[str, object] = {"team": team, "dataset": dataset, "region": "eu-west-1"}
        question |= {"purpose": "training", "subject": {"kind": "job"}, "today": _TODAY, **more}
        files = ["access/access.rego", "access/data.json"]
        said = {key: value for key, value in question.items() if value is not None}
        return bool(ask.decide(files, "data.data_access.allow", said))

    return {
        "before the end": ask_for("vision"),
        "without a date": ask_for("vision", today=None),
        "on the last day": ask_for("vision", today=_LAST),
        "after it": ask_for("vision", today=_AFTER),
        "without an end": ask_for("ranking", today=_AFTER),
        "another dataset": ask_for("ranking", "profiles", today=_AFTER),
        "without a grant": ask_for("nobody"),
    }


def _provenance(profile: Profile) -> dict[str, Any]:
    given = json.loads(Path("models/statements.json").read_text())

    def deploy(token: str) -> str:
        document = pod("models", "check-model")
        document["metadata"]["annotations"] = {"course.local/provenance": token}
        document["spec"]["containers"][0]["image"] = given["image"]
        return "admitted" if ask.admitted(profile, document)[0] else "refused"

    return {name or "no dataset": deploy(token) for name, token in given["statements"].items()} | {
        "signed by another": deploy(given["other"])
    }


def _mended(profile: Profile) -> dict[str, Any]:
    ours, theirs = "registry.course.local/ledger:1", "docker.io/someone/ledger:1"

    def deploy(*images: str) -> str:
        containers = [{"name": f"c{place}", "image": image} for place, image in enumerate(images)]
        template = {"metadata": {"labels": {"app": "check"}}, "spec": {"containers": containers}}
        document = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "check", "namespace": "payments"},
            "spec": {"selector": {"matchLabels": {"app": "check"}}, "template": template},
        }
        return "admitted" if ask.admitted(profile, document)[0] else "refused"

    return {"ours": deploy(ours, ours), "theirs": deploy(theirs), "theirs beside ours": deploy(ours, theirs)}


CHECKS = {
    "sentinel": Check(
        title="the cases of cost.sentinel pass, and notice each change for the worse",
        needs=(),
        probe=_sentinel,
        expect=lambda seen: seen == {"own tests": "pass", "survived": []},
        hints=(
            "Costs of exactly the limit tell < from <=; two pools that cost too much only together tell the rest.",
            "planned_values.resources needs two pools with type and values.hourly_cost: one case 6 and 4, one 6 and 5.",
            'mock "tfplan/v2" { data = { planned_values = { resources = { "a" = { type = "mlplatform_gpu_node_pool", '
            "values = { hourly_cost = 6 } } } } } }",
        ),
    ),
    "hook": Check(
        title="a key, token or password with a value cannot be committed, a reference can",
        needs=(),
        probe=_hook,
        expect=lambda seen: (
            seen
            == {
                "hook on": True,
                "a test is committed": True,
                "a key": False,
                "a password": False,
                "an empty token": False,
                "a reference": True,
                "another name": True,
            }
        ),
        hints=(
            "The rule and its test have to be committed: the check looks at a clone.",
            'regex.match(`_(KEY|TOKEN|PASSWORD)$`, variable.name), and "value" in object.keys(variable).',
            "policy/secrets.rego and policy/secrets_test.rego; git add policy; git commit -m Secrets",
        ),
    ),
    "compliant": Check(
        title="all five controls are met, now and in the report",
        needs=("gatekeeper",),
        within=30,
        probe=_compliant,
        expect=lambda seen: (
            all(seen[name] == "met" for name in ("CC6.1", "CC6.6", "CC7.1", "CC8.1", "A1.1", "report"))
            and seen["100,000 GPUs"] == "denied"
        ),
        hints=(
            "The report names what the audit found, and which rule was never asked.",
            "Delete the pod in default; write audit/policy/capacity.rego; ./collect; then the report once more.",
            "package platform.capacity; deny contains message if { some change in input.resource_changes; "
            "change.change.after.total_gpus > 64; … }",
        ),
    ),
    "data-access": Check(
        title="a grant holds to its last day and not longer, one without an end holds on",
        needs=(),
        probe=_access,
        expect=lambda seen: (
            seen
            == {
                "before the end": True,
                "without a date": False,
                "on the last day": True,
                "after it": False,
                "without an end": True,
                "another dataset": True,
                "without a grant": False,
            }
        ),
        hints=(
            "A reason more; where there is no end, nothing is compared and there is no reason.",
            "end := dataset.until[input.team], and `not within(end)`: a rule of its own, since `not` before <= "
            "does not see that the date is missing.",
            'within(end) if input.today <= end; reasons contains "the grant has ended" if '
            "{ end := dataset.until[input.team]; not within(end) }",
        ),
    ),
    "provenance": Check(
        title="a model is admitted only if its signed statement names an approved dataset",
        needs=("gatekeeper",),
        within=60,
        probe=_provenance,
        expect=lambda seen: (
            seen
            == {
                "clicks@2026-11": "admitted",
                "profiles@2026-11": "refused",
                "no dataset": "refused",
                "signed by another": "refused",
            }
        ),
        hints=(
            "A violation more in the template, a parameter in its schema, and its value in the constraint.",
            'split(object.get(statement, "dataset", ""), "@")[0] is the name; `not … in input.parameters.datasets`.',
            "datasets: {type: array, items: {type: string}} in the template; datasets: [clicks] in the constraint",
        ),
    ),
    "mended": Check(
        title="a Deployment in payments is refused for any container that is not ours",
        needs=("gatekeeper",),
        within=60,
        probe=_mended,
        expect=lambda seen: seen == {"ours": "admitted", "theirs": "refused", "theirs beside ours": "refused"},
        hints=(
            "The constraint has never refused anything: which group and kind does it match?",
            "kubectl api-resources says that Deployments are in apps. In the rule, [0] is the first container only.",
            "apiGroups: [apps]; some container in input.review.object.spec.template.spec.containers",
        ),
    ),
}
