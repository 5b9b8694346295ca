"""A class of attackers with honest learners among them, collected and graded together in a town of its own."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from attacks import reading
from attacks.listening import Host
from attacks.reading import LAB, NOTEBOOK, Attack
from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from town import GOOD, SEVERAL, TEACHER, Town

HONEST = ("00-honest", "19-honest", "45-honest", "64-honest", "79-honest", "99-honest")
_SECONDS = 800
_RAN = re.compile(r"^([0-9]{2}-[a-z-]+|ada|ben|eve): (?:not graded|set aside|[0-9.]+ of)", re.MULTILINE)


class School(Town):
    """A town whose course has the lab that is attacked, and secrets in every place that an attack may look at."""

    def __init__(self, marks: dict[str, str]) -> None:
        self.marks = marks
        super().__init__()
        reading.install(self.clone, marks)
        self.own(self.clone, TEACHER)
        (self.home(TEACHER) / "secret").write_text(marks["home"])
        self.own(self.home(TEACHER), TEACHER)

    def env(self, who: str) -> dict[str, str]:
        """The teacher's has a secret in it, and the limits of the suite."""
        if who != TEACHER:
            return super().env(who)
        preload = str([str(Path(__file__).with_name("small_limits.py"))])
        return super().env(who) | {"PASSWORD": self.marks["environment"], "DASK_DISTRIBUTED__WORKER__PRELOAD": preload}

    @property
    def released(self) -> Path:
        """The notebook that learners get."""
        return self.inside / "release" / LAB / NOTEBOOK

    def folder(self, step: str, student: str) -> Path:
        """One of nbgrader's folders of a student."""
        return self.inside / step / student / LAB


@dataclass
class Outcome:
    """What came of one submission: `points` by the gradebook (None where it was not graded), `said` in its outputs."""

    points: float | None = None
    said: str = ""
    notes: list[str] = field(default_factory=list)
    aside: str = ""
    seconds: float = 0
    notebook: str = ""


@dataclass
class Batch:
    """What came of all of them, by student, and by name in the exchange of what was not collected.

    `outlived` are students whose processes were alive after their result; `left` are processes alive at the end;
    `changed` are files of the course that are not as they were; `calls` are those that the host's services got.
    """

    outcomes: dict[str, Outcome]
    inbound: dict[str, Outcome]
    log: str
    status: int
    seconds: float
    outlived: set[str]
    left: list[str]
    changed: list[str]
    calls: list[str]
    feedback: dict[str, str]


def run(school: School, host: Host, attacks: list[Attack], workers: int = 2) -> Batch:
    """Release, hand in, collect, grade, give feedback."""
    _release(school)
    _plant(school)
    _hand_in(school, host, attacks)
    before = _fingerprints(school)
    watch = _Watch(school, host.port, workers)
    watch.run()
    batch = Batch(
        outcomes={name: _outcome(school, name) for name in _students(school)},
        inbound=_not_collected(school, attacks),
        log=watch.log,
        status=watch.status,
        seconds=watch.seconds,
        outlived=watch.outlived,
        left=watch.left(),
        changed=[name for name, print_ in _fingerprints(school).items() if before.get(name) != print_],
        calls=host.calls,
        feedback=_feedback(school, ["84-script-for-the-instructor", "66-links-to-secrets", "00-honest"]),
    )
    return batch


def _release(school: School) -> None:
    school.run(TEACHER, "python", "iaclab.build", "--instructor")
    school.run(TEACHER, "nbgrader", "generate_assignment", LAB)
    school.run(TEACHER, "nbgrader", "release_assignment", LAB)


def _plant(school: School) -> None:
    """A secret in the gradebook: a student's name, and a comment."""
    with Gradebook(f"sqlite:///{school.inside / 'gradebook.db'}") as gradebook:
        gradebook.add_student("victim", first_name=school.marks["gradebook"])
    school.own(school.inside / "gradebook.db", TEACHER)


def _hand_in(school: School, host: Host, attacks: list[Attack]) -> None:
    values = {"REPO": str(school.repo), "COURSE": str(school.course), "PYTHON": sys.executable, **host.values()}
    for name in HONEST:
        reading.honest(school.released, school.folder("submitted", name), school.marks["neighbour"])
    inbound = school.exchange / "iaclab" / "inbound"
    if SEVERAL:
        reading.honest(school.released, inbound / f"{GOOD}+{LAB}+2026-01-01 00:00:00.000000 UTC+XXXXXXXXXXXX")
        school.own(inbound / f"{GOOD}+{LAB}+2026-01-01 00:00:00.000000 UTC+XXXXXXXXXXXX", GOOD)
    for attack in attacks:
        if not attack.inbound:
            attack.hand_in(school.released, school.folder("submitted", attack.name), values)
        elif SEVERAL:
            attack.hand_in(school.released, inbound / attack.inbound, values)
            school.own(inbound / attack.inbound, attack.by or attack.inbound.partition("+")[0])
    school.own(school.inside / "submitted", TEACHER)
    if SEVERAL:
        school.run(TEACHER, "nbgrader", "collect", LAB)


