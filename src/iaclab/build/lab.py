"""A lab's one text: its graded cells, and the instructor version with nbgrader's metadata.

The forms that a lab adds to a lesson: a cell with "Your turn", cells tagged `solution` (the instructor's alone), a
cell that is only `iaclab.check("labN.name")` (graded), a cell tagged `question` that says `ANSWER = …` (a literal,
graded as it stands), cells tagged `quiz` (the answers about one `lecture`, for a sheet that is drawn from the
learner's name) and `sheet` (the name of that sheet), a text block tagged `essay` with its `rubric` (graded by hand).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from iaclab.build import hidden
from iaclab.checks import checks
from iaclab.checks.record import Check
from iaclab.grading.answers import kind
from iaclab.quiz.draw import names

SCHEMA = 3  # of nbgrader's cell metadata
GRADED_CHECK = re.compile(r"""iaclab\.check\(\s*["']([^"']+)["']\s*\)""")
TASK = "Your turn"


@dataclass(frozen=True)
class Graded:
    """One graded cell: `id` is nbgrader's grade_id, `points` all that can be had for it.

    `check` is the visible check's name and `hidden` those that hang on it; `expected` is a question's answer,
    and of a quiz the learner's own questions, once it is known whose submission it is.
    """

    id: str
    kind: Literal["check", "question", "quiz", "essay"]
    points: int
    check: str = ""
    hidden: tuple[str, ...] = ()
    expected: Any = None


def cells(source: Path) -> list[Any]:
    """The cells of a lab's text, as jupytext reads them; solutions kept in files are unfolded."""
    import jupytext

    read = jupytext.reads(source.read_text(), fmt="md:myst").cells
    return [cell for one in read for cell in _unfolded(one, source)]


def graded(source: Path, found: list[Any] | None = None) -> list[Graded]:
    """The graded cells of a lab in their order; `found` are its cells where they are read already."""
    concealed, known = hidden.load(source), checks()
    result = []
    for cell in cells(source) if found is None else found:
        tags, options = tags_of(cell), cell.metadata
        if name := check_of(cell):
            below = _hanging_on(name, concealed)
            points = known[name].points + sum(check.points for check in below.values())
            result.append(Graded(check_id(name), "check", points, check=name, hidden=tuple(below)))
        elif "question" in tags:
            expected = ast.literal_eval(answer_of(cell.source).value)
            result.append(Graded(f"question-{options['name']}", "question", options["points"], expected=expected))
        elif "quiz" in tags:
            result.append(Graded(f"quiz-lecture-{options['lecture']}", "quiz", len(names(options["lecture"]))))
        elif "essay" in tags:
            result.append(Graded(f"essay-{options['name']}", "essay", options["points"]))
    return result


def instructor_cells(source: Path) -> tuple[list[Any], int]:
    """The cells of the instructor version, and the points of all its graded ones together."""
    found = cells(source)
    table = {entry.id: entry for entry in graded(source, found)}
    concealed = hidden.load(source)
    made: list[Any] = []
    for index, cell in enumerate(found):
        made.extend(_made(cell, found[index:], table, concealed))
    return made, sum(entry.points for entry in table.values())


def check_of(cell: Any) -> str:
    """The check that a graded cell runs; empty for other cells."""
    match = GRADED_CHECK.fullmatch(cell.source.strip()) if cell.cell_type == "code" else None
    return match[1] if match else ""


def check_id(name: str) -> str:
    """nbgrader's id for the graded cell of a check: `lab2-app` for `lab2.app`."""
    return name.replace(".", "-")


def tags_of(cell: Any) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags") or [])


def answer_of(code: str) -> ast.Assign:
    """The one statement of a question's cell, `ANSWER = …`.

    Raises:
        ValueError: the cell says something else.
    """
    body = ast.parse(code).body
    match body:
        case [ast.Assign(targets=[ast.Name(id="ANSWER")]) as statement]:
            ast.literal_eval(statement.value)
            return statement
    raise ValueError("a question's cell holds one statement, ANSWER = a literal")


def unanswered(code: str) -> str:
    """A question's cell as learners get it: `ANSWER = None`, its comments kept."""
    value = answer_of(code).value
    assert value.end_lineno is not None and value.end_col_offset is not None
    lines = [line.encode() for line in code.splitlines()]  # ast counts bytes
    before, after = lines[value.lineno - 1][: value.col_offset], lines[value.end_lineno - 1][value.end_col_offset :]
    lines[value.lineno - 1 : value.end_lineno] = [before + b"None" + after]
    return b"\n".join(lines).decode()


