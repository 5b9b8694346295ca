"""`python -m iaclab.course.matrix TOOL VERSION …`: the lessons that use a tool, run against other versions of it.

Nothing of the learner's changes: each version has a folder of its own (build/matrix/<tool>-<version>) with its cache,
its profiles and its files.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from iaclab import paths
from iaclab.course.execute import execute
from iaclab.course.order import chosen
from iaclab.course.parameters import Parameters
from iaclab.course.record import Run, is_lab
from iaclab.errors import LabError
from iaclab.lab import signals_stop_us
from iaclab.lessons import Lesson
from iaclab.tools.catalogue import tool

Tell = Callable[[str], None]


def main(argv: list[str] | None = None) -> int:
    """Returns 1 where a lesson failed with one of the versions, or a version cannot be had."""
    parser = argparse.ArgumentParser(
        prog="python -m iaclab.course.matrix",
        description="Run the lessons that need a tool against other versions of it; nothing of yours changes.",
    )
    parser.add_argument("tool", help="a tool of the catalogue; several of one version: argocd,argocd-manifests")
    parser.add_argument("version", nargs="+", help="the catalogue's own is a version too, to compare with")
    parser.add_argument("--lesson", action="append", default=[], help="only this one, or how its name begins")
    parser.add_argument("--out", type=Path, help="default: build/matrix in the clone")
    arguments = parser.parse_args(argv)
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        out = arguments.out or (paths.repo_root() or Path()) / "build" / "matrix"
        names = arguments.tool.split(",")
        wanted = lessons_with(names, chosen(arguments.lesson))
        with signals_stop_us():  # the services of the lesson that runs end too
            found = run(
                names, arguments.version, wanted, out, lambda line: console.print(line, markup=False, highlight=False)
            )
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped. What was brought and built is kept; run it again to go on.", file=sys.stderr)
        return 130
    console.print(table(names, found))
    for version, column in found.items():
        if isinstance(column, str):
            console.print(f"{version}: {column}", markup=False, highlight=False, soft_wrap=True)
        else:
            for one in column:
                if one.state == "failed":
                    text = f"{version}, {one.lesson}, cell {one.number}:\n{one.cell}\n{one.error}\n"
                    console.print(text, markup=False, highlight=False)
    good = all(not isinstance(column, str) and all(r.state == "passed" for r in column) for column in found.values())
    return 0 if good else 1


def lessons_with(names: list[str], among: list[Lesson]) -> list[Lesson]:
    """The lessons whose cells or services call one of these tools; a lab is not run, for its cells are empty.

    Raises:
        LabError: there is no such tool, or no lesson with it.
    """
    for name in names:
        tool(name)
    found = [lesson for lesson in among if not is_lab(lesson) and set(names) & _tools(lesson)]
    if not found:
        raise LabError(f"No lesson needs {', '.join(names)}.", mend="iaclab tools list")
    return found


def run(
    names: list[str], versions: list[str], wanted: list[Lesson], out: Path, tell: Tell
) -> dict[str, list[Run] | str]:
    """A column for each version: its runs, or why it cannot be had."""
    from iaclab.tools import trial  # takes a second to load, in which Ctrl-C would not be answered in words

    found: dict[str, list[Run] | str] = {}
    for version in versions:
        folder = out / f"{names[0]}-{version}"
        try:
            one = trial.make(names, version, folder)
        except LabError as error:
            tell(str(error))
            found[version] = str(error)
            continue
        column = []
        for lesson in wanted:
            done = execute(lesson, folder / "lessons", Parameters(), about=f"{version} {lesson.id}", env=one.env)
            tell(f"{', '.join(names)} {version}, {lesson.id}: {_cell(done)}")
            column.append(done)
        found[version] = column
        (folder / "matrix.json").write_text(json.dumps([asdict(one) for one in column], indent=1, ensure_ascii=False))
    return found


def table(names: list[str], found: dict[str, list[Run] | str]) -> Table:
    """A row for each lesson, a column for each version."""
    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    drawn.add_column("lesson")
    for version in found:
        own = " (the catalogue's)" if version == tool(names[0]).version else ""
        drawn.add_column(f"{names[0]} {version}{own}")
    ids = dict.fromkeys(one.lesson for column in found.values() if not isinstance(column, str) for one in column)
    for lesson in ids or ["–"]:
        row = []
        for column in found.values():
            runs = [] if isinstance(column, str) else [one for one in column if one.lesson == lesson]
            row.append(_cell(runs[0]) if runs else "cannot be had")
        drawn.add_row(lesson, *row)
    return drawn


def _cell(one: Run) -> str:
    if one.state == "passed":
        return f"✔ passed, {one.seconds:.0f} s"
    return f"✘ cell {one.number} failed, {one.seconds:.0f} s"


def _tools(lesson: Lesson) -> set[str]:
    from iaclab.platform import registry

    services = registry.with_needs(list(lesson.needs))
    return {*lesson.tools, *(name for service in services for name in service.tools)}


if __name__ == "__main__":
    sys.exit(main())
