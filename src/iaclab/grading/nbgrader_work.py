"""One submission as a job, and what comes of it: what goes to a worker process and back, on this machine or another.

A job holds everything that is graded, so that a worker on another machine needs the course and its tools, and no
shared folder. A worker keeps its world warm from one job to the next.
"""

from __future__ import annotations

import atexit
import hashlib
import multiprocessing.connection
import os
import tempfile
import threading
import time
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import iaclab
from iaclab import checks, lessons
from iaclab.build.lab import Graded as GradedCell
from iaclab.build.lab import graded
from iaclab.errors import LabError


@dataclass(frozen=True)
class Job:
    """One submission.

    `files` are those handed in beside the notebook, by their path; `hidden` is the text of the lab's hidden checks;
    `course` says which text and version of the course the instructor has.
    """

    lab: str
    student: str
    notebook: bytes
    files: dict[str, bytes]
    hidden: str | None
    table: tuple[GradedCell, ...]
    course: str
    unsafe: bool = False


@dataclass
class Outcome:
    """What came of a job: the notebook as JSON text with outputs, and (points, of, comment) by grade_id.

    `details` are for instructors: what each check saw, hidden ones too. `refused` says why nothing was graded.
    """

    student: str
    notebook: str = ""
    marks: dict[str, tuple[float, float, str]] = field(default_factory=dict)
    details: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    seconds: float = 0
    refused: str = ""


def course_id(lab: str) -> str:
    """The version of this package, a lab's text and its checks: two machines that grade together must have the same."""
    source = lessons.lesson(lab).source
    modules = {entry.check.partition(".")[0] for entry in graded(source)} - {""}
    folder = Path(checks.__file__).parent
    files = [
        path for name in sorted(modules) for path in (folder / f"{name}.py", *sorted((folder / name).rglob("*.py")))
    ]
    seen = hashlib.sha256(source.read_bytes())
    for path in files:
        seen.update(path.read_bytes() if path.exists() else b"")
    return f"{iaclab.__version__} {seen.hexdigest()[:12]}"


_own_course = cache(course_id)  # what this process has loaded, whatever changes on the disk later
_world: tuple[str, bool, Any] | None = None  # of this worker: lab, unsafe, World


def work(job: Job) -> Outcome:
    """Grade one submission in this process' world.

    Raises:
        LabError: no submission can be graded here: no sandbox, another version of the course, a service that is down.
    """
    if (here := _own_course(job.lab)) != job.course:
        raise LabError("A worker has another version of the course.", why=f"{here}, not {job.course}")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="iaclab-job-") as scratch:
        root = Path(scratch)
        (root / "files").mkdir()
        notebook = root / f"{job.lab}.ipynb"
        notebook.write_bytes(job.notebook)
        for name, content in job.files.items():
            target = root / "files" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        hidden = None
        if job.hidden is not None:
            hidden = root / "hidden.py"
            hidden.write_text(job.hidden)
        try:
            outcome = _grade(job, notebook, hidden, root / "files")
        except BaseException:
            close()  # the next submission gets a world of its own
            raise
    outcome.seconds = time.monotonic() - started
    return outcome


def attempt(job: Job) -> Outcome | LabError:
    """As `work`, for workers elsewhere: what cannot be graded comes back as a value, not as a failure of the worker."""
    try:
        return work(job)
    except LabError as error:
        return error


def close() -> None:
    """End this process' world."""
    global _world
    if _world:
        _world[2].close()
        _world = None


def end_with_parent() -> None:
    """Have this process end, with its world, when the one that started it is gone, whatever ended that one."""
    parent = multiprocessing.parent_process()
    assert parent, "only a child has a parent"

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        try:
            close()
        finally:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def entry(job: Job, outcome: Outcome) -> dict[str, Any]:
    """What the report keeps of a graded submission."""
    from iaclab.grading.nbgrader_job import digest

    return {
        "digest": digest(job),
        "points": sum(points for points, _, _ in outcome.marks.values()),
        "of": sum(of for _, of, _ in outcome.marks.values()),
        "seconds": round(outcome.seconds, 1),
        "checks": outcome.details,
        "notes": outcome.notes,
    }


def _grade(job: Job, notebook: Path, hidden: Path | None, files: Path) -> Outcome:
    import nbformat

    from iaclab.grading import BadSubmission, grade

    world = _open(job.lab, job.unsafe)
    try:
        result = grade(notebook, job.lab, world=world, hidden=hidden, files=files, table=job.table)
    except BadSubmission as error:
        return Outcome(job.student, refused=f"{error.what} {error.why}".strip())
    report = result.report
    return Outcome(
        job.student,
        notebook=str(nbformat.writes(result.notebook)),
        marks={name: (mark.points, mark.of, mark.comment) for name, mark in result.marks(job.table).items()},
        details=[f"{v.check}: {v.points} of {v.of}: {v.title}: {v.seen}" for v in result.verdicts.values()],
        notes=[*report.notes, *(f"cell {cell.index}: {cell.what}: {cell.why}" for cell in report.cells)],
    )


def _open(lab: str, unsafe: bool) -> Any:
    global _world
    from iaclab.grading import World

    if _world and _world[:2] != (lab, unsafe):
        close()
    if _world is None:
        _world = (lab, unsafe, World.open(lab, unsafe=unsafe))
        atexit.register(close)
    return _world[2]
