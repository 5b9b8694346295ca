"""Lab 3 for real: the solution gets all points, what learners get wrong loses the right ones, nothing reaches out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from iaclab import paths, tools
from iaclab.build import hidden, lab
from iaclab.checks import checks, lab3
from iaclab.checks.lab3 import cases, give, modules, policies, policy_tests, proof, running
from iaclab.checks.record import Check, Result
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform
ROOT = paths.repo_root()
assert ROOT is not None
SOURCE = ROOT / "content" / "labs" / "lab3-testing-policy.md"
HERE = Path(__file__).with_name("lab3")
BY_HAND, QUESTIONS = 10, 4
AUTOMATIC = 100 - BY_HAND - QUESTIONS
DEPENDENT = {
    "policy/": {"plans", "manifests", "policy-tests", "pipeline"},
    "infra/tests/": {"tests", "pipeline"},
    "pipeline": {"pipeline"},
    "admission/images": {"images"},
    "admission/template": {"model-cards", "audited"},
    "admission/constraint": {"model-cards", "audited"},
}
ADMISSION = {"images", "model-cards", "audited"}
ALL: dict[str, Check] = lab3.CHECKS | hidden.load(SOURCE)
CASES = {path.stem: tomllib.loads(path.read_text()) for path in sorted((HERE / "wrong").glob("*.toml"))}


def written(folder: Path, case: dict[str, Any] | None = None) -> Path:
    """A work folder with the mended platform and the solution, changed as a wrong submission has it."""
    give.platform(folder)
    shutil.copytree(cases.HERE / "right", folder, dirs_exist_ok=True)
    for part in sorted((HERE / "solution").iterdir()):
        shutil.copytree(part, folder, dirs_exist_ok=True)
    for name, text in (case or {}).get("files", {}).items():
        (folder / name).write_text(text.lstrip("\n"))
    for change in (case or {}).get("replace", []):
        text = (folder / change["file"]).read_text()
        assert text.count(change["old"]) == 1, (
            f"{change['file']} has {change['old']!r} {text.count(change['old'])} times"
        )
        (folder / change["file"]).write_text(text.replace(change["old"], change["new"]))
    return folder


@dataclass
class Desk:
    """The platform that admission rules are applied to."""

    profile: Profile
    best: dict[str, Result] = field(default_factory=dict)

    def run(self, folder: Path, command: str) -> None:
        """Run a shell command in a folder, as the notebook does."""
        env = {**os.environ, **self.profile.env()}
        done = subprocess.run(
            ["bash", "-ec", command], cwd=folder, env=env, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"

    def enforce(self, folder: Path) -> None:
        """Apply the admission rules of a work folder, on a clean platform; `legacy` is there before them."""
        lifecycle.reset(profile=self.profile)
        notebook = [cell.source for cell in lab.cells(SOURCE)]
        (before,) = (source for source in notebook if "legacy, labels" in source)
        apply = [
            source for source in notebook if source.startswith("%%bash") and "kubectl apply -f admission" in source
        ]
        for source in [before, *apply]:
            command = source.partition("\n")[2]
            if "dryrun" in (folder / "admission/constraint.yaml").read_text():
                command = command.replace("jsonpath='{.status.byPod[0].enforced}'=true", "create")
            self.run(folder, command)

    def looks(self, folder: Path, names: Collection[str]) -> dict[str, Result]:
        """The results of some checks, with the hidden ones that hang on them."""
        wanted = [name for name in ALL if name.partition(".")[0] in names]
        with contextlib.chdir(folder):
            return {name: ALL[name].run(self.profile, attempt=3) for name in wanted}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    tools.ensure(*running.TOOLS)
    profile = lifecycle.up("gatekeeper", "terraform", profile=Profile("lab3", state=tmp_path_factory.mktemp("lab3")))
    try:
        yield Desk(profile)
    finally:
        lifecycle.down(profile=profile)


def missed(results: dict[str, Result]) -> dict[str, str]:
    return {name: result.seen for name, result in results.items() if not result.passed}


def test_nothing_done_is_worth_nothing(desk: Desk, tmp_path: Path) -> None:
    give.platform(tmp_path)
    results = desk.looks(tmp_path, lab3.CHECKS)
    assert not any(result.points for result in results.values()), results
    assert not any(result.away for result in results.values()), "a check says that the platform is down"


def test_the_solution_gets_all_points(desk: Desk, tmp_path: Path) -> None:
    folder = written(tmp_path)
    desk.enforce(folder)
    results = desk.looks(folder, lab3.CHECKS)
    assert not missed(results)
    assert sum(result.points for result in results.values()) == AUTOMATIC


@pytest.mark.if_time(minutes=15)
@pytest.mark.parametrize("name", CASES)
def test_a_wrong_submission_loses_the_right_points_and_hears_why(desk: Desk, tmp_path: Path, name: str) -> None:
    """`score` is that of the whole submission: what depends on the change is run, the rest has all points."""
    case = CASES[name]
    folder, touched = written(tmp_path, case), dependent(case)
    if touched <= ADMISSION:
        desk.enforce(folder)
    results = desk.looks(folder, touched)
    lost = {check: result.points for check, result in results.items() if result.points < ALL[check].points}
    assert lost == case["points"], missed(results)
    assert AUTOMATIC - sum(ALL[check].points - points for check, points in lost.items()) == case["score"]
    for check, words in case["says"].items():
        assert words in results[check].seen


def dependent(case: dict[str, Any]) -> set[str]:
    """The visible checks whose result depends on the files that a case changes."""
    files = [*case.get("files", {}), *(change["file"] for change in case.get("replace", []))]
    return {check for file in files for start, found in DEPENDENT.items() if file.startswith(start) for check in found}


def test_the_checks_are_those_of_the_notebook_and_worth_a_hundred_points_with_the_rest() -> None:
    graded = lab.graded(SOURCE)
    assert {f"lab3.{name}" for name in lab3.CHECKS} == {e.check for e in graded if e.kind == "check"}
    assert {f"lab3.{name}" for name in lab3.CHECKS} == {name for name in checks() if name.startswith("lab3.")}
    assert sum(entry.points for entry in graded) == 100
    assert sum(entry.points for entry in graded if entry.kind == "essay") == BY_HAND
    assert sum(entry.points for entry in graded if entry.kind == "question") == QUESTIONS


def test_the_flawed_platform_breaks_every_rule(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it comes, and asked by the solution."""
    folder = written(tmp_path)
    monkeypatch.chdir(folder)
    flawed = cases.HERE / "flawed"
    module = cases.Case("module", False, {path.name: path.read_text() for path in (flawed / "infra").glob("*.tf")})
    assert modules.proof(cases.Cases((module,))).is_clean
    objects = "\n---\n".join(path.read_text() for path in sorted((flawed / "manifests").glob("*.yaml")))
    said = policies.refusals(cases.Cases((cases.Case("objects", False, {"objects.yaml": objects}),)))["objects"]
    kinds = ("by digest", "memory limit", "exposed", "privileged", "star")
    assert [kind for kind in kinds if not any(kind in text for text in said)] == []
    plan = json.dumps(_planned(flawed / "infra", tmp_path / "flawed"))
    said = policies.refusals(cases.Cases((cases.Case("plan", False, {"plan.json": plan}),)))["plan"]
    assert [
        kind for kind in ("versions", "taint", "approved", "dollars") if not any(kind in text for text in said)
    ] == []


