"""Student versions hold nothing of the instructor's; unfilled they are worth nothing, and the solution all points."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iaclab import lessons, paths
from iaclab.build import hidden, lab
from iaclab.build.notebook import instructor, render
from iaclab.grading import World, grade
from iaclab.lessons import Lesson

ROOT = paths.repo_root()
assert ROOT is not None
LABS = [entry for entry in lessons.lessons() if entry.source.parent.name == "labs"]
QUIZ = "quiz"  # 30 points, and no solution in its text: test_quiz_marks.py hands it in
each_lab = pytest.mark.parametrize("entry", LABS, ids=lambda entry: entry.id)
each_but_the_quiz = pytest.mark.parametrize(
    "entry", [entry for entry in LABS if entry.id != QUIZ], ids=lambda entry: entry.id
)


def cells(text: str) -> list[dict[str, Any]]:
    return list(json.loads(text)["cells"])


def source(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


@each_lab
def test_a_student_version_holds_only_what_is_not_the_instructors(entry: Lesson) -> None:
    theirs = cells((ROOT / entry.notebook).read_text())
    public = {
        source(c) for c in cells(instructor(entry)) if not {"solution", "rubric"} & set(c["metadata"].get("tags", []))
    }
    for cell in theirs:
        tags = cell["metadata"].get("tags", [])
        if "essay" in tags:
            assert source(cell) == "*Write your answer here.*"
        elif "question" in tags:
            assert lab.answer_of(source(cell)).value.value is None  # type: ignore[attr-defined]
        elif "task" not in tags:
            assert source(cell) in public
        assert "BEGIN SOLUTION" not in source(cell)


@pytest.mark.parametrize(
    "entry", [e for e in LABS if hidden.hidden_file(e.source).exists()], ids=lambda entry: entry.id
)
def test_hidden_checks_are_nowhere_but_on_the_instructors_side(entry: Lesson) -> None:
    titles = [check.title for check in hidden.load(entry.source).values()]
    assert titles
    shown = [(ROOT / entry.notebook).read_text(), entry.source.read_text()]
    shown += [path.read_text() for path in (ROOT / "src").rglob("*.py")]
    assert not [title for title in titles for text in shown if title in text]


@each_lab
def test_a_lab_is_worth_a_hundred_points_and_the_quiz_thirty(entry: Lesson) -> None:
    assert sum(graded.points for graded in lab.graded(entry.source)) == (30 if entry.id == QUIZ else 100)


@pytest.fixture(scope="module")
def worlds() -> Iterator[dict[str, World]]:
    """A world for each lab, kept warm for its two runs."""
    found: dict[str, World] = {}
    yield found
    for world in found.values():
        world.close()


def points(entry: Lesson, notebook: str, worlds: dict[str, World]) -> tuple[dict[str, float], Any]:
    """The points of each graded cell when a notebook is handed in, and how it ran."""
    if entry.id not in worlds:
        worlds[entry.id] = World.open(entry.id)
    secret = hidden.hidden_file(entry.source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{entry.id}.ipynb")
        path.write_text(notebook)
        graded = grade(path, entry.id, world=worlds[entry.id], hidden=secret if secret.exists() else None)
    return {name: mark.points for name, mark in graded.marks(lab.graded(entry.source)).items()}, graded.report


@pytest.mark.platform
@each_but_the_quiz
def test_unfilled_it_runs_to_its_end_and_gets_nothing(entry: Lesson, worlds: dict[str, World]) -> None:
    earned, report = points(entry, render(entry), worlds)
    assert report.cells == [], "a cell fails, or does not end"
    assert set(earned.values()) == {0}, earned


@pytest.mark.if_time(minutes=15)
@pytest.mark.platform
@each_but_the_quiz
def test_the_solution_gets_every_point_that_a_machine_gives(entry: Lesson, worlds: dict[str, World]) -> None:
    earned, report = points(entry, instructor(entry), worlds)
    wanted = {graded.id: graded.points for graded in lab.graded(entry.source) if graded.kind != "essay"}
    assert earned == wanted, [str(cell) for cell in report.cells]
