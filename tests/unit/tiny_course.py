"""A course of tiny notebooks, for what runs lessons: a clone with text, built notebooks, and nothing else."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from iaclab import lessons, paths
from iaclab.lessons import Lesson

_TEXT = """---
iaclab:
  title: {title}
  minutes: 5
  measured: {{seconds: 1, memory_mb: 10}}
  objectives: [look]
---
"""


class TinyCourse:
    """Its clone lies in `tmp/clone`, its book goes to `tmp/book`."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clone, self.out = tmp / "clone", tmp / "book"
        for folder in ("content", "tools"):
            (self.clone / folder).mkdir(parents=True)
        monkeypatch.setattr(paths, "repo_root", lambda: self.clone)

    def add(self, name: str, *cells: str, tags: dict[int, str] | None = None) -> Lesson:
        """A lesson `lectures/NAME` with these code cells; `tags` by the number of a cell, from 0."""
        source = self.clone / "content" / name
        source = source.with_name(f"{source.name}.md")
        source.parent.mkdir(exist_ok=True)
        title = source.stem.replace("-", " ")
        source.write_text(_TEXT.format(title=title))
        lesson = lessons.read(source)
        made = [nbformat.v4.new_markdown_cell(f"# {title}")]
        for number, code in enumerate(cells):
            tag = (tags or {}).get(number)
            made.append(nbformat.v4.new_code_cell(code, metadata={"tags": [tag]} if tag else {}))
        for number, cell in enumerate(made):
            cell["id"] = f"cell-{number}"
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": kernel})
        target = self.clone / lesson.notebook
        target.parent.mkdir(exist_ok=True)
        nbformat.write(notebook, target)
        return lesson

    def executed(self, lesson: Lesson) -> Path:
        """The executed copy."""
        return self.out / "executed" / f"{lesson.id}.ipynb"

    def printed(self, lesson: Lesson) -> list[str]:
        """What each code cell of the executed copy printed."""
        notebook = nbformat.read(self.executed(lesson), as_version=4)
        return [
            "".join(output.text for output in cell.outputs if output.output_type == "stream")
            for cell in notebook.cells
            if cell.cell_type == "code"
        ]
