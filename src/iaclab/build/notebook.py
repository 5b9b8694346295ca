"""Turns one lesson's text (MyST Markdown, read by jupytext) into a notebook, the same bytes every time."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from iaclab import lessons, paths
from iaclab.build import rules
from iaclab.errors import LabError
from iaclab.lessons import Lesson

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def build_all(*, write: bool, content: Path | None = None, target: Path | None = None) -> list[str]:
    """Build every lesson; returns the notebooks that differ from what is on disk.

    Raises:
        LabError: lessons break rules; all faults of all lessons are in the text.
    """
    root = target or paths.repo_root() or Path.cwd()
    entries = lessons.lessons(content)
    found = [fault for entry in entries for fault in rules.faults(entry.source)]
    if found:
        raise LabError(
            f"{len(found)} fault{'s' * (len(found) > 1)} in the lessons' text.",
            why="\n     ".join(found),
            mend="make notebooks   # after mending them",
        )
    changed = []
    wanted = {entry.notebook: render(entry) for entry in entries}
    for name, text in wanted.items():
        path = root / name
        if not path.exists() or path.read_text() != text:
            changed.append(name)
            if write:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
    return changed


def render(entry: Lesson) -> str:
    """The notebook of a lesson, as JSON text."""
    import jupytext
    import nbformat

    source = jupytext.reads(entry.source.read_text(), fmt="md:myst")
    cells = [_header(entry)]
    for cell in source.cells:
        if cell.cell_type == "markdown" and not cell.source.strip():
            continue
        cells.append(_clean(cell))
    for number, cell in enumerate(cells):
        digest = hashlib.sha256(f"{entry.id}/{number}".encode()).hexdigest()[:8]
        cell["id"] = f"{entry.id[:2]}-{number:03d}-{digest}"
    notebook = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": KERNEL, "language_info": {"name": "python"}}
    )
    nbformat.validate(notebook)
    return str(nbformat.writes(notebook, version=4)).rstrip("\n") + "\n"


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


def _header(entry: Lesson) -> Any:
    """The first cell: title, time, needs and objectives, from the front matter."""
    import nbformat

    facts = [f"**Time** about {_duration(entry.minutes)}"]
    if entry.seconds:
        facts.append(f"**all cells run in** {entry.seconds} s")
    if entry.memory_mb:
        facts.append(f"**memory** {entry.memory_mb / 1000:.1f} GB")
    facts.append("**needs** " + (", ".join(f"`{name}`" for name in entry.needs) or "nothing but Python"))
    able = "\n".join(f"- {objective}" for objective in entry.objectives)
    return nbformat.v4.new_markdown_cell(
        f"# {entry.title}\n\n{' · '.join(facts)}\n\nAt the end you will be able to\n\n{able}"
    )


def _duration(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    if not hours:
        return f"{minutes} minutes"
    return f"{hours} hour{'s' * (hours > 1)}" + (f" {rest} minutes" if rest else "")
