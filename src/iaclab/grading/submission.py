"""Grade one submission: run it, then look at what it has left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat

from iaclab import lessons
from iaclab.errors import LabError
from iaclab.grading import intake, runner
from iaclab.grading.answers import Answer, answers, is_right
from iaclab.grading.bench import judge
from iaclab.grading.desk import Desk
from iaclab.grading.limits import Limits
from iaclab.grading.runner import Report
from iaclab.grading.verdict import HIDDEN, Verdict
from iaclab.grading.world import World
from iaclab.quiz import marking

if TYPE_CHECKING:
    from iaclab.build.lab import Graded as Entry


@dataclass(frozen=True)
class Mark:
    """The score of one graded cell. `comment` is for the learner, and never shows hidden checks."""

    points: float
    of: float
    comment: str


@dataclass(frozen=True)
class Graded:
    """What came of a submission.

    Args:
        notebook: its cells with their outputs, without scripts; graded cells say what the grader saw.
        verdicts: by check name, hidden ones as `hidden:<name>`.
        answers: by the question's name.
        report: how it ran.
        seconds: wall time by step: `reset`, `run`, `judge`, `all`.
    """

    notebook: Any
    verdicts: dict[str, Verdict]
    answers: dict[str, Answer]
    report: Report
    seconds: dict[str, float] = field(default_factory=dict)

    def marks(self, table: Sequence[Entry]) -> dict[str, Mark]:
        """The score of every cell that is graded by machine, by its grade_id.

        Args:
            table: the graded cells of the instructor's text (`iaclab.build.lab.graded`), which names their checks.
        """
        found = {}
        for entry in table:
            if entry.kind == "check":
                found[entry.id] = self._of_check(entry)
            elif entry.kind == "question":
                found[entry.id] = self._of_question(entry)
            elif entry.kind == "quiz":
                found[entry.id] = self._of_quiz(entry)
        return found

    def _of_check(self, entry: Entry) -> Mark:
        shown = self.verdicts[entry.check]
        hidden = [self.verdicts[HIDDEN + name] for name in entry.hidden]
        points = shown.points + sum(verdict.points for verdict in hidden)
        comment = str(shown)
        if hidden:
            passed = sum(verdict.passed for verdict in hidden)
            comment += f"\nlooked at after you submitted: {passed} of {len(hidden)} passed"
        return Mark(points, entry.points, comment)

    def _of_question(self, entry: Entry) -> Mark:
        given = self.answers.get(entry.id.removeprefix("question-"), Answer(why="its cell is not there"))
        right = is_right(given, entry.expected)
        comment = "right" if right else given.why or "not the right answer"
        return Mark(entry.points if right else 0, entry.points, comment)

    def _of_quiz(self, entry: Entry) -> Mark:
        missing = Answer(why="its cell is not there")
        given = self.answers.get(entry.id.removeprefix("quiz-"), missing)
        points, comment = marking.mark(entry.expected, given, self.answers.get("sheet", missing))
        return Mark(points, entry.points, comment)


def grade(
    notebook_path: Path,
    lab_id: str,
    *,
    world: World,
    limits: Limits | None = None,
    hidden: Path | None = None,
    files: Path | None = None,
    table: Sequence[Entry] | None = None,
    patience: float = 1.0,
) -> Graded:
    """Run a submission in a world, and look at what it has left. Writes nothing but what it returns.

    Args:
        notebook_path: the notebook that was handed in.
        lab_id: the lab; it must be the world's.
        hidden: the file of hidden checks.
        files: a folder whose regular files are put into the work folder first.
        table: the lab's graded cells; default: those of its text.
        patience: by which each check's `within` is multiplied.

    Raises:
        BadSubmission: the notebook cannot be read.
        LabError: the grader itself cannot work: a check that is not there, a world that cannot be made anew.
    """
    if lab_id != world.lab:
        raise LabError(f"This world is for {world.lab}, not for {lab_id}.")
    limits, started = limits or Limits(), time.monotonic()
    notebook = intake.read(notebook_path, limits)
    entries = list(_table(lab_id) if table is None else table)
    notes: list[str] = []
    beside = list(intake.files_beside(files, limits, notes)) if files else []
    given = answers(notebook)
    world.reset()
    seconds = {"reset": time.monotonic() - started}
    with world.desk() as desk:
        for name, content in beside:
            desk.put(name, content)
        report = runner.run(notebook, world, desk, limits)
        report.notes += notes
        seconds["run"] = report.seconds
        before = time.monotonic()
        names = [n for e in entries if e.kind == "check" for n in (e.check, *(HIDDEN + h for h in e.hidden))]
        said = _judged(world, desk, names, hidden, limits, patience, report) if names else []
        seconds["judge"] = time.monotonic() - before
    verdicts = {verdict.check: verdict for verdict in said}
    _show(notebook, entries, verdicts)
    seconds["all"] = time.monotonic() - started
    return Graded(notebook, verdicts, given, report, seconds)


def _judged(
    world: World, desk: Desk, names: list[str], hidden: Path | None, limits: Limits, patience: float, report: Report
) -> list[Verdict]:
    """What the checks say. Services with which a submission has tampered are made anew first, with nothing of its."""
    for is_last in (False, True):
        if why := world.settle():
            report.notes.append(f"{why} They were made anew before the checks looked at them.")
        said = judge(world, desk, names, hidden=hidden, limits=limits, patience=patience)
        if is_last or not (why := world.settle()):
            return said
        report.notes.append(f"{why} The checks looked once more, at services made anew.")
    raise AssertionError


def _table(lab_id: str) -> Sequence[Entry]:
    from iaclab.build import lab

    return lab.graded(lessons.lesson(lab_id).source)


def _show(notebook: Any, entries: Sequence[Entry], verdicts: dict[str, Verdict]) -> None:
    """What the grader saw stands below the cells of the checks, in place of what they said in the kernel."""
    shown = {entry.id: verdicts[entry.check] for entry in entries if entry.kind == "check"}
    for cell in notebook.cells:
        verdict = shown.get(cell.metadata.get("nbgrader", {}).get("grade_id"))
        if verdict and cell.cell_type == "code":
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"{verdict}\n")]