def test_the_recorded_plan_is_what_terraform_says_of_the_right_platform(tmp_path: Path) -> None:
    said, recorded = (
        _planned(cases.HERE / "right" / "infra", tmp_path),
        json.loads((cases.HERE / "plan.json").read_text()),
    )
    for plan in (said, recorded):
        for name in ("timestamp", "terraform_version", "relevant_attributes"):  # the last come in any order
            plan.pop(name, None)
    assert said == recorded


def _planned(infra: Path, folder: Path) -> dict[str, Any]:
    shutil.copytree(infra, folder / "infra", dirs_exist_ok=True)
    command = "cd infra && terraform init >&2 && terraform plan -var-file=fraud.tfvars -out=plan >&2"
    done = running.terraform(f"{command} && terraform show -json plan", folder, **running.provider(folder))
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_all_variants_differ_and_every_kind_of_work_can_be_told_from_refusing_everything() -> None:
    hidden_cases = hidden.load(SOURCE)["plans.other-shapes"].probe.__globals__["_CASES"]
    for table in (cases.visible(), hidden_cases):
        for kind in (cases.modules, cases.plans, cases.manifests):
            found = kind(table)
            assert len({json.dumps(case.files, sort_keys=True) for case in found.all}) == len(found.all)
            everything = proof.Proof.of(found, {case.name: "no" for case in found.all})
            nothing = proof.Proof.of(found, dict.fromkeys(case.name for case in found.all))
            assert (everything.points(1000), nothing.points(1000)) == (0, 0)
            assert proof.Proof.of(found, {c.name: None if c.is_right else "no" for c in found.all}).points(1000) == 1000


@pytest.mark.parametrize(
    "reach",
    [
        'http.send({"method": "get", "url": "http://127.0.0.1:1/"})',
        'net.lookup_ip_addr("course.local")',
        "opa.runtime().env",
        'parse_config_file("/etc/hostname")',
    ],
)
def test_policies_reach_nothing_outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reach: str) -> None:
    monkeypatch.chdir(written(tmp_path))
    rule = Path("policy/reach.rego")
    rule.write_text(f'package main\n\ndeny contains "reached" if {reach}\n')
    result = lab3.CHECKS["plans"].run(Profile())
    assert (result.points, "undefined function" in result.seen) == (0, True), result.seen
    assert policy_tests.proof().points(8) == 0
    rule.write_text('package main\n\ndeny contains "read" if data.etc.hostname\n')
    assert lab3.CHECKS["plans"].run(Profile()).passed, "what is no builtin is nothing"


def test_links_in_the_work_folder_are_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "work"
    (outside / "policy").mkdir(parents=True)
    (outside / "policy" / "secret.rego").write_text("package main")
    folder.mkdir()
    monkeypatch.chdir(folder)
    Path("policy").symlink_to(outside / "policy")
    Path("infra").mkdir()
    Path("infra/main.tf").symlink_to("/etc/hostname")
    os.mkfifo("infra/pipe.tf")
    Path("infra/own.tf").write_text("# mine")
    assert running.taken("**/*", "policy/**/*.rego") == {"infra/own.tf": b"# mine"}


def test_a_policy_that_does_not_end_costs_its_points_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(written(tmp_path))
    monkeypatch.setattr(policies, "SECONDS", 2)
    slow = "some i in numbers.range(1, 20000); some j in numbers.range(1, 20000); i * j == -1"
    Path("policy/slow.rego").write_text(f'package main\n\ndeny contains "slow" if {{ {slow} }}\n')
    result = lab3.CHECKS["plans"].run(Profile())
    assert (result.points, result.seen) == (0, "conftest did not end within 2 s")
