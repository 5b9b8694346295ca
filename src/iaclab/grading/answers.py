"""Answers to questions, read from the notebook's source as literals: no kernel is asked, nothing is executed."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Any

_LONGEST = 10_000  # characters of an answer's cell
_PREFIX = "answer-"  # of the grade_id of a question's cell


@dataclass(frozen=True)
class Answer:
    """What a question's cell says. `why` tells why there is none."""

    value: Any = None
    why: str = ""

    @property
    def is_given(self) -> bool:
        """Whether there is an answer."""
        return not self.why


def answers(notebook: Any) -> dict[str, Answer]:
    """The answer of each question's cell, by the question's name."""
    found = {}
    for cell in notebook.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if cell.cell_type == "code" and grade_id.startswith(_PREFIX):
            found[grade_id.removeprefix(_PREFIX)] = answer(cell.source)
    return found


def answer(source: str) -> Answer:
    """The literal of the last `ANSWER = …` of a cell."""
    if len(source) > _LONGEST:
        return Answer(why=f"the cell has more than {_LONGEST} characters")
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Answer(why=f"the cell is not Python: {error}"[:120])
    values = [value for statement in body if (value := _assigned(statement)) is not None]
    if not values:
        return Answer(why="the cell has no line ANSWER = …")
    try:
        value = ast.literal_eval(values[-1])
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return Answer(why="ANSWER is not a literal")
    return Answer(why="not answered") if value is None else Answer(value)


def is_right(given: Answer, expected: Any) -> bool:
    """Whether an answer is the expected one; case and blanks of a text do not matter, nor a list's being a tuple."""
    return given.is_given and _plain(given.value) == _plain(expected)


def kind(value: Any) -> str:
    """What form an answer has: text, truth, number, list, set, table or other."""
    return str(_plain(value)[0])


def _assigned(statement: ast.stmt) -> ast.expr | None:
    match statement:
        case ast.Assign(targets=[ast.Name(id="ANSWER")], value=value):
            return value
        case ast.AnnAssign(target=ast.Name(id="ANSWER"), value=value):
            return value
    return None


def _plain(value: Any) -> Any:
    """A value in a form in which like is equal to like: True is not 1."""
    match value:
        case str():
            return ("text", " ".join(value.split()).casefold())
        case bool():
            return ("truth", value)
        case int() | float() | complex():
            return ("number", value)
        case list() | tuple():
            return ("list", tuple(map(_plain, value)))
        case set() | frozenset():
            return ("set", frozenset(map(_plain, value)))
        case dict():
            return ("table", frozenset((_plain(key), _plain(entry)) for key, entry in value.items()))
    return ("other", value)
