"""Grading: a class beside stock nbgrader, kernels cold and warm, two workers beside one, lab 2, 1,000 submissions.

The class is graded in the town of the tests (`tests/grading/town.py`): a clone of the course with a small lab.
"""

from __future__ import annotations

import importlib
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from bench import memory
from bench.table import Row, median, timed
from iaclab import lessons, paths
from iaclab.build import hidden, notebook
from iaclab.grading import World, grade
from iaclab.grading.nbgrader_job import brief_of
from iaclab.grading.nbgrader_pool import Pool
from iaclab.grading.nbgrader_work import Job

TITLE = "Grading"
CLASS = 30  # trivial submissions
TIMES = 3  # the class is graded by each number of workers; the run in the middle counts
LAB = "lab0-files"
NOTEBOOK = f"{LAB}.ipynb"
REAL = "lab2-gitops-argocd"
MANY, WORKERS, CORES = 1000, 50, 2  # the calculation's submissions, workers, and cores of one of its machines
_STOCK = 'c = get_config()\nc.CourseDirectory.course_id = "iaclab"\n'
_TESTS = {
    "lab0-region": 'assert open("region.txt").read().strip() == "eu-west-1"',
    "lab0-nodes": 'import json\n\nassert len(set(json.load(open("nodes.json")))) == 3',
    "question-gpus": "assert ANSWER == 24",
}


@dataclass(frozen=True)
class Ran:
    """One grading of the class.

    Args:
        seconds: of the whole command.
        each: seconds from one result to the next, when all workers are warm.
        main: processor seconds of the one process that hands out and writes, for each submission, when all are warm.
        busy: processor seconds of the machine meanwhile, for each submission.
    """

    seconds: float
    each: float
    main: float
    busy: float


@dataclass(frozen=True)
class Real:
    """Lab 2's solution, graded: seconds of the world's start and of each step, bytes of memory, processor seconds."""

    opened: float
    cold: float
    warm: dict[str, float]
    memory: int
    busy: float


def rows() -> Iterator[Row]:
    """The measurements."""
    yield from _kernels()
    one, two = yield from _class()
    real = yield from _real()
    yield from _side_by_side(real)
    yield from _many(one, two, real)


def _kernels() -> Iterator[Row]:
    """From nothing, as nbgrader starts one for each submission; and a fork in a sandbox of its own."""
    cold = median([timed(_cold_kernel) for _ in range(3)])
    with World.open("tiny", needs=()) as world, tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.ipynb")
        _write_cells(path, "1")
        grade(path, "tiny", world=world, table=[])
        warm = median([timed(lambda: grade(path, "tiny", world=world, table=[])) for _ in range(5)])
    yield Row("a kernel in a sandbox, one cell, every process gone", warm, "s", cold, "a plain kernel, cold, one cell")


def _cold_kernel() -> None:
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3")
    client.execute_interactive("1", timeout=60)
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def _class() -> Generator[Row, None, tuple[Ran, Ran]]:
    """The class, by stock nbgrader, by one worker and by two; returns what was seen of one and of two."""
    town_of = _town()
    with town_of.Town() as town:
        _release(town, town_of.TEACHER)
        stock = _run(town, town_of.TEACHER, [sys.executable, "-m", "nbgrader", "autograde", LAB], town.base / "stock")
        ours = [sys.executable, "-m", "iaclab.cli", "grade", LAB, "--workers"]
        runs: dict[str, list[Ran]] = {"2": [], "1": []}
        for workers in ["2", "1"] * TIMES:  # in turn: both see the same machine
            shutil.rmtree(town.inside / "reports", ignore_errors=True)  # so that everything is graded again
            runs[workers].append(_run(town, town_of.TEACHER, [*ours, workers], town.course))
        two, one = (_middle(runs[workers]) for workers in ("2", "1"))
    name = f"{CLASS} trivial submissions, sandboxed, two workers"
    yield Row(name, two.seconds, "s", stock.seconds, "stock nbgrader autograde", at_most=1 / 1.6)
    yield Row("from one result to the next, two workers warm", two.each, "s", one.each, "one worker")
    yield Row("processor time of one submission, all processes", two.busy, "s", stock.busy, "stock nbgrader")
    yield Row("of it in the one process that hands out and writes", two.main, "s")
    return one, two


