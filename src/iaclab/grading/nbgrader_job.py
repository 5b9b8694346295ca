"""A collected submission's folder as a job, and the lab that an instructor names."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iaclab import lessons
from iaclab.build import hidden
from iaclab.build.lab import Graded, graded
from iaclab.errors import LabError
from iaclab.grading import nbgrader_inbound as inbound
from iaclab.grading.limits import Limits
from iaclab.grading.nbgrader_inbound import SetAside
from iaclab.grading.nbgrader_report import printable
from iaclab.grading.nbgrader_work import Job, course_id
from iaclab.lessons import Lesson
from iaclab.quiz import bank, marking
from iaclab.quiz.bank import Bank
from iaclab.quiz.draw import sheet

_OF_NBGRADER = {inbound.TIMESTAMP, inbound.SECRET}


def lab_of(name: str) -> Lesson:
    """The lab called `name`, or the one whose name begins so: `lab2` for `lab2-gitops-argocd`.

    Raises:
        LabError: there is none.
    """
    known = [entry for entry in lessons.lessons() if entry.source.parent.name == "labs"]
    fitting = [e for e in known if e.id == name] or [e for e in known if e.id.startswith(f"{name}-")]
    if len(fitting) == 1:
        return fitting[0]
    raise LabError(
        f"There is no lab '{name}'.",
        why="Labs: " + ", ".join(entry.id for entry in known) + ".",
        mend=f"iaclab grade {known[0].id if known else 'LAB'}",
    )


@dataclass(frozen=True)
class Brief:
    """What every submission of a lab is graded by; read once for all of them."""

    lab: str
    hidden: str | None
    table: tuple[Graded, ...]
    course: str
    bank: Bank | None = None


def brief_of(name: str) -> Brief:
    """Read what submissions of a lab are graded by.

    Args:
        name: the lab's id.
    """
    source = lab_of(name).source
    secret = hidden.hidden_file(source.resolve())
    text = secret.read_text() if secret.exists() else None
    table = tuple(graded(source))
    is_quiz = any(entry.kind == "quiz" for entry in table)
    return Brief(name, text, table, course_id(name), _with_key() if is_quiz else None)


def job_of(brief: Brief, student: str, folder: Path, *, unsafe: bool = False) -> Job:
    """Read a submission's folder: plain files only.

    Args:
        brief: what it is graded by.
        student: whose it is.
        folder: `submitted/<student>/<lab>`.
        unsafe: grade without a sandbox.

    Raises:
        SetAside: it holds anything else, too much, or no notebook of the lab.
    """
    files = dict(_files(folder))
    notebook = files.pop(f"{brief.lab}.ipynb", None)
    if notebook is None:
        others = sorted(path for path in files if path.endswith(".ipynb"))
        instead = f", but {printable(others[0])}" if others else ""
        raise SetAside(f"there is no {brief.lab}.ipynb{instead}")
    return Job(
        lab=brief.lab,
        student=student,
        notebook=notebook,
        files={path: text for path, text in files.items() if path not in _OF_NBGRADER},
        hidden=brief.hidden,
        table=own_table(brief, student),
        course=brief.course,
        unsafe=unsafe,
    )


def own_table(brief: Brief, student: str) -> tuple[Graded, ...]:
    """The graded cells of a lab, those of a quiz with the questions of this student."""
    if brief.bank is None:
        return brief.table
    own = sheet(student, brief.bank)
    return tuple(
        dataclasses.replace(entry, expected=marking.part(own, int(entry.id.rpartition("-")[2])))
        if entry.kind == "quiz"
        else entry
        for entry in brief.table
    )


def _with_key() -> Bank:
    """The bank of the quiz.

    Raises:
        LabError: what is here is an edition for learners.
    """
    found = bank.load()
    if missing := found.keyless:
        raise LabError(
            "The quiz cannot be graded here.",
            why=f"Its bank is without the key: {missing[0]} and {len(missing) - 1} others.",
            mend="export IACLAB_QUIZ=/path/to/content/quiz",
        )
    return found


def digest(job: Job) -> str:
    """Changes when the submission changes, or what it is graded by."""
    seen = hashlib.sha256(f"{job.course}\n{job.hidden}\n{job.table}\n".encode())
    for path, text in sorted({**job.files, "": job.notebook}.items()):
        seen.update(f"{path!r} {len(text)}\n".encode() + text)
    return seen.hexdigest()


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """The files of a folder by their path within it."""
    limits, total = Limits(), 0
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            for path, info, file in inbound.walk(handle):
                if file is None:
                    continue
                total += info.st_size
                if info.st_size > limits.notebook_size or total > inbound.MOST_BYTES:
                    raise SetAside(f"{path!r} is too large: {info.st_size >> 20} MB")
                with os.fdopen(os.dup(file), "rb") as source:
                    yield path, source.read(info.st_size)
        finally:
            os.close(handle)
    except OSError as error:
        raise SetAside(f"it cannot be read: {error.strerror}") from error
