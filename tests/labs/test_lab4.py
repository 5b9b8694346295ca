"""Lab 4 for real: the solution gets all points, twice in a row, and lets no secret out; typical wrong submissions lose
the right points and hear why."""

from __future__ import annotations

import base64
import os
import shutil
import tomllib
from collections.abc import Iterator
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from iaclab import lessons, paths
from iaclab.build import hidden, lab
from iaclab.build.notebook import render
from iaclab.checks import checks, lab4
from iaclab.checks.lab4 import look
from iaclab.checks.record import Result
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import new_vault

pytestmark = pytest.mark.platform
ROOT = paths.repo_root()
assert ROOT is not None
LESSON = "lab4-secrets"
SOURCE = ROOT / "content" / "labs" / f"{LESSON}.md"
SERVICES = ("new-vault", "postgres", "cluster", "external-secrets")
BY_HAND, QUESTIONS = 8, 4  # points of the report, and of the questions
_LEFT_OUT = ("iaclab.check(", "from pathlib import Path\n\nfrom iaclab.checks")  # cells that change nothing
CANARY = b"CANARYvalue"
RANDOM = "head -c 30 /dev/urandom | base64 | tr -d '\\n'"  # how the solution makes a key
PLANTED = f"printf {CANARY.decode()}%s $(date +%s%N)"


def cases(folder: str) -> dict[str, dict[str, Any]]:
    """Submissions by name: what differs from the solution, and what must come of it."""
    found = sorted((Path(__file__).parent / "lab4" / folder).glob("*.toml"))
    return {path.stem: tomllib.loads(path.read_text()) for path in found}


RIGHT, WRONG = cases("right"), cases("wrong")


@dataclass
class Desk:
    """A learner's desk: a kernel, a work folder, and a platform that is brought back to clean for each submission."""

    profile: Profile
    folder: Path
    client: NotebookClient

    def sources(self) -> list[str]:
        """The code cells of the lab with its solutions."""
        return [cell.source for cell in lab.instructor_cells(SOURCE)[0] if cell.cell_type == "code"]

    def clean(self) -> None:
        """A platform and a work folder on which nothing was done."""
        lifecycle.reset(profile=self.profile)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, code: str) -> Any:
        """Run a cell in the kernel; an error in it is one of its outputs."""
        cell = nbformat.v4.new_code_cell(code)
        self.client.nb.cells = [cell]
        self.client.execute_cell(cell, 0)
        return cell

    def submit(self, case: dict[str, Any]) -> dict[str, Result]:
        """Run a submission from a clean platform on, and look at what it has left."""
        sources = self.sources()
        for change in case.get("replace", []):
            hits = [n for n, source in enumerate(sources) if change["old"] in source]
            assert hits, f"no cell has {change['old']!r}"
            for hit in hits:
                sources[hit] = sources[hit].replace(change["old"], change["new"])
        self.clean()
        for source in sources:
            if not source.startswith(_LEFT_OUT):
                failed = said(self.run(source))
                assert "Traceback" not in failed and "CalledProcessError" not in failed, f"{source[:200]}\n{failed}"
        return self.judge()

    def judge(self) -> dict[str, Result]:
        """The results of all checks, hidden ones last: they lose a node."""
        self.folder.mkdir(parents=True, exist_ok=True)
        results = lab4.score(self.profile, self.folder)
        with chdir(self.folder):
            return results | {name: check.run(self.profile) for name, check in hidden.load(SOURCE).items()}


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    base = tmp_path_factory.mktemp("lab4")
    profile = lifecycle.up(*SERVICES, profile=Profile("lab4", state=base / "state"))
    workspace = base / "workspace"
    workspace.mkdir()
    env = {k: v for k, v in os.environ.items() if k not in ("IACLAB_STRICT_CHECKS", "IACLAB_KUBECONFIG")}
    env |= {"IACLAB_STATE": str(base / "state"), "IACLAB_PROFILE": profile.name, "IACLAB_WORKSPACE": str(workspace)}
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=300, kernel_name="python3", allow_errors=True)
    try:
        client.create_kernel_manager()
        client.start_new_kernel(env=env, cwd=str(workspace))
        client.start_new_kernel_client()
        yield Desk(profile, workspace / LESSON, client)
    finally:
        client._cleanup_kernel()
        lifecycle.down(profile=profile)


def said(cell: Any) -> str:
    """What a cell that ran has printed, and its error."""
    return "".join(o.get("text", "") or "\n".join(o.get("traceback", [])) for o in cell.outputs)


def total(results: dict[str, Result]) -> int:
    return sum(result.points for result in results.values())


def missed(results: dict[str, Result]) -> dict[str, str]:
    return {name: str(result) for name, result in results.items() if not result.passed}


def test_nothing_done_is_worth_nothing(desk: Desk) -> None:
    results = desk.judge()
    assert total(results) == 0
    assert not any(result.away for result in results.values()), "a check says that the platform is down"