def _middle(runs: list[Ran]) -> Ran:
    return sorted(runs, key=lambda ran: ran.each)[len(runs) // 2]


def _town() -> Any:
    root = paths.repo_root()
    assert root is not None
    sys.path.insert(0, str(root / "tests" / "grading"))
    return importlib.import_module("town")


def _release(town: Any, teacher: str) -> None:
    """The same submissions in two course folders: this course's, and one with stock nbgrader's settings."""
    work = importlib.import_module("handed_in").GOOD
    town.run(teacher, "python", "iaclab.build", "--instructor")
    town.run(teacher, "nbgrader", "generate_assignment", LAB)
    stock = town.base / "stock"
    for folder in ("source", "submitted"):
        (stock / folder).mkdir(parents=True)
    (stock / "nbgrader_config.py").write_text(_STOCK)
    _plain(town.inside / "source" / LAB / NOTEBOOK, stock / "source" / LAB / NOTEBOOK)
    town.own(stock, teacher)
    town.start(teacher, *_as_stock(), "generate_assignment", LAB, cwd=stock).wait()
    for root in (town.inside, stock):
        released = json.loads((root / "release" / LAB / NOTEBOOK).read_text())
        for cell in released["cells"]:
            cell["source"] = work.get(cell["metadata"].get("nbgrader", {}).get("grade_id"), cell["source"])
        for number in range(CLASS):
            folder = root / "submitted" / f"s{number:02}" / LAB
            folder.mkdir(parents=True)
            (folder / NOTEBOOK).write_text(json.dumps(released))
        town.own(root, teacher)


def _as_stock() -> list[str]:
    return ["env", "JUPYTER_CONFIG_PATH=/nonexistent", sys.executable, "-m", "nbgrader"]


def _plain(source: Path, target: Path) -> None:
    """The instructor's notebook with tests as cells, and without what needs the course."""
    read = json.loads(source.read_text())
    for cell in read["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id", "")
        cell["source"] = _TESTS.get(name, "".join(cell["source"]))
        if "iaclab.prepare" in cell["source"] or "solution" in cell["metadata"].get("tags", []):
            cell["source"] = "import os"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(read))


def _run(town: Any, teacher: str, argv: list[str], folder: Path) -> Ran:
    """Grade the class and look meanwhile how results come and what is used."""
    if "nbgrader" in argv:
        argv = [*_as_stock(), *argv[3:]]
    before, started = _spent(), time.monotonic()
    process = town.start(teacher, *argv, cwd=folder)
    came: dict[str, tuple[float, float]] = {}  # when each result was there, and what the grader had used by then
    while process.poll() is None:
        text = (town.base / "started.log").read_text(errors="replace")
        now = (time.monotonic(), _of_grader(process.pid))
        for name in re.findall(r"^(s[0-9]{2}): [0-9.]+ of", text, re.MULTILINE):
            came.setdefault(name, now)
        time.sleep(0.05)
    seconds = time.monotonic() - started
    if process.returncode:
        raise RuntimeError((town.base / "started.log").read_text(errors="replace")[-3000:])
    each, main = _between(sorted(came.values())) if came else (seconds / CLASS, 0.0)
    return Ran(seconds, each, main, (_spent() - before) / CLASS)


