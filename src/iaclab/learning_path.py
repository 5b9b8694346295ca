"""The way through the course: lessons in their order and weeks, what comes before each, and how far the learner is.

The order is data (learning_path.toml), the lessons are those under content/, progress is what the checks have noted.
"""

from __future__ import annotations

import contextlib
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from iaclab import lessons, paths
from iaclab.checks import checks, progress
from iaclab.errors import LabError
from iaclab.lessons import Lesson

FILE = Path(__file__).with_name("learning_path.toml")
State = Literal["in the making", "not started", "running", "done"]
_FENCE = re.compile(r"\s*(`{3,}|~{3,})")
_HEADING = re.compile(r"#{2,6} +(.*)")
_CHECK = re.compile(r"""^iaclab\.check\(\s*["']([^"']+)["']""", re.MULTILINE)
_TASK = "Your turn"  # in the cell that is the learner's
_COMMENT = re.compile(r" *<!--.*?-->")


@dataclass(frozen=True)
class Exercise:
    """A check in a lesson's text, and the heading that it stands below."""

    check: str
    heading: str


@dataclass(frozen=True)
class Step:
    """One lesson on the way; `lesson` is `None` while it is in the making. `days` are days of the part's weeks.

    `passed` are those of its exercises that the learner has passed, `points` what all have brought of `worth`: where a
    check gives a part, that counts too.
    """

    title: str
    days: str
    minutes: int
    lesson: Lesson | None
    state: State
    exercises: tuple[Exercise, ...]
    passed: frozenset[str]
    points: int
    worth: int

    @property
    def next(self) -> Exercise | None:
        """The first exercise whose check has not passed."""
        return next((one for one in self.exercises if one.check not in self.passed), None)

    @property
    def is_over(self) -> bool:
        """Whether nothing here is left to go on with: it is done, or opened where it has no checks."""
        return self.state == "done" or (self.state == "running" and not self.exercises)

    @property
    def count(self) -> str:
        """How many of its checks passed, in words; empty where there are none."""
        return f"{len(self.passed)} of {len(self.exercises)} checks" if self.exercises else ""


@dataclass(frozen=True)
class Part:
    """Some weeks of the course; `weeks` is empty for what comes before the first."""

    title: str
    weeks: str
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Place:
    """Where to go on: a notebook (from the clone's root) and the part of it that is next.

    `cell` is the id of the cell where the check's exercise begins, empty where the notebook on disk has none.
    """

    step: Step
    notebook: str
    exercise: Exercise | None
    cell: str

    @property
    def fragment(self) -> str:
        """What follows the notebook in a link of JupyterLab: the cell, else the heading."""
        if self.cell:
            return f"#cell-id={self.cell}"
        return "#" + self.exercise.heading.replace(" ", "-") if self.exercise else ""

    @property
    def says(self) -> str:
        """The place in words."""
        if self.exercise is None:
            return self.step.title
        check = checks().get(self.exercise.check)
        return f"{self.step.title}, “{self.exercise.heading}”" + (f": {check.title}" if check else "")


def parts() -> list[Part]:
    """The whole way, with the learner's progress.

    Raises:
        LabError: there is no clone, a lesson's front matter cannot be read, or progress cannot be read.
    """
    passed, opened = progress.load(), progress.opened()
    written = lessons.sources()
    return [
        Part(part["title"], part.get("weeks", ""), tuple(_step(raw, written, passed, opened) for raw in part["steps"]))
        for part in tomllib.loads(FILE.read_text())["parts"]
    ]


def steps() -> list[Step]:
    """Every step of the way, in its order."""
    return [step for part in parts() for step in part.steps]


def missing_before(lesson: Lesson) -> list[Step]:
    """The lessons that this one builds on and that are not done."""
    if not lesson.after:
        return []
    return [s for s in steps() if s.lesson and s.lesson.id in lesson.after and s.state != "done"]


