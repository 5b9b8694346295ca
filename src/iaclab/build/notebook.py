"""Turns one lesson's text (MyST Markdown, read by jupytext) into a notebook, the same bytes every time."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

from iaclab import lessons, paths
from iaclab.build import rules
from iaclab.errors import LabError
from iaclab.lessons import Lesson
from iaclab.quiz import bank, draw

_HANDING_IN = (
    "To grade it, this notebook is run from the top on a clean platform, with the files that you hand in beside it. "
    "What you typed in a terminal is not repeated: keep the commands that count in cells."
)
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def build_all(*, write: bool, content: Path | None = None, target: Path | None = None) -> list[str]:
    """Build every lesson; returns the notebooks that differ from what is on disk.

    Raises:
        LabError: lessons break rules; all faults of all lessons are in the text.
    """
    root = target or paths.repo_root() or Path.cwd()
    sources = lessons.sources(content)
    found = [fault for source in sources for fault in rules.faults(source)]
    if found:
        raise LabError(
            f"{len(found)} fault{'s' * (len(found) > 1)} in the lessons' text.",
            why="\n     ".join(found),
            mend="make notebooks   # after mending them",
        )
    changed = []
    wanted = {entry.notebook: render(entry) for entry in map(lessons.read, sources)}
    questions = (content or root / "content") / "quiz"
    if questions.is_dir():
        wanted["src/iaclab/quiz/questions.json"] = _edition(questions)
    for name, text in wanted.items():
        path = root / name
        if not path.exists() or path.read_text() != text:
            changed.append(name)
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    return changed


def _edition(questions: Path) -> str:
    """The quiz's questions for learners, from the folder of the bank."""
    found = bank.bank(bank.folder(questions))
    return bank.without_key(found.questions, draw.turns(found))


def render(entry: Lesson) -> str:
    """The notebook that learners open, as JSON text; of a lab, the student version."""
    import jupytext

    if entry.source.parent.name == "labs":
        from iaclab.build import student

        return student.version(entry.id, instructor(entry))
    source = jupytext.reads(entry.source.read_text(), fmt="md:myst")
    cells = [_clean(cell) for cell in source.cells if cell.cell_type != "markdown" or cell.source.strip()]
    return _write([_header(entry), *cells])


def instructor(entry: Lesson) -> str:
    """The instructor version of a lab, as JSON text: nbgrader's metadata, solutions, model answers and rubrics."""
    from iaclab.build import lab

    cells, points = lab.instructor_cells(entry.source)
    return _write([_header(entry, points), *cells])


def instructor_versions(content: Path | None = None, target: Path | None = None) -> list[str]:
    """Write the instructor version of every lab to `grading/source/<lab>/<lab>.ipynb`; returns their names."""
    root = target or paths.repo_root() or Path.cwd()
    names = []
    for source in lessons.sources(content):
        if source.parent.name == "labs":
            path = root / "grading" / "source" / source.stem / f"{source.stem}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(instructor(lessons.read(source)))
            names.append(str(path.relative_to(root)))
    return names


def _write(cells: list[Any]) -> str:
    import nbformat

    name(cells)
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook, version=4)).rstrip("\n") + "\n"


def name(cells: list[Any]) -> None:
    """Give each cell an id from its own content: a cell that is added or moved leaves all others theirs."""
    seen: Counter[str] = Counter()
    for cell in cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell["id"] = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"


def _clean(cell: Any) -> Any:
    """The cell without outputs, with only the metadata that means something."""
    import nbformat

    text = cell.source.strip("\n")
    if cell.cell_type == "markdown":
        return nbformat.v4.new_markdown_cell(text)
    tags = list(cell.metadata.get("tags", []))
    metadata: dict[str, Any] = {"tags": tags} if tags else {}
    if "solution" in tags:
        metadata["jupyter"] = {"source_hidden": True}  # JupyterLab folds it: one click shows it
    return nbformat.v4.new_code_cell(text, metadata=metadata)


def _header(entry: Lesson, points: int = 0) -> Any:
    """The first cell: title, time, needs and objectives, from the front matter; `points` are those of a lab."""
    import nbformat

    facts = [f"**Time** about {_duration(entry.minutes)}"]
    if points:
        facts.append(f"**points** {points}")
    if entry.seconds:
        facts.append(f"**all cells run in** {entry.seconds} s")
    if entry.memory_mb:
        facts.append(f"**memory** {entry.memory_mb / 1000:.1f} GB")
    facts.append("**needs** " + (", ".join(f"`{name}`" for name in entry.needs) or "nothing but Python"))
    able = "\n".join(f"- {objective}" for objective in entry.objectives)
    text = f"# {entry.title}\n\n{' · '.join(facts)}\n\nAt the end you will be able to\n\n{able}"
    return nbformat.v4.new_markdown_cell(f"{text}\n\n{_HANDING_IN}" if points else text)


def _duration(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} minutes"
    return f"{hours} hour{'s' * (hours > 1)}" + (f" {rest} minutes" if rest else "")
