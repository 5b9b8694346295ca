"""The trusted grader in the place of nbgrader's own execution: `nbgrader autograde` and formgrader's button use it.

`c.Autograde` names these steps (see `nbgrader_settings.py`). A submission is graded in a child process, whose world
stays warm for the next one; where nothing is graded for some minutes it ends.
"""

from __future__ import annotations

import atexit
import multiprocessing
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from nbgrader import utils  # type: ignore[import-untyped]
from nbgrader.preprocessors import NbGraderPreprocessor  # type: ignore[import-untyped]

from iaclab.build import lab as form
from iaclab.errors import LabError
from iaclab.grading import intake, nbgrader_work
from iaclab.grading import nbgrader_marks as marks
from iaclab.grading.limits import Limits
from iaclab.grading.nbgrader_inbound import SetAside
from iaclab.grading.nbgrader_job import brief_of, job_of, lab_of
from iaclab.grading.nbgrader_report import note_aside, note_graded

_IDLE = 300  # seconds until an unused world ends


class TrustedExecute(NbGraderPreprocessor):  # type: ignore[misc]
    """Grades one submission: its cells get the outputs of their run, its graded cells the points of the trusted grader.

    Raises:
        LabError: it cannot be graded, or nothing can be graded here.
    """

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Run and judge; nbgrader's next steps read the scores from the cells."""
        import nbformat

        about, course = resources["nbgrader"], self.parent.parent.coursedir
        student, name = about["student"], about["assignment"]
        source = lab_of(name).source
        folder = Path(course.format_path(course.submitted_directory, student, name))
        job = job_of(brief_of(name), student, folder)
        outcome = _worker.run(job)
        root = Path(course.root)
        if outcome.refused:
            note_aside(root, name, student, outcome.refused)
            raise LabError(f"{student} was not graded.", why=outcome.refused)
        marks.take_outputs(nb, nbformat.reads(outcome.notebook, as_version=4))
        marks.put(nb, outcome.marks)
        marks.put_rubrics(nb, marks.rubrics(form.instructor_cells(source)[0]))
        note_graded(root, name, student, nbgrader_work.entry(job, outcome))
        return nb, resources


class DropRubrics(NbGraderPreprocessor):  # type: ignore[misc]
    """Takes out of feedback what is not for learners: rubrics, and the bare number that nbgrader reads points from."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Drop the cells tagged `rubric`, and the results of graded cells; what the grader said stays."""
        nb.cells = [cell for cell in nb.cells if marks.RUBRIC not in form.tags_of(cell)]
        for cell in nb.cells:
            if cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell):
                cell.outputs = [output for output in cell.outputs if output.output_type != "execute_result"]
        return nb, resources


def admit(*, assignment: str, student: str, notebooks: list[str]) -> None:
    """Before nbgrader copies a submission: one that holds anything but plain files, or too much, is moved aside.

    nbgrader calls this with the notebooks of one submission and ignores errors; what is gone it cannot copy.
    """
    del student  # nbgrader's pattern, not a name
    for folder in {Path(name).absolute().parent for name in notebooks}:
        try:
            job = job_of(brief_of(assignment), folder.parent.name, folder)
            intake.notebook(intake.document(job.notebook), Limits())
        except (SetAside, intake.BadSubmission) as why:
            root = folder.parents[2]
            target = root / "aside" / folder.parent.name / folder.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.rmtree(target, ignore_errors=True)
            folder.rename(target)
            said = " ".join(str(why).split())
            note_aside(root, assignment, folder.parent.name, f"{said}; moved to {target.relative_to(root)}")


class _Worker:
    """One child process that grades, until nobody has needed it for a while."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pool: ProcessPoolExecutor | None = None
        self._timer: threading.Timer | None = None

    def run(self, job: nbgrader_work.Job) -> nbgrader_work.Outcome:
        with self._lock:
            if self._timer:
                self._timer.cancel()
            if self._pool is None:
                spawn = multiprocessing.get_context("spawn")
                self._pool = ProcessPoolExecutor(1, spawn, initializer=nbgrader_work.end_with_parent)
            try:
                return self._pool.submit(nbgrader_work.work, job).result()
            except BaseException:  # also Ctrl-C: what it left half done must not serve the next submission
                self._end()
                raise
            finally:
                self._timer = threading.Timer(_IDLE, self.end)
                self._timer.daemon = True
                self._timer.start()

    def end(self) -> None:
        with self._lock:
            self._end()

    def _end(self) -> None:
        if self._pool:
            pool, self._pool = self._pool, None
            pool.shutdown()  # the child ends its world as it ends


_worker = _Worker()
atexit.register(_worker.end)