def _made(cell: Any, rest: list[Any], table: dict[str, Graded], concealed: dict[str, Check]) -> Iterator[Any]:
    """What becomes of one cell of the text; `rest` are this and the ones after it."""
    import nbformat

    tags, text, options = tags_of(cell), cell.source.strip("\n"), cell.metadata
    if cell.cell_type == "markdown":
        if not text.strip():
            return
        metadata: dict[str, Any] = {"tags": tags} if tags else {}
        if "essay" in tags:
            entry = table[f"essay-{options['name']}"]
            metadata["nbgrader"] = _meta(entry.id, grade=True, solution=True, points=entry.points)
        yield nbformat.v4.new_markdown_cell(text, metadata=metadata)
    elif name := check_of(cell):
        entry = table[check_id(name)]
        code = f"{text}  # {_worth(entry, concealed)}"
        yield nbformat.v4.new_code_cell(code, metadata={"nbgrader": _locked(entry)})
    elif "question" in tags:
        entry = table[f"question-{options['name']}"]
        own = _meta(f"answer-{options['name']}", solution=True)
        yield nbformat.v4.new_code_cell(text, metadata={"tags": tags, "nbgrader": own})
        form = kind(entry.expected)
        code = f'iaclab.answer(ANSWER, "{form}")  # {_count(entry.points)}, given for what stands in the cell above'
        yield nbformat.v4.new_code_cell(code, metadata={"nbgrader": _locked(entry)})
    elif "quiz" in tags:
        entry = table[f"quiz-lecture-{options['lecture']}"]
        own = _meta(f"answer-lecture-{options['lecture']}", solution=True)
        yield nbformat.v4.new_code_cell(text, metadata={"tags": tags, "nbgrader": own})
        code = f"iaclab.quiz.read(ANSWER, {options['lecture']})  # {_count(entry.points)}, given after you submit"
        yield nbformat.v4.new_code_cell(code, metadata={"nbgrader": _locked(entry)})
    elif "sheet" in tags:
        own = _meta("answer-sheet", solution=True)
        yield nbformat.v4.new_code_cell(text, metadata={"tags": tags, "nbgrader": own})
    elif is_task(cell):
        own = _meta(f"task-{task_name(rest)}", solution=True)
        yield nbformat.v4.new_code_cell(text, metadata={"tags": [*tags, "task"], "nbgrader": own})
    else:
        yield nbformat.v4.new_code_cell(text, metadata={"tags": tags} if tags else {})


def is_task(cell: Any) -> bool:
    """Whether a learner is to work in this cell."""
    return cell.cell_type == "code" and TASK in cell.source and "solution" not in tags_of(cell)


def task_name(rest: list[Any]) -> str:
    """A task is called after the check that follows it."""
    return next((check_of(cell).partition(".")[2] for cell in rest if check_of(cell)), "")


def _hanging_on(name: str, concealed: dict[str, Check]) -> dict[str, Check]:
    own = name.partition(".")[2]
    return {key: check for key, check in concealed.items() if key.partition(".")[0] == own}


def _worth(entry: Graded, concealed: dict[str, Check]) -> str:
    later = sum(concealed[name].points for name in entry.hidden)
    if not later:
        return _count(entry.points)
    return f"{_count(entry.points)}, {later} of them for what is looked at after you submit"


def _count(points: int) -> str:
    return f"{points} point{'s' * (points != 1)}"


def _locked(entry: Graded) -> dict[str, Any]:
    return _meta(entry.id, grade=True, locked=True, points=entry.points)


def _meta(grade_id: str, *, points: int | None = None, **kinds: bool) -> dict[str, Any]:
    """nbgrader's metadata of a cell, complete: what it is (grade, locked, solution), its id and its points."""
    flags = {"grade": False, "locked": False, "solution": False, "task": False} | kinds
    meta = {"schema_version": SCHEMA, "grade_id": grade_id, **flags}
    return meta if points is None else meta | {"points": points}


def _unfolded(cell: Any, source: Path) -> Iterator[Any]:
    """A solution with the option `files`, a folder from the clone's root: a cell writes each of them, then it runs."""
    import nbformat

    if not cell.metadata.get("files"):
        yield cell
        return
    folder = source.resolve().parents[2] / cell.metadata["files"]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    names = [path.relative_to(folder) for path in files]
    folders = sorted({str(name.parent) for name in names} - {"."})
    scripts = [str(name) for name, path in zip(names, files, strict=True) if path.stat().st_mode & 0o100]
    sources = [f"%%bash -e\nmkdir -p {' '.join(folders)}"] if folders else []
    sources += [f"%%writefile {name}\n{path.read_text().rstrip()}" for name, path in zip(names, files, strict=True)]
    sources += [f"%%bash -e\nchmod +x {' '.join(scripts)}"] if scripts else []
    for code in [*sources, cell.source]:
        yield nbformat.v4.new_code_cell(code, metadata={"tags": ["solution"]})