def test_the_notebook_runs_to_its_end_unfilled_for_no_points(desk: Desk) -> None:
    notebook = nbformat.reads(render(lessons.lesson(LESSON)), as_version=4)
    ran = [desk.run(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    failed = [said(cell)[-800:] for cell in ran if any(o.output_type == "error" for o in cell.outputs)]
    assert not failed, "\n\n".join(failed)
    assert said(ran[-1]).endswith(f"\n0 points of {lab4.POINTS}\n")


@dataclass
class Solved:
    """The desk after the lab with its solutions has run, checks and all, with canaries for keys; and what it said."""

    desk: Desk
    cells: list[Any]

    def secrets(self) -> dict[str, bytes]:
        """Every secret value of the lab that there is now, by what it is."""
        found = {"a canary": CANARY}
        for path in sorted(self.desk.folder.glob("keys/*")):
            found[path.name] = path.read_bytes().strip()
        found["the leaked password"] = (self.desk.folder / "leak/build.log").read_bytes().split(b":")[2].split(b"@")[0]
        for name in ("postgres-vault", "postgres-owner", "new-vault-audit-reader"):
            found[name] = self.desk.profile.secret(name).encode()
        with chdir(self.desk.folder):
            found["the present password"] = look.secret(self.desk.profile, look.STORE)["password"].encode()
        return found

    def held(self, data: bytes) -> list[str]:
        """Which of them some data holds, as they are or somewhere inside of base64."""
        return [name for name, value in self.secrets().items() if any(one in data for one in spellings(value))]


def spellings(value: bytes) -> list[bytes]:
    """A value as it is, and as it looks somewhere inside of base64, without the characters that its ends share."""
    return [value, *(base64.b64encode(b"x" * shift + value)[-(-shift * 8 // 6) : -4] for shift in (0, 1, 2))]


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def solved(desk: Desk) -> Solved:
    """From top to bottom, and once more in the same profile."""
    desk.clean()
    sources = [source.replace(RANDOM, PLANTED) for source in desk.sources()]
    assert sum(PLANTED in source for source in sources) == 1
    cells = []
    for number in (1, 2):
        for source in sources:
            cells.append(desk.run(source))
            text = said(cells[-1])
            assert not any(word in text for word in ("Traceback", "Error", "✘")), f"run {number}: {source}\n{text}"
        assert f"{lab4.POINTS} points of {lab4.POINTS}" in text
    return Solved(desk, cells)


def test_the_solution_gets_all_points_after_two_runs(solved: Solved) -> None:
    results = solved.desk.judge()
    assert not missed(results)
    assert total(results) == 100 - BY_HAND - QUESTIONS


def test_what_is_looked_for_is_found_where_it_must_be(solved: Solved) -> None:
    assert len(solved.secrets()) == 12
    assert solved.held((solved.desk.folder / "leak/build.log").read_bytes()) == ["the leaked password"]
    for before in range(3):
        assert solved.held(base64.b64encode(b"." * before + solved.secrets()["share-3"] + b"...")) == ["share-3"]
    assert solved.held(os.urandom(3000)) == []


def test_no_output_holds_a_secret(solved: Solved) -> None:
    for cell in solved.cells:
        outputs = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=cell.outputs)])
        assert solved.held(nbformat.writes(outputs).encode()) == [], cell.source


def test_no_log_holds_a_secret(solved: Solved) -> None:
    logs = files(solved.desk.profile.root / "logs")
    logs["audit"] = new_vault.audit_log(solved.desk.profile).read_bytes()
    assert len(logs["audit"]) > 100_000
    assert {"new-vault/node-1.log", "postgres/server.log", "external-secrets/controller.log"} <= logs.keys()
    assert {name: held for name, data in logs.items() if (held := solved.held(data))} == {}


def test_no_saved_file_holds_a_secret_but_those_that_must(solved: Solved) -> None:
    kept = {name: held for name, data in files(solved.desk.folder).items() if (held := solved.held(data))}
    keys = {f"keys/{name}": [name] for name in ("admin.token", *(f"share-{n}" for n in range(1, 6)))}
    assert kept == keys | {"leak/build.log": ["the leaked password"]}
    assert not [name for name in keys if (solved.desk.folder / name).stat().st_mode & 0o077]
    assert {name for name, data in files(solved.desk.profile.root / "new-vault").items() if solved.held(data)} == {
        "audit-reader.token"
    }


@pytest.mark.if_time(minutes=15)
@pytest.mark.parametrize("name", RIGHT)
def test_another_right_design_gets_all_points(desk: Desk, name: str) -> None:
    results = desk.submit(RIGHT[name])
    assert not missed(results)
    assert total(results) == 100 - BY_HAND - QUESTIONS


@pytest.mark.if_time(minutes=15)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_submission_loses_the_right_points_and_hears_why(desk: Desk, name: str) -> None:
    case = WRONG[name]
    results = desk.submit(case)
    assert sorted(missed(results)) == sorted(case["fails"]), missed(results)
    assert total(results) == 100 - BY_HAND - QUESTIONS - case["lost"]
    for check, words in case["says"].items():
        assert words in str(results[check])


def test_the_checks_are_those_of_the_notebook_and_worth_a_hundred_points_with_the_rest() -> None:
    graded = lab.graded(SOURCE)
    assert {f"lab4.{name}" for name in lab4.CHECKS} == {e.check for e in graded if e.kind == "check"}
    assert {f"lab4.{name}" for name in lab4.CHECKS} == {name for name in checks() if name.startswith("lab4.")}
    assert sum(entry.points for entry in graded) == 100
    assert sum(entry.points for entry in graded if entry.kind == "essay") == BY_HAND
