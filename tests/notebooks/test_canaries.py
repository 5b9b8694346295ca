"""No secret of lecture 8 gets out: values that can be recognised are planted, and looked for where none may be."""

from __future__ import annotations

import base64
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from iaclab import paths
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

ROOT = paths.repo_root()
assert ROOT is not None
LESSON = "08-secrets-management"
CANARY = b"CANARYvalue"
RANDOM = "head -c 24 /dev/urandom | base64"  # how the lesson makes a secret
PLANTED = f"printf {CANARY.decode()}%s $RANDOM"
LEFT_OUT = ("Seal and failover", "The ways compared", "Passwords that end")  # they take long, and make few secrets
OWN = {
    "pod/database.json",
    "password.txt",
    "secret.yaml",
    "state-leak/terraform.tfstate",
}  # what the lesson shows as such
pytestmark = [pytest.mark.platform, pytest.mark.if_time(minutes=15)]


@dataclass(frozen=True)
class Run:
    """What a run has left behind."""

    notebook: str
    folder: Path
    profile: Profile
    planted: int


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """The lesson with canaries for secrets, as a learner would save it."""
    base = tmp_path_factory.mktemp("canaries")
    notebook = nbformat.read(ROOT / "lectures" / f"{LESSON}.ipynb", as_version=4)
    cells, planted = [], 0
    for title, cell in _with_titles(notebook.cells):
        if cell.cell_type == "code" and title not in LEFT_OUT and cell.source.strip() != "iaclab.reset();":
            planted += cell.source.count(RANDOM)
            cell.source = cell.source.replace(RANDOM, PLANTED)
            cells.append(cell)
    notebook.cells = cells
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IACLAB_STATE", str(base / "state"))
        patch.setenv("IACLAB_WORKSPACE", str(base / "workspace"))
        patch.delenv("IACLAB_STRICT_CHECKS", raising=False)
        profile = Profile()
        try:
            NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(base)}}).execute()
            yield Run(nbformat.writes(notebook), base / "workspace" / LESSON, profile, planted)
        finally:
            lifecycle.down(profile=profile)


def _with_titles(cells: list[nbformat.NotebookNode]) -> Iterator[tuple[str, nbformat.NotebookNode]]:
    title = ""
    for cell in cells:
        heads = re.findall(r"^## (.*)$", cell.source, re.MULTILINE) if cell.cell_type != "code" else []
        title = heads[-1] if heads else title
        yield title, cell


def spellings() -> list[bytes]:
    """A canary as it is, and as it looks somewhere inside of base64."""
    inner = [base64.b64encode(b"x" * shift + CANARY)[-(-shift * 8 // 6) : -4] for shift in (0, 1, 2)]
    return [CANARY, *inner]


def holds(data: bytes) -> bool:
    return any(spelling in data for spelling in spellings())


def test_a_canary_is_recognised_wherever_it_lies_in_base64() -> None:
    for before in range(6):
        assert holds(base64.b64encode(b"." * before + CANARY + b"12345"))
    assert not holds(base64.b64encode(os.urandom(3000)))


def test_the_canaries_were_planted(run: Run) -> None:
    assert run.planted > 15
    assert holds((run.folder / "pod" / "database.json").read_bytes()), "the agent renders one for its application"
    assert holds((run.folder / "state-leak" / "terraform.tfstate").read_bytes()), (
        "the state leaks one: it is the lesson"
    )


def test_no_output_of_the_notebook_holds_one(run: Run) -> None:
    for cell in nbformat.reads(run.notebook, as_version=4).cells:
        assert not holds(nbformat.v4.writes(nbformat.v4.new_notebook(cells=[_outputs_only(cell)])).encode()), (
            cell.source
        )


def _outputs_only(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    return nbformat.v4.new_code_cell(outputs=cell.outputs)


def test_no_log_holds_one(run: Run) -> None:
    logs = [path for path in run.profile.root.rglob("*.log") if path.is_file()]
    assert any(path.name == "audit.log" and path.stat().st_size > 10_000 for path in logs)
    assert [str(path) for path in logs if holds(path.read_bytes())] == []


def test_no_file_of_the_vault_holds_one(run: Run) -> None:
    files = [path for path in (run.profile.root / "vault").rglob("*") if path.is_file()]
    assert len(files) > 10
    assert [str(path) for path in files if holds(path.read_bytes())] == []


def test_no_saved_file_holds_one_but_those_that_must(run: Run) -> None:
    found = {
        str(path.relative_to(run.folder)): path
        for path in run.folder.rglob("*")
        if path.is_file() and holds(path.read_bytes())
    }
    assert set(found) <= OWN, sorted(set(found) - OWN)
    readable = [name for name, path in found.items() if path.stat().st_mode & 0o077]
    assert readable == [], "others may read them"


def test_no_commit_holds_one(run: Run) -> None:
    repositories = sorted(path.parent for path in run.folder.glob("*/.git"))
    assert len(repositories) > 4
    for repository in repositories:
        log = subprocess.run(["git", "-C", str(repository), "log", "-p", "--all"], capture_output=True, check=True)
        assert not holds(log.stdout), repository.name
