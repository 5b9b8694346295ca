"""`iaclab grade LAB`: grade what was collected, side by side, go on where it stopped, and say what came of it."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from iaclab.build import lab as form
from iaclab.errors import LabError
from iaclab.grading import nbgrader_report as reports
from iaclab.grading.nbgrader_course import Course, course
from iaclab.grading.nbgrader_inbound import SetAside
from iaclab.grading.nbgrader_job import brief_of, digest, job_of, lab_of
from iaclab.grading.nbgrader_work import Job

_WORLD = 3 << 30  # bytes of memory that a worker's services and one submission may need
Tell = Callable[[str], None]


@dataclass
class Result:
    """What came of a run, by student: `graded` now, `skipped` as unchanged, and why others were not graded."""

    graded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @property
    def status(self) -> int:
        """The exit status: 0 where every submission has a result."""
        return int(bool(self.aside or self.failed))


def run(
    name: str,
    student: str | None,
    workers: int | None,
    scheduler: str | None,
    unsafe: bool,
    console: Console,
) -> int:
    """Grade the collected submissions of a lab; returns the exit status.

    Args:
        name: the lab's id, or its beginning: `lab2`.
        student: only this one's.
        workers: on this machine; default: as many as it has cores and memory for.
        scheduler: the address of a Dask scheduler, whose workers are used instead.
        unsafe: grade without a sandbox.
        console: where progress and the summary go.

    Raises:
        LabError: nothing can be graded, and why.
    """
    where, lab = course(), lab_of(name)
    found = _collected(where, lab.id, student)
    if unsafe:
        console.print("Without a sandbox: submissions run as you, and can read and change whatever you can.")
    from iaclab.grading.gradebook import Writer

    with Writer(where, lab.id, form.graded(lab.source), lab.source) as writer:
        result = Result()
        jobs = _to_do(where, lab.id, found, writer.is_graded, result, unsafe)
        if jobs:
            _grade(jobs, writer, workers, scheduler, where, result, console)
    _summary(where, lab.id, sorted(found), result, console)
    return result.status


def _collected(where: Course, lab: str, student: str | None) -> dict[str, Path]:
    everybody = found = where.submitted(lab)
    if student is not None:
        found = {name: folder for name, folder in everybody.items() if name == student}
    if not found:
        raise LabError(
            f"Nothing of {student} is collected for {lab}." if student else f"Nothing is collected for {lab}.",
            why=f"Submissions lie in {where.folder('submitted', '<student>', lab)}."
            + (f" There are those of {', '.join(sorted(everybody))}." if everybody else ""),
            mend=f"cd {shlex.quote(str(where.root))} && nbgrader collect {lab}",
        )
    return found


def _to_do(
    where: Course,
    lab: str,
    found: dict[str, Path],
    is_graded: Callable[[str], bool],
    result: Result,
    unsafe: bool,
) -> list[Job]:
    """The submissions that are new, changed, or judged by other checks than before."""
    before, brief = reports.read(where.root, lab)["graded"], brief_of(lab)
    jobs = []
    for student, folder in found.items():
        try:
            job = job_of(brief, student, folder, unsafe=unsafe)
        except SetAside as why:
            result.aside[student] = str(why)
            reports.note_aside(where.root, lab, student, str(why))
            continue
        if before.get(student, {}).get("digest") == digest(job) and is_graded(student):
            result.skipped.append(student)
        else:
            jobs.append(job)
    return jobs


def _grade(
    jobs: list[Job],
    writer: object,
    workers: int | None,
    scheduler: str | None,
    where: Course,
    result: Result,
    console: Console,
) -> None:
    from iaclab.grading.gradebook import Writer
    from iaclab.grading.nbgrader_pool import Pool

    assert isinstance(writer, Writer)
    by_student = {job.student: job for job in jobs}
    with _progress(console, len(jobs)) as tell, Pool(min(workers or _fitting(), len(jobs)), scheduler) as pool:
        for student, outcome in pool.run(jobs):
            job = by_student[student]
            if isinstance(outcome, LabError) and not result.graded:
                raise outcome  # of the machine, not of the submission: the next one fares no better
            if isinstance(outcome, Exception):
                result.failed[student] = _say(outcome)
                tell(f"{student}: not graded: {result.failed[student]}")
            elif outcome.refused:
                result.aside[student] = outcome.refused
                reports.note_aside(where.root, job.lab, student, outcome.refused)
                tell(f"{student}: set aside: {outcome.refused}")
            else:
                submission = writer.write(job, outcome)
                result.graded.append(student)
                tell(f"{student}: {submission.score:g} of {submission.max_score:g}, {outcome.seconds:.1f} s")


def _fitting() -> int:
    """As many workers as there are cores, and as memory allows."""
    return max(1, min(os.cpu_count() or 1, psutil.virtual_memory().available // _WORLD))


@contextlib.contextmanager
def _progress(console: Console, total: int) -> Iterator[Tell]:
    """A bar that advances with each line; lines alone where output is not a terminal."""
    if not console.is_terminal:
        yield lambda line: console.print(escape(line), highlight=False, soft_wrap=True)
        return
    columns = (TextColumn("grading"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("grading", total=total)

        def tell(line: str) -> None:
            progress.console.print(escape(line), highlight=False)
            progress.advance(task)

        yield tell


def _summary(where: Course, lab: str, students: list[str], result: Result, console: Console) -> None:
    report = reports.read(where.root, lab)
    table = Table("student", "points", "of", "seconds", "", title=lab)
    with contextlib.closing(where.gradebook()) as gradebook:
        scores = {found.student.id: found for found in gradebook.assignment_submissions(lab)}
        for student in students:
            if why := result.aside.get(student) or result.failed.get(student):
                table.add_row(student, "", "", "", escape(f"not graded: {why}"))
                continue
            found, entry = scores[student], report["graded"].get(student, {})
            says = ["to be graded by hand"] if found.needs_manual_grade else []
            says += ["unchanged"] if student in result.skipped else []
            count = len(entry.get("notes", ()))
            says += [f"{count} note{'s' * (count > 1)} in the report"] if count else []
            row = (f"{found.score:g}", f"{found.max_score:g}", str(entry.get("seconds", "")), ", ".join(says))
            table.add_row(student, *row)
    console.print(table)
    for name, entry in report["aside"].items():
        if name not in students:
            console.print(f"set aside: {escape(name)}: {escape(entry['why'])}", highlight=False, soft_wrap=True)
    console.print(f"report: {reports.report_file(where.root, lab)}", highlight=False, soft_wrap=True)


def _say(error: Exception) -> str:
    if isinstance(error, LabError):
        return " ".join(filter(None, (error.what, error.why)))
    return f"a worker failed: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
