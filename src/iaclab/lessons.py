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

    `minutes` is a learner's time with reading; `seconds` and `memory_mb` were measured by the last full run;
    `tools` are those that its cells call beside the tools of its services; `after` are the lessons that it builds on.
    """

    id: str
    title: str
    minutes: int
    needs: tuple[str, ...]
    tools: tuple[str, ...]
    objectives: tuple[str, ...]
    after: tuple[str, ...]
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
        ValueError: it is YAML, but no table.
    """
    match = _FRONT.match(text)
    loaded = yaml.load(match[1], getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if match else {}
    if not isinstance(loaded, dict):
        raise ValueError(f"it is a {type(loaded).__name__}, not a table")
    return loaded


def read(source: Path) -> Lesson:
    """The entry of one source file.

    Raises:
        LabError: its front matter cannot be read.
    """
    try:
        entry = front_matter(source.read_text()).get("iaclab") or {}
        measured = entry.get("measured") or {}
        return _entry(source, entry, measured)
    except (yaml.YAMLError, AttributeError, TypeError, ValueError) as error:
        raise LabError(
            f"The front matter of {source} cannot be read.",
            why=" ".join(str(error).split())[:200],
            mend="python -m iaclab.build --check",
        ) from error


def _entry(source: Path, entry: dict[str, Any], measured: dict[str, Any]) -> Lesson:
    return Lesson(
        id=source.stem,
        title=entry.get("title", source.stem),
        minutes=int(entry.get("minutes", 0)),
        needs=tuple(entry.get("needs", ())),
        tools=tuple(entry.get("tools", ())),
        objectives=tuple(entry.get("objectives", ())),
        after=tuple(entry.get("after", ())),
        seconds=int(measured.get("seconds", 0)),
        memory_mb=int(measured.get("memory_mb", 0)),
        source=source,
    )


def sources(content: Path | None = None) -> list[Path]:
    """The text of every lesson, in the order of folders and file names."""
    root = content or _content()
    return [path for folder in FOLDERS for path in sorted((root / folder).glob("*.md"))]


def lessons(content: Path | None = None) -> list[Lesson]:
    """Every lesson, in the order of folders and file names."""
    return [read(path) for path in sources(content)]


def lesson(name: str) -> Lesson:
    """The lesson with this id.

    Raises:
        LabError: there is none; the text names the nearest.
    """
    known = {path.stem: path for path in sources()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.3)
        raise LabError(
            f"There is no lesson '{name}'.",
            why="Lessons: " + ", ".join(known) + ".",
            mend=f'iaclab.prepare("{near[0] if near else "00-start-here"}")',
        )
    return read(known[name])


def _content() -> Path:
    root = paths.repo_root()
    if root is None:
        raise LabError("The lessons are not here.", why="They are in a clone of the course.", mend="git clone …")
    return root / "content"
