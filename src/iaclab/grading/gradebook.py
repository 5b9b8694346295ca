"""The one writer: what came of a submission goes into the gradebook and into `autograded/`, through nbgrader's own API.

Workers grade side by side; only the process that started them writes, one submission after the other. The gradebook is
SQLite or PostgreSQL, as `c.CourseDirectory.db_url` says.
"""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any

from nbgrader import utils  # type: ignore[import-untyped]
from nbgrader.api import Gradebook, MissingEntry  # type: ignore[import-untyped]
from nbgrader.preprocessors import AssignLatePenalties, LimitOutput  # type: ignore[import-untyped]
from sqlalchemy.exc import SAWarning, SQLAlchemyError

from iaclab.build import lab as form
from iaclab.build.lab import Graded as GradedCell
from iaclab.errors import LabError
from iaclab.grading import nbgrader_marks as marks
from iaclab.grading.nbgrader_cells import known, restore
from iaclab.grading.nbgrader_course import Course
from iaclab.grading.nbgrader_inbound import TIMESTAMP
from iaclab.grading.nbgrader_report import note_graded
from iaclab.grading.nbgrader_settings import programs_on_path
from iaclab.grading.nbgrader_work import Job, Outcome, entry

_READ_ONLY = 0o444  # as nbgrader's own


class Writer:
    """Writes the outcomes of one lab; a context manager.

    Args:
        course: the course folder and its settings.
        lab: the lab's id.
        table: the graded cells of the lab's text.

    Raises:
        LabError: the gradebook does not know the lab, or knows it with other cells or points than its text has.
    """

    def __init__(self, course: Course, lab: str, table: list[GradedCell], source: Path) -> None:
        self._course, self._lab = course, lab
        self._rubrics = marks.rubrics(form.instructor_cells(source)[0])
        self._limit = LimitOutput(parent=course.app)
        self._gradebook = course.gradebook()
        # nbgrader commits after each step of a submission; the one writer need not read its own rows again each time.
        self._gradebook.db().expire_on_commit = False
        try:
            self._known = known(self._gradebook, lab, lab)
        except MissingEntry as error:
            raise _unknown(lab) from error
        wanted = {cell.id: float(cell.points) for cell in table}
        has = {cell.id: cell.points for cell in self._known.values() if cell.points is not None}
        if has != wanted:
            raise LabError(
                f"The gradebook has other graded cells for {lab} than its text.",
                why=f"They differ in {', '.join(sorted(k for k in {*has, *wanted} if has.get(k) != wanted.get(k)))}.",
                mend=f"nbgrader generate_assignment {lab} --force",
            )

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._gradebook.close()

    def is_graded(self, student: str) -> bool:
        """Whether the gradebook and `autograded/` have a result of this student."""
        try:
            self._gradebook.find_submission(self._lab, student)
        except MissingEntry:
            return False
        return (self._course.folder("autograded", student, self._lab) / f"{self._lab}.ipynb").exists()

    def write(self, job: Job, outcome: Outcome) -> Any:
        """Write one outcome; a submission that was graded before gets the new scores, manual ones stay for review.

        Returns:
            nbgrader's entry of the submission: `score`, `max_score`, `needs_manual_grade`.
        """
        import nbformat

        nb = nbformat.reads(outcome.notebook, as_version=4)
        outcome.notes += restore(nb, self._known)
        marks.put(nb, outcome.marks)
        marks.put_rubrics(nb, self._rubrics)
        nb, _ = self._limit.preprocess(nb, {})
        self._save(job, str(nbformat.writes(nb)))
        submission = self._record(job, nb)
        note_graded(self._course.root, self._lab, job.student, entry(job, outcome))
        return submission

    def _save(self, job: Job, notebook: str) -> None:
        """Put the graded notebook and what came with it in their place, all at once."""
        target = self._course.folder("autograded", job.student, self._lab)
        aside = target.with_name(f".{target.name}.new")
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(self._course.folder("submitted", job.student, self._lab), aside, symlinks=True)
        (aside / f"{self._lab}.ipynb").unlink(missing_ok=True)
        (aside / f"{self._lab}.ipynb").write_text(notebook)
        (aside / f"{self._lab}.ipynb").chmod(_READ_ONLY)
        shutil.rmtree(target, ignore_errors=True)
        aside.rename(target)

    def _record(self, job: Job, nb: Any) -> Any:
        """The scores, with one commit."""
        book = self._gradebook
        with warnings.catch_warnings(category=SAWarning, action="ignore"):  # nbgrader's own; nothing is lost
            book.update_or_create_student(job.student)
            at = self._handed_in(job.student)
            submission = book.update_or_create_submission(self._lab, job.student, timestamp=at)
        own = next(found for found in submission.notebooks if found.name == self._lab)
        grades = {grade.name: grade for grade in own.grades}
        comments = {comment.name: comment for comment in own.comments}
        for cell in nb.cells:
            if utils.is_grade(cell):
                grade = grades[cell.metadata.nbgrader["grade_id"]]
                grade.auto_score, _ = utils.determine_grade(cell)
                grade.needs_manual_grade = grade.manual_score is not None or grade.auto_score is None
            if utils.is_solution(cell):
                untouched = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
                name = cell.metadata.nbgrader["grade_id"]
                comments[name].auto_comment = "No response." if untouched else None
        own.late_submission_penalty = None
        book.db.commit()
        if submission.total_seconds_late > 0:
            self._penalise(job.student, nb)
        book.db.expire_all()  # scores are sums that the database makes
        return submission

    def _handed_in(self, student: str) -> Any:
        """When it was handed in, as `nbgrader collect` noted it; None where it did not come that way."""
        try:
            text = (self._course.folder("submitted", student, self._lab) / TIMESTAMP).read_text()
            return utils.parse_utc(text.strip())
        except (OSError, ValueError, OverflowError):
            return None

    def _penalise(self, student: str, nb: Any) -> None:
        about = {"notebook": self._lab, "assignment": self._lab, "student": student, "db_url": self._course.db_url}
        AssignLatePenalties(parent=self._course.app).preprocess(nb, {"nbgrader": about})


def _unknown(lab: str) -> LabError:
    return LabError(
        f"The gradebook does not know {lab}.",
        why="nbgrader generate_assignment puts a lab's cells and points into it.",
        mend=f"nbgrader generate_assignment {lab}",
    )


def open_gradebook(db_url: str, course_id: str) -> Gradebook:
    """The gradebook at an address.

    Raises:
        LabError: it cannot be opened.
    """
    programs_on_path()
    try:
        return Gradebook(db_url, course_id)
    except (SQLAlchemyError, ImportError) as error:
        raise LabError(
            "The gradebook cannot be opened.",
            why=" ".join(str(error).split())[:200],
            mend="grep db_url nbgrader_config.py   # or: nbgrader db upgrade",
        ) from error
