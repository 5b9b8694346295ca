"""Lab 1 for real: the solution and other right designs get all points, typical wrong versions lose the right ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from iaclab import lessons
from iaclab.build.notebook import render
from iaclab.checks import checks
from iaclab.checks.lab1 import CHECKS, proofs, score
from iaclab.checks.record import Result
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform
HERE = Path(__file__).with_name("lab1")
SERVICES = ("cluster", "aws", "terraform")
DESIGNS = sorted(path.name for path in (HERE / "designs").iterdir())
CASES = {path.parent.name: tomllib.loads(path.read_text()) for path in sorted((HERE / "wrong").glob("*/case.toml"))}
BY_COST = sorted(CASES, key=lambda name: "fresh" in CASES[name])  # those that begin from nothing come last


@dataclass
class Desk:
    """A learner's work folder, and the platform that it works on."""

    profile: Profile
    base: Path
    is_solved: bool = False
    solved: dict[str, Result] = field(default_factory=dict)

    def run(self, folder: Path, command: str) -> str:
        """Run a shell command in a folder, as the notebook does."""
        env = {**os.environ, **self.profile.env(), "TF_CLI_ARGS": "-no-color"}
        shell = ["bash", "-ec", command]
        done = subprocess.run(shell, cwd=folder, env=env, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def clean(self) -> None:
        """Nothing of any environment is there."""
        self.is_solved = False
        lifecycle.reset(profile=self.profile)

    def solution(self) -> Path:
        """The work folder of the solution, with all three environments applied."""
        folder = self.base / "solution"
        if not self.is_solved:
            self.clean()
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(HERE / "solution", folder)
            self.run(folder, "./deploy dev staging prod")
            self.is_solved = True
        return folder

    def points(self, folder: Path) -> dict[str, Result]:
        """The results of all checks."""
        return score(self.profile, folder)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    base = tmp_path_factory.mktemp("lab1")
    profile = lifecycle.up(*SERVICES, profile=Profile("lab1", state=base / "state"))
    try:
        yield Desk(profile, base)
    finally:
        lifecycle.down(profile=profile)


def total(results: dict[str, Result]) -> int:
    return sum(result.points for result in results.values())


def missed(results: dict[str, Result]) -> dict[str, str]:
    return {name: str(result) for name, result in results.items() if not result.passed}


def test_nothing_done_is_worth_nothing(desk: Desk, tmp_path: Path) -> None:
    desk.clean()
    results = desk.points(tmp_path)
    assert total(results) == 0
    assert not any(result.away for result in results.values()), "a check says that the platform is down"


def test_the_notebook_runs_to_its_end_unfilled_for_no_points(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.clean()
    monkeypatch.setenv("IACLAB_STATE", str(desk.profile.state))
    monkeypatch.setenv("IACLAB_PROFILE", desk.profile.name)
    monkeypatch.delenv("IACLAB_STRICT_CHECKS", raising=False)
    notebook = nbformat.reads(render(lessons.lesson("lab1-terraform-modules")), as_version=4)
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute(cwd=str(tmp_path))
    last = [cell for cell in notebook.cells if cell.cell_type == "code"][-1]
    said = "".join(output.get("text", "") for output in last.outputs)
    assert said.endswith("\n0 points of 100\n"), said
    assert not any("solution" in cell.metadata.get("tags", []) for cell in notebook.cells)


@pytest.mark.if_time(minutes=15)
@pytest.mark.parametrize("design", DESIGNS)
def test_a_right_design_gets_all_points(desk: Desk, design: str) -> None:
    desk.clean()
    folder = desk.base / design
    shutil.copytree(HERE / "designs" / design, folder)
    desk.run(folder, "./deploy")
    results = desk.points(folder)
    assert not missed(results)
    assert total(results) == 100


def test_the_solution_gets_all_points(desk: Desk) -> None:
    results = desk.points(desk.solution())
    assert not missed(results)
    assert total(results) == 100


@pytest.mark.if_time(minutes=15)
@pytest.mark.parametrize("name", BY_COST)
def test_a_wrong_version_loses_the_right_points_and_hears_why(desk: Desk, name: str) -> None:
    case: dict[str, Any] = CASES[name]
    folder = desk.base / name
    if case.get("fresh"):
        desk.clean()
        shutil.copytree(HERE / "solution", folder)
    else:
        shutil.copytree(desk.solution(), folder, symlinks=True)
    shutil.copytree(HERE / "wrong" / name, folder, dirs_exist_ok=True)
    try:
        desk.run(folder, case["run"])
        results = desk.points(folder)
    finally:
        for environment in case.get("mended_by_applying", []):
            desk.run(desk.solution() / "envs" / environment, "terraform apply -auto-approve")
    assert sorted(missed(results)) == sorted(case["fails"]), missed(results)
    assert total(results) == case["score"]
    assert case["says"] in str(results[case["told_by"]]), results[case["told_by"]]


def test_the_checks_are_those_of_the_notebook_and_worth_a_hundred_points() -> None:
    assert {f"lab1.{name}" for name in CHECKS} == {name for name in checks() if name.startswith("lab1.")}
    assert sum(check.points for check in CHECKS.values()) == 100


@pytest.mark.parametrize(
    "line",
    ['source = "/tmp/theirs"', "/* a */ source /* b */ = 1", 'x = file("/etc/passwd")', "x = templatefile ( # y\n1)"],
)
def test_tests_that_reach_outside_are_not_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "modules" / "network"
    folder.mkdir(parents=True)
    (folder / "it.tftest.hcl").write_text(f'run "it" {{\n  {line}\n}}\n')
    assert list(proofs.tests(Profile())) == [
        "it.tftest.hcl names another module or reads a file: these tests stand alone"
    ]
