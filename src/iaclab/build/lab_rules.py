"""What a lab's text must have beside what every lesson has: tasks, solutions, checks, questions and essays that fit."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iaclab.build import hidden, lab
from iaclab.errors import LabError
from iaclab.quiz.draw import PLAN, names

Fault = tuple[int, str]  # line, what is wrong
_FORMS = {"solution", "question", "quiz", "sheet", "essay", "rubric"}


def faults(source: Path, text: str) -> Iterator[Fault]:
    """Every rule of labs that a text breaks. It has passed jupytext's parser."""
    from jupytext.myst import MystMetadataParsingError, myst_to_notebook

    try:
        read = myst_to_notebook(text, add_source_map=True)
    except (MystMetadataParsingError, AttributeError, TypeError) as error:
        yield 1, f"a block break `+++` or a cell's options cannot be read: {' '.join(str(error).split())[:160]}"
        return
    cells = list(zip(read.metadata.source_map, read.cells, strict=True))
    cells = [(line, cell) for line, cell in cells if cell.cell_type == "code" or cell.source.strip()]
    yield from _order(cells)
    for line, cell in cells:
        tags = set(lab.tags_of(cell))
        if len(tags & _FORMS) > 1:
            yield line, f"a cell is one of {', '.join(sorted(tags & _FORMS))}, not several"
        elif "question" in tags:
            yield from ((line, what) for what in _question(cell))
        elif "quiz" in tags:
            yield from ((line, what) for what in _quiz(cell))
        elif "essay" in tags:
            yield from ((line, what) for what in _essay(cell))
        elif folder := cell.metadata.get("files"):
            if "solution" not in tags:
                yield line, "only a solution takes its files from a folder"
            elif not (source.resolve().parents[2] / str(folder)).is_dir():
                yield line, f"the solution's folder {folder} is not there"
    yield from _names(cells)
    yield from _hidden(source, cells)


def _order(cells: list[tuple[int, Any]]) -> Iterator[Fault]:
    """A task goes: the learner's cell, solutions or none, a check. An essay is followed by its rubric."""
    code = [(line, cell) for line, cell in cells if cell.cell_type == "code"]
    for index, (line, cell) in enumerate(code):
        solved = "solution" in lab.tags_of(cell)
        before = code[index - 1][1] if index else None
        if solved and not (before and (lab.is_task(before) or "solution" in lab.tags_of(before))):
            yield line, "a solution that comes after no task (a cell with 'Your turn')"
        if lab.is_task(cell) or solved:
            after = code[index + 1][1] if index + 1 < len(code) else None
            if not (after and ("solution" in lab.tags_of(after) or lab.check_of(after))):
                yield line, f"a {'solution' if solved else 'task'} without a check in the next code cell"
    for (line, cell), (_, after) in zip(cells, [*cells[1:], (0, None)], strict=True):
        if "essay" in lab.tags_of(cell) and not (after and "rubric" in lab.tags_of(after)):
            yield line, "an essay without a rubric right after it"
    for (_, before), (line, cell) in zip([(0, None), *cells], cells, strict=False):
        if "rubric" in lab.tags_of(cell) and not (before and "essay" in lab.tags_of(before)):
            yield line, "a rubric without an essay right before it"


def _question(cell: Any) -> Iterator[str]:
    if cell.cell_type != "code":
        yield "a question is a code cell with ANSWER = …"
        return
    yield from _named(cell, "question")
    try:
        value = lab.answer_of(cell.source).value
    except (SyntaxError, ValueError):
        yield "a question's cell holds comments and one statement: ANSWER = the right answer, as a literal"
        return
    if getattr(value, "value", 0) is None:
        yield "a question without an answer: learners get ANSWER = None, the text has the right one"


def _quiz(cell: Any) -> Iterator[str]:
    lecture = cell.metadata.get("lecture")
    if lecture not in PLAN:
        yield f"a quiz cell without `lecture`, one of {min(PLAN)} to {max(PLAN)}"
        return
    wanted = dict.fromkeys(names(lecture))
    try:
        given = ast.literal_eval(lab.answer_of(cell.source).value)
    except (SyntaxError, ValueError):
        given = None
    if given != wanted:
        yield f"a quiz cell about lecture {lecture} is ANSWER = {wanted}"


def _essay(cell: Any) -> Iterator[str]:
    if cell.cell_type != "markdown":
        yield "an essay is text between two block breaks `+++`"
        return
    yield from _named(cell, "essay")
    if any(line.startswith("#") for line in cell.source.splitlines()):
        yield "an essay holds a heading: it has no `+++` at its end, or its headings would be learners' own"


def _named(cell: Any, what: str) -> Iterator[str]:
    name, points = cell.metadata.get("name"), cell.metadata.get("points")
    if not isinstance(name, str) or not name.replace("-", "").isalnum():
        yield f"{'an' if what == 'essay' else 'a'} {what} without `name`: letters, digits and dashes"
    if not isinstance(points, int) or points < 1:
        yield f"{'an' if what == 'essay' else 'a'} {what} without `points`, a whole number"


def _names(cells: list[tuple[int, Any]]) -> Iterator[Fault]:
    """Every graded cell has an id of its own."""
    seen: Counter[str] = Counter()
    for line, cell in cells:
        kind = next((tag for tag in ("question", "essay", "quiz", "sheet") if tag in lab.tags_of(cell)), "")
        own = cell.metadata.get("name") or cell.metadata.get("lecture", "")
        name = lab.check_of(cell) or (kind and f"{kind} {own}".strip())
        if name:
            seen[name] += 1
            if seen[name] == 2:
                yield line, f"'{name}' stands in the lab twice: a graded cell is there once"


def _hidden(source: Path, cells: list[tuple[int, Any]]) -> Iterator[Fault]:
    try:
        concealed = hidden.load(source)
    except LabError as error:
        yield 1, f"{error.what} {error.why}"
        return
    here = {lab.check_of(cell).partition(".")[2] for _, cell in cells} - {""}
    for name in concealed:
        on, _, what = name.partition(".")
        if not what or on not in here:
            yield 1, f"the hidden check '{name}' hangs on no check of this lab: its name is <check>.<what>"