def _students(school: School) -> list[str]:
    return sorted(path.name for path in (school.inside / "submitted").iterdir())


class _Watch:
    """Runs the grader, and looks meanwhile whose processes are alive."""

    def __init__(self, school: School, port: int, workers: int) -> None:
        self._school, self._port, self._workers = school, port, workers
        self.log, self.status, self.seconds = "", -1, 0.0
        self.outlived: set[str] = set()
        self._seen: dict[int, float] = {}

    def run(self) -> None:
        started = time.monotonic()
        argv = [sys.executable, "-m", "iaclab.cli", "grade", LAB, "--workers", str(self._workers)]
        grader = self._school.start(TEACHER, *argv)
        try:
            while grader.poll() is None:
                self._look(grader.pid)
                assert time.monotonic() - started < _SECONDS, f"grading does not end\n{self.log[-3000:]}"
                time.sleep(0.25)
        finally:
            if grader.poll() is None:
                os.killpg(grader.pid, signal.SIGKILL)
        self.seconds, self.status = time.monotonic() - started, grader.returncode
        self.log = (self._school.base / "started.log").read_text(errors="replace")

    def _look(self, grader: int) -> None:
        """Whose result is out must have no process any more; what runs now must be gone at the end."""
        self.log = (self._school.base / "started.log").read_text(errors="replace")
        done = set(_RAN.findall(self.log))
        with contextlib.suppress(psutil.Error):
            for process in psutil.Process(grader).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    self._seen[process.pid] = process.create_time()
        self.outlived |= {name for name in marked(self._port) if name in done}

    def left(self) -> list[str]:
        """Processes of the grader, or marked as a submission's, that are still alive."""
        alive = [f"{name} is alive" for name in marked(self._port)]
        for pid, created in self._seen.items():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.create_time() == created and process.status() != psutil.STATUS_ZOMBIE:
                    alive.append(f"{pid}: {process.cmdline()}")
        return alive


def marked(port: int) -> set[str]:
    """The names of attacks of this run whose processes are alive: those that mean to outlive their notebook say so."""
    mark = f"outlives-{port}-"
    found = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            found |= {word.removeprefix(mark) for word in process.cmdline() if word.startswith(mark)}
    return found


def _fingerprints(school: School) -> dict[str, str]:
    """What each file of the course is that nobody but the teacher may change, and grading does not."""
    folders = [school.clone / "content", school.clone / "src", school.inside / "hidden", school.inside / "source"]
    folders += [school.inside / "release", school.inside / "submitted"]
    return {
        str(path.relative_to(school.clone)): hashlib.sha256(path.read_bytes()).hexdigest()
        for folder in folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and "__pycache__" not in path.parts
    }


def _outcome(school: School, name: str) -> Outcome:
    report = json.loads((school.inside / "reports" / f"{LAB}.json").read_text())
    found = Outcome(aside=report["aside"].get(name, {}).get("why", ""))
    entry: dict[str, Any] = report["graded"].get(name, {})
    found.notes, found.seconds = entry.get("notes", []), entry.get("seconds", 0)
    path = school.folder("autograded", name) / NOTEBOOK
    if path.exists():
        found.notebook = path.read_text()
        outputs = [o for cell in json.loads(found.notebook)["cells"] for o in cell.get("outputs", [])]
        found.said = "\n".join(map(_text, outputs))
    with Gradebook(f"sqlite:///{school.inside / 'gradebook.db'}") as gradebook:
        for submission in gradebook.assignment_submissions(LAB):
            if submission.student.id == name:
                found.points = submission.score
    return found


def _not_collected(school: School, attacks: list[Attack]) -> dict[str, Outcome]:
    aside = json.loads((school.inside / "reports" / f"{LAB}.json").read_text())["aside"]
    return {a.inbound: Outcome(aside=aside[a.inbound]["why"]) for a in attacks if a.inbound in aside}


def _text(output: dict[str, Any]) -> str:
    parts = [output.get("text", ""), output.get("evalue", ""), output.get("ename", "")]
    parts += output.get("data", {}).values()
    return "".join("".join(part) for part in parts)


def _feedback(school: School, names: list[str]) -> dict[str, str]:
    pages = {}
    for name in names:
        school.run(TEACHER, "nbgrader", "generate_feedback", LAB, f"--student={name}")
        pages[name] = (school.folder("feedback", name) / f"{LAB}.html").read_text()
    return pages