def next_place(name: str = "") -> Place:
    """Where to go on: in the lesson of this name, or its beginning; else in the one opened last, else in the next one.

    Raises:
        LabError: there is no such lesson; or nothing is left, and that is said.
    """
    way = [step for step in steps() if step.lesson]
    if name:
        return place_of(_named(name, way))
    left = [step for step in way if not step.is_over]
    if not left:
        raise LabError("Every lesson that is written is done.", mend="iaclab progress")
    opened = progress.opened()
    begun = [step for step in left if step.lesson and step.lesson.id in opened and step.next]
    return place_of(max(begun, key=lambda s: opened[s.lesson.id] if s.lesson else "", default=left[0]))


def place_of(step: Step) -> Place:
    """The first check of a written lesson that has not passed, else its beginning."""
    assert step.lesson is not None
    cell = _cell(step.lesson.notebook, step.next.check) if step.next else ""
    return Place(step, step.lesson.notebook, step.next, cell)


def _named(name: str, way: list[Step]) -> Step:
    found = [step for step in way if step.lesson and step.lesson.id.startswith(name)]
    if len(found) == 1:
        return found[0]
    known = [step.lesson.id for step in found or way if step.lesson]
    what = f"'{name}' begins the name of {len(found)} lessons." if found else f"There is no lesson '{name}' on the way."
    raise LabError(what, why=f"Lessons: {', '.join(known)}.", mend=f"iaclab resume {known[0]}")


def _cell(notebook: str, check: str) -> str:
    """The id of the cell with the task of a check, in the notebook as the learner has it."""
    root = paths.repo_root()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        cells = json.loads(((root or Path()) / notebook).read_text())["cells"]
        for index, cell in enumerate(cells):
            if cell["cell_type"] == "code" and check in _CHECK.findall("".join(cell["source"])):
                return str(cells[_begin(cells, index)].get("id", ""))
    return ""


def _begin(cells: list[Any], index: int) -> int:
    """Where the exercise of the check in the cell at `index` begins: back over its solutions to the learner's cell."""
    for at in range(index - 1, -1, -1):
        source = "".join(cells[at]["source"])
        if cells[at]["cell_type"] == "code" and _CHECK.search(source):
            break  # the exercise before
        if cells[at]["cell_type"] == "code" and _TASK in source:
            return at - 1 if at and cells[at - 1]["cell_type"] == "markdown" else at
    return index


def _step(raw: dict[str, Any], written: list[Path], passed: progress.Table, opened: dict[str, str]) -> Step:
    source = next((path for path in written if path.match(raw["lesson"])), None)
    days, minutes = raw.get("days", ""), round(raw["hours"] * 60)
    if source is None:
        return Step(raw["title"], days, minutes, None, "in the making", (), frozenset(), 0, 0)
    lesson, found = lessons.read(source), exercises(source)
    names = [exercise.check for exercise in found]
    mine = frozenset(name for name in names if "passed" in passed.get(name, {}))
    state: State = "not started"
    if names and len(mine) == len(names):
        state = "done"
    elif lesson.id in opened or any(name in passed for name in names):
        state = "running"
    known = checks()
    of = {name: known[name].points for name in names if name in known}
    points = sum(min(int(passed.get(name, {}).get("points", 0)), most) for name, most in of.items())
    worth = sum(of.values())
    return Step(lesson.title, days, lesson.minutes or minutes, lesson, state, tuple(found), mine, points, worth)


def exercises(source: Path) -> list[Exercise]:
    """The checks that a lesson's text calls, in its order."""
    return list(_exercises(source.read_text()))


@cache
def _exercises(text: str) -> tuple[Exercise, ...]:
    """Read by lines: the builder's parser takes a second to load, and the builder refuses what would mislead this."""
    found: dict[str, Exercise] = {}
    heading = ""
    for kind, part in _blocks(text):
        if kind == "heading":
            heading = part
        else:
            for name in _CHECK.findall(part):
                found.setdefault(name, Exercise(name, heading))
    return tuple(found.values())


def _blocks(text: str) -> Iterator[tuple[str, str]]:
    """Headings and the code of cells, in their order."""
    fence, is_cell, code = "", False, list[str]()
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" `~"):
                if is_cell:
                    yield "code", "\n".join(code)
                fence = ""
            else:
                code.append(line)
        elif mark:
            fence, is_cell, code = mark[1], "{code-cell}" in line, []
        elif heading := _HEADING.match(line):
            yield "heading", _COMMENT.sub("", heading[1]).strip()
