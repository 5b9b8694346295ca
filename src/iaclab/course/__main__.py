"""`python -m iaclab.course [LESSON …]`: run the lessons, write the book into build/course, say how long each took."""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from iaclab import paths
from iaclab.course import page, record, summary
from iaclab.course.execute import code_cells, execute, notebook_of
from iaclab.course.order import chosen, in_order
from iaclab.course.parameters import Parameters
from iaclab.course.record import Run
from iaclab.errors import LabError
from iaclab.lab import signals_stop_us
from iaclab.lessons import Lesson

Tell = Callable[[str], None]


def main(argv: list[str] | None = None) -> int:
    """Returns 1 where a lesson failed."""
    parser = argparse.ArgumentParser(
        prog="python -m iaclab.course",
        description="Run every lesson and write an HTML book of them. What has not changed since is not run again.",
    )
    parser.add_argument("lesson", nargs="*", help="lessons, or how their names begin; none means all")
    parser.add_argument("--team", help="a namespace, where a lesson takes one")
    parser.add_argument("--gpu", help="an accelerator, such as h100-80gb")
    parser.add_argument("--scale", type=int, help="GPUs, 1 to 64")
    parser.add_argument("--out", type=Path, help="the folder of the book; default: build/course in the clone")
    parser.add_argument("--again", action="store_true", help="run what has not changed too")
    parser.add_argument("--report", action="store_true", help="run nothing; print the times of the last run")
    arguments = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        if importlib.util.find_spec("papermill") is None:
            raise LabError("papermill is not installed.", why="It comes with what the tests need.", mend="make course")
        out = arguments.out or (paths.repo_root() or Path()) / "build" / "course"
        wanted = chosen(arguments.lesson)
        parameters = Parameters(arguments.team, arguments.gpu, arguments.scale)
        if not arguments.report:
            with signals_stop_us():  # the services of the lesson that runs end too
                run_all(wanted, out, parameters, again=arguments.again, tell=lambda s: console.print(s, markup=False))
        return report(out, console)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. Lessons that were finished are kept; run it again to go on.", file=sys.stderr)
        return 130


def run_all(wanted: list[Lesson], out: Path, parameters: Parameters, *, again: bool, tell: Tell) -> list[Run]:
    """Run those that have changed since their executed copy; the book is written anew after each."""
    kept = out / "executed"
    kept.mkdir(parents=True, exist_ok=True)
    found = []
    for number, lesson in enumerate(wanted, 1):
        about = f"{number}/{len(wanted)} {lesson.id}"
        before = None if again else _unchanged(lesson, kept, parameters)
        if before:
            tell(f"{about}: not changed since it ran in {before.seconds:.0f} s")
        run = before or _run(lesson, kept, parameters, about, tell)
        found.append(run)
        write_book(out, new=None if before else lesson)
    return found


def write_book(out: Path, new: Lesson | None = None) -> list[Run]:
    """The page of the lesson that was just run, and the first page; returns the runs of all that have been.

    Pages that are there already only get their way to the ones before and after; one that is missing is made.
    """
    kept = out / "executed"
    pairs = [(lesson, run) for lesson in in_order() if (run := record.read(kept, lesson.id))]
    runs = [run for _, run in pairs]
    for index, (lesson, run) in enumerate(pairs):
        target, copy = out / f"{lesson.id}.html", _copy(lesson, kept)
        around = page.Neighbours(runs[index - 1] if index else None, runs[index + 1] if index + 1 < len(runs) else None)
        if lesson != new and target.exists():
            target.write_text(page.with_bar(target.read_text(), around))
        elif copy.exists():
            target.write_text(
                page.render(lesson, run, copy, target.absolute(), around, [entry.id for entry in in_order()])
            )
    summary.write(out, runs, time.strftime("%Y-%m-%d %H:%M"))
    return runs


def report(out: Path, console: Console) -> int:
    """Print what the last run of each lesson took; returns 1 where one failed, or none was run."""
    runs = [run for lesson in in_order() if (run := record.read(out / "executed", lesson.id))]
    if not runs:
        raise LabError("No lesson has been run yet.", mend="make course")
    console.print(summary.table(runs))
    console.print(summary.in_words(runs), highlight=False)
    for run in runs:
        if run.state == "failed":
            where = f"cell {run.number}" if run.number else "before its first cell"
            console.print(f"{run.lesson}, {where}: {run.reason}", markup=False, highlight=False, soft_wrap=True)
    console.print(f"the book: {out / 'index.html'}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(run.state == "failed" for run in runs) else 0


def _run(lesson: Lesson, kept: Path, parameters: Parameters, about: str, tell: Tell) -> Run:
    if record.is_lab(lesson):
        notebook = notebook_of(lesson)
        run = Run(
            lesson.id,
            lesson.title,
            lesson.minutes,
            lesson.seconds,
            "yours",
            len(code_cells(notebook)),
            record.fingerprint(notebook, {}),
        )
        tell(f"{about}: a lab is yours to do; its text is in the book")
    else:
        run = execute(lesson, kept, parameters, about=about)
        end = f"cell {run.number} failed" if run.state == "failed" else "every cell ran"
        tell(f"{about}: {end}, {run.seconds:.0f} s")
    run.write(kept)
    return run


def _unchanged(lesson: Lesson, kept: Path, parameters: Parameters) -> Run | None:
    """The earlier run, where it went to its end with this source and these parameters."""
    run = record.read(kept, lesson.id)
    if run is None or run.state == "failed" or not _copy(lesson, kept).exists():
        return None
    notebook = notebook_of(lesson)
    taken = {} if record.is_lab(lesson) else parameters.taken_by(notebook)
    return run if run.source == record.fingerprint(notebook, taken) else None


def _copy(lesson: Lesson, kept: Path) -> Path:
    return notebook_of(lesson) if record.is_lab(lesson) else kept / f"{lesson.id}.ipynb"


if __name__ == "__main__":
    sys.exit(main())
