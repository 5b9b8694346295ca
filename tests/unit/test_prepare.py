"""`iaclab.prepare`: the first cell of every notebook, and how its faults look there."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from iaclab import paths, prepare
from iaclab.errors import LabError
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

TINY = Path(__file__).with_name("lessons")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone with a lesson that needs the Git server and one that needs nothing; the shell is put back at the end."""
    folder = tmp_path / "clone" / "content" / "notebooks"
    folder.mkdir(parents=True)
    for name, needs in (("with-git", "[git]"), ("with-nothing", "[]")):
        (folder / f"{name}.md").write_text((TINY / "good.md").read_text().replace("[cluster]", needs))
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path / "clone")
    monkeypatch.chdir(tmp_path)
    before = dict(os.environ)
    yield tmp_path / "clone"
    lifecycle.down(profile=Profile())
    os.environ.clear()
    os.environ.update(before)


@pytest.mark.platform
def test_a_lesson_gets_its_services_its_shell_and_its_folder(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare("with-git")
    said = capsys.readouterr().out
    assert "git       starting …" in said
    assert "services  git\n" in said
    assert "GIT_URL" in said
    assert Path.cwd() == Path(os.environ["IACLAB_WORKSPACE"]) / "with-git"
    push = 'git init -q r && cd r && git commit -q --allow-empty -m one && git push -q "$GIT_URL/r.git" HEAD:main'
    done = subprocess.run(["bash", "-c", push], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

    Path("kept.txt").write_text("a learner's file")
    prepare("with-git")
    said = capsys.readouterr().out
    assert "starting" not in said, "what runs is left alone"
    assert "set " not in said, "a second run changes nothing in the shell"
    assert Path("kept.txt").exists()


def test_a_lesson_that_needs_nothing_starts_nothing(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare("with-nothing")
    assert "services  none\n" in capsys.readouterr().out
    assert [s.name for s in lifecycle.status(Profile()) if s.state != "stopped"] == []


def test_a_workspace_named_from_the_clone_on_stays_where_it_is(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_WORKSPACE", "mine")
    for _ in range(2):
        prepare("with-nothing")
        assert Path.cwd() == clone / "mine" / "with-nothing"


def test_a_workspace_that_cannot_be_made_is_said(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_WORKSPACE", f"{os.devnull}/x")
    with pytest.raises(LabError, match="IACLAB_WORKSPACE"):
        prepare("with-nothing")


def test_an_unknown_lesson_is_answered_with_the_nearest(clone: Path) -> None:
    here = Path.cwd()
    with pytest.raises(LabError) as error:
        prepare("with-gti")
    assert error.value.mend == 'iaclab.prepare("with-git")'
    assert Path.cwd() == here, "nothing was moved"


def test_in_a_notebook_a_fault_is_three_lines_and_no_traceback(tmp_path: Path) -> None:
    faults = {
        'iaclab.prepare("04-argo")': ("There is no lesson '04-argo'.", 'iaclab.prepare("04-argocd-deployment")'),
        'iaclab.check("start.tow-gpus")': ("There is no check 'start.tow-gpus'.", 'iaclab.check("start.two-gpus")'),
        'iaclab.show.file("no.yaml")': ("There is no file no.yaml.", "ls"),
        'iaclab.up("argcd")': ("There is no service 'argcd'.", "iaclab up argocd"),
    }
    cells = [nbformat.v4.new_code_cell(f"import iaclab\n{code}") for code in faults]
    notebook = nbformat.v4.new_notebook(cells=cells)
    where = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(notebook, timeout=180, allow_errors=True, resources=where).execute()
    for cell, (what, mend) in zip(notebook.cells, faults.values(), strict=True):
        (shown,) = cell.outputs
        assert (shown.output_type, shown.ename) == ("error", "LabError")
        lines = "\n".join(shown.traceback).splitlines()
        assert len(lines) == 3, lines
        assert (lines[0], lines[2]) == (what, f"Mend: {mend}")
        assert lines[1].startswith("Why: ")


def test_git_in_a_lessons_folder_does_not_find_the_clone_around_it(clone: Path) -> None:
    subprocess.run(["git", "init", "-q", str(Path(os.environ["IACLAB_WORKSPACE"]).parent)], check=True)
    prepare("with-nothing")
    done = subprocess.run(["git", "add", "-A"], capture_output=True, text=True)
    assert done.returncode == 128, "a learner's `git add` would have gone into the course's own repository"
    assert "not a git repository" in done.stderr
