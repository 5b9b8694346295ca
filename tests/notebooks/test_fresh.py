"""The notebooks that learners open are what the text builds, and hold nothing of any run."""

from __future__ import annotations

import subprocess
from pathlib import Path

import nbformat
import pytest

from iaclab import lessons, paths
from iaclab.build.notebook import render

ROOT = paths.repo_root()
assert ROOT is not None
LESSONS = lessons.lessons()


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_a_notebook_is_what_its_text_builds(lesson: lessons.Lesson) -> None:
    built = ROOT / lesson.notebook
    assert built.exists(), f"{lesson.notebook} is not built: run `make notebooks`"
    assert built.read_text() == render(lesson), f"{lesson.notebook} is older than its text: run `make notebooks`"


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_a_notebook_holds_nothing_of_any_run(lesson: lessons.Lesson) -> None:
    notebook = nbformat.read(ROOT / lesson.notebook, as_version=4)
    ran = [cell.source for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count") is not None]
    assert not ran, f"{lesson.notebook} was saved after a run: run `make notebooks`. First such cell: {ran[0]}"


def test_every_committed_notebook_has_a_text() -> None:
    listed = subprocess.run(["git", "ls-files", "*.ipynb"], cwd=ROOT, capture_output=True, text=True, check=True)
    committed = {name for name in listed.stdout.split() if Path(name).parts[0] in lessons.FOLDERS}
    orphans = committed - {lesson.notebook for lesson in LESSONS}
    assert not orphans, f"no text under content/ builds {orphans}: remove them"