def _between(came: list[tuple[float, float]]) -> tuple[float, float]:
    """Wall and processor seconds from one result to the next, without the first third: by then all workers are warm."""
    warm = came[len(came) // 3 :]
    first, last = warm[0], warm[-1]
    return (last[0] - first[0]) / (len(warm) - 1), (last[1] - first[1]) / (len(warm) - 1)


def _spent() -> float:
    """Processor seconds of this whole machine: forks that nobody waits for leave no account elsewhere."""
    spent = psutil.cpu_times()
    return float(spent.user + spent.system)


def _of_grader(pid: int) -> float:
    """Processor seconds of the grader's own process: the first below the sandbox that is a Python."""
    with suppress(psutil.Error):
        for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
            if "iaclab.cli" in process.cmdline() and "bwrap" not in process.name():
                spent = process.cpu_times()
                return spent.user + spent.system
    return 0.0


def _real() -> Generator[Row, None, Real]:
    """Lab 2 with its solutions: the first submission of a world, and one that follows another."""
    lesson = lessons.lesson(REAL)
    secret = hidden.hidden_file(lesson.source.resolve())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"{REAL}.ipynb")
        path.write_text(notebook.instructor(lesson))
        started = time.monotonic()
        with World.open(REAL) as world:
            opened = time.monotonic() - started
            first = grade(path, REAL, world=world, hidden=secret)
            before = _spent()
            second = grade(path, REAL, world=world, hidden=secret)
            busy = _spent() - before
            below = psutil.Process().children(recursive=True)
            taken = memory.shared_once(process.pid for process in below) + second.report.memory
    passed = [verdict.passed for verdict in second.verdicts.values()]
    if not all(passed):
        missed = [f"{v.check}: {v.seen}" for v in second.verdicts.values() if not v.passed]
        raise RuntimeError(f"lab 2's own solution does not pass: {missed}")
    real = Real(opened, opened + first.seconds["all"], second.seconds, taken, busy)
    yield Row("lab 2's solution, from no world to its marks", real.cold)
    yield Row("lab 2's solution, in a warm world", real.warm["all"])
    for step in ("reset", "run", "judge"):
        yield Row(f"  of it: {step}", real.warm[step])
    yield Row("memory of its world and submission", real.memory / 1e9, "GB")
    return real


def _side_by_side(one: Real) -> Iterator[Row]:
    """Lab 2 by two workers: each does a first submission, and then one in its warm world.

    This is where the number of workers counts. A trivial submission has nothing to wait for: one worker, with what
    cleans up and looks beside it, keeps more than one core busy already.
    """
    brief = brief_of(REAL)
    by_people = {entry.id for entry in brief.table if entry.kind == "essay"}
    text = notebook.instructor(lessons.lesson(REAL)).encode()
    jobs = [Job(REAL, f"s{n}", text, {}, brief.hidden, brief.table, brief.course) for n in range(4)]
    warm = []
    with Pool(2) as pool:
        for number, (_, outcome) in enumerate(pool.run(jobs)):
            if isinstance(outcome, Exception):
                raise RuntimeError(f"lab 2 is not graded: {outcome}") from outcome
            missed = [name for name, (points, of, _) in outcome.marks.items() if points < of and name not in by_people]
            if missed:
                raise RuntimeError(f"lab 2's own solution, graded beside another, does not pass: {missed}")
            if number >= 2:
                warm.append(outcome.seconds)
    each = sum(warm) / len(warm) / 2
    yield Row("lab 2, from one result to the next, two workers warm", each, "s", one.warm["all"], "one worker", 1 / 1.8)


def _many(one: Ran, two: Ran, real: Real) -> Iterator[Row]:
    """What 1,000 submissions of lab 2 need on 50 workers, calculated from what was measured above."""
    rounds = MANY / WORKERS
    wall = real.cold - real.warm["all"] + rounds * real.warm["all"]
    shares = {
        "the one process that writes": MANY * two.main / wall,
        f"processors, {CORES} for each two workers": MANY * real.busy / (WORKERS * CORES / 2 * wall),
    }
    first = max(shares, key=lambda name: shares[name])
    yield Row(f"{MANY} submissions of lab 2 on {WORKERS} workers (calculated)", wall / 60, "min")
    for name, share in shares.items():
        yield Row(f"  busy then: {name}", 100 * share, "%", than="saturates first" if name == first else "")
    yield Row("  memory then", WORKERS * real.memory / 1e9, "GB")
    yield Row("  workers that one writer keeps busy with lab 2", real.warm["all"] / two.main, "")
    yield Row("  workers that one writer keeps busy with a trivial lab", one.each / two.main, "")


def _write_cells(path: Path, *sources: str) -> None:
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    path.write_text(str(nbformat.writes(nbformat.v4.new_notebook(cells=cells))))
