"""The list of lessons: the front matter of every file under content/ is its entry."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iaclab import paths
from iaclab.errors import LabError

FOLDERS = ("notebooks", "lectures", "labs")
_FRONT = re.compile(r"\A---\n(.*?\n)---\n", re.DOTALL)


@dataclass(frozen=True)
class Lesson:
    """One lesson, as its front matter (key `iaclab`) says.

    `minutes` is a learner's time with reading; `seconds` and `memory_mb` were measured by the last full run.
    """

    id: str
    title: str
    minutes: int
    needs: tuple[str, ...]
    objectives: tuple[str, ...]
    seconds: int
    memory_mb: int
    source: Path

    @property
    def notebook(self) -> str:
        """The built notebook, from the clone's root."""
        return f"{self.source.parent.name}/{self.id}.ipynb"


def front_matter(text: str) -> dict[str, Any]:
    """The YAML at the top of a source, empty where there is none.

    Raises:
        yaml.YAMLError: it is not YAML.
    """
    match = _FRONT.match(text)
    return dict(yaml.safe_load(match[1]) or {}) if match else {}


def read(source: Path) -> Lesson:
    """The entry of one source file."""
    entry = front_matter(source.read_text()).get("iaclab", {})
    measured = entry.get("measured", {})
    return Lesson(
        id=source.stem,
        title=entry.get("title", source.stem),
        minutes=int(entry.get("minutes", 0)),
        needs=tuple(entry.get("needs", ())),
        objectives=tuple(entry.get("objectives", ())),
        seconds=int(measured.get("seconds", 0)),
        memory_mb=int(measured.get("memory_mb", 0)),
        source=source,
    )


def lessons(content: Path | None = None) -> list[Lesson]:
    """Every lesson, in the order of folders and file names."""
    root = content or _content()
    return [read(path) for folder in FOLDERS for path in sorted((root / folder).glob("*.md"))]


def lesson(name: str) -> Lesson:
    """The lesson with this id.

    Raises:
        LabError: there is none; the text names the nearest.
    """
    known = {entry.id: entry for entry in lessons()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise LabError(
            f"There is no lesson '{name}'.",
            why="Lessons: " + ", ".join(known),
            mend=f'iaclab.prepare("{near[0] if near else next(iter(known))}")',
        )
    return known[name]


def _content() -> Path:
    root = paths.repo_root()
    if root is None:
        raise LabError("The lessons are not here.", why="They are in a clone of the course.", mend="git clone …")
    return root / "content"
