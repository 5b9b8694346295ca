"""What a lesson must have: every fault of every lesson is found in one run, with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from iaclab.lessons import front_matter

_HEADING = re.compile(r"(#{1,6}) +(.*?)(?: *<!--.*)?$")
_IMAGE = re.compile(r"!\[(.*?)\]\(")
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_FENCE = re.compile(r"(```+|~~~+)")
_COVERS = re.compile(r"<!-- covers: (.*?) -->")


@dataclass(frozen=True)
class Section:
    """A heading and what follows it up to the next heading of any level."""

    level: int
    title: str
    covers: tuple[str, ...]
    line: int
    cells: int


def faults(source: Path) -> list[str]:
    """Every rule that a lesson breaks, as `file:line: what is wrong`."""
    text = source.read_text()
    try:
        entry = front_matter(text).get("iaclab")
    except yaml.YAMLError as error:
        return [f"{source}:1: the front matter is not YAML: {str(error).splitlines()[0]}"]
    if not isinstance(entry, dict):
        return [f"{source}:1: no front matter with the key `iaclab`"]
    found = [(1, f"the front matter lacks `{key}`") for key in ("title", "minutes", "objectives") if not entry.get(key)]
    found += _structure(text, source.stem)
    return [f"{source}:{line}: {what}" for line, what in sorted(found)]


def _structure(text: str, lesson: str) -> Iterator[tuple[int, str]]:
    open_fence: tuple[int, str] | None = None
    code: list[str] = []
    first_cell = ""
    for number, line in enumerate(text.splitlines(), 1):
        fence = _FENCE.match(line)
        if open_fence:
            if fence and line.startswith(open_fence[1]) and not line.strip("`~ "):
                body = "\n".join(c for c in code if not c.startswith(":")).strip()
                first_cell = first_cell or body
                if body in ("", "%%bash"):
                    yield open_fence[0], "an empty code cell"
                open_fence, code = None, []
            else:
                code.append(line)
            continue
        if fence:
            open_fence = (number, fence[1])
            if not line.startswith(fence[1] + "{code-cell}") and first_cell == "":
                continue
        for image in _IMAGE.finditer(line):
            if not image[1].strip():
                yield number, "a picture without alternative text"
        for html in _HTML_IMAGE.finditer(line):
            if not re.search(r"""alt=["'][^"']+""", html[0]):
                yield number, "a picture without alternative text"
    if open_fence:
        yield open_fence[0], "a code block that is never closed"
    yield from _headings(text)
    if f'prepare("{lesson}")' not in first_cell:
        yield 1, f'the first code cell must call iaclab.prepare("{lesson}")'


def _headings(text: str) -> Iterator[tuple[int, str]]:
    seen: dict[str, int] = {}
    level = 1
    for section in sections(text):
        if section.level > level + 1:
            yield section.line, f"the heading '{section.title}' jumps from level {level} to {section.level}"
        level = section.level
        if section.title in seen:
            yield section.line, f"the heading '{section.title}' stands on line {seen[section.title]} too"
        seen[section.title] = section.line
    if "Key points" not in seen:
        yield 1, "no section 'Key points'"


def sections(text: str) -> list[Section]:
    """The headings of a lesson with the number of code cells in each."""
    found: list[Section] = []
    fence = ""
    for number, line in enumerate(text.splitlines(), 1):
        if fence:
            if line.startswith(fence) and not line.strip("`~ "):
                fence = ""
            continue
        if mark := _FENCE.match(line):
            fence = mark[1]
            if line.startswith(fence + "{code-cell}") and found:
                last = found[-1]
                found[-1] = Section(last.level, last.title, last.covers, last.line, last.cells + 1)
        elif heading := _HEADING.match(line):
            covers = _COVERS.search(line)
            names = tuple(part.strip() for part in covers[1].split("|")) if covers else ()
            found.append(Section(len(heading[1]), heading[2].strip(), names, number, 0))
    return found
