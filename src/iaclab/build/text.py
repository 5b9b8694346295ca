"""A lesson's text as the builder sees it: headings, fenced blocks and pictures, each with its line.

Read by the parser that jupytext reads MyST Markdown with, so that both agree on what is a cell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

_COVERS = re.compile(r"<!-- covers: (.*?) -->")
_COMMENT = re.compile(r" *<!--.*?-->")
_HTML_IMAGE = re.compile(r"<img\b[^>]*>", re.IGNORECASE)
_ALT = re.compile(r"""\balt=(["'])\s*[^"'\s].*?\1""", re.IGNORECASE)


@dataclass(frozen=True)
class Fence:
    """A fenced block. `code` and `tags` leave a cell's options out of its text; `fault` says why it cannot be read."""

    line: int
    info: str
    code: str
    tags: tuple[str, ...] = ()
    fault: str = ""

    @property
    def is_cell(self) -> bool:
        """Whether it becomes a code cell."""
        return self.info.startswith("{code-cell}")


@dataclass(frozen=True)
class Section:
    """A heading, the topics that it claims, and the code cells up to the next heading of any level."""

    level: int
    title: str
    covers: tuple[str, ...]
    line: int
    cells: tuple[Fence, ...]


@dataclass(frozen=True)
class Text:
    """What a lesson's text holds, in its order; `nameless` are the lines of pictures without alternative text."""

    sections: list[Section]
    fences: list[Fence]
    nameless: list[int]

    @property
    def cells(self) -> list[Fence]:
        """The code cells."""
        return [fence for fence in self.fences if fence.is_cell]


def parse(text: str) -> Text:
    """The headings, fenced blocks and pictures of a lesson's text."""
    lines = (text + "\n").split("\n")
    found = Text([], [], [])
    tokens = _parser().parse(text + "\n")
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            found.sections.append(_section(int(token.tag[1:]), tokens[index + 1].content, token.map[0] + 1))
        elif token.type == "fence":
            fence = _fence(token, lines)
            found.fences.append(fence)
            if fence.is_cell and found.sections:
                last = found.sections[-1]
                cells = (*last.cells, fence)
                found.sections[-1] = Section(last.level, last.title, last.covers, last.line, cells)
        elif token.type in ("inline", "html_block"):
            found.nameless.extend(_nameless(token))
    return found


@cache
def _parser() -> Any:
    from jupytext.myst import get_parser

    return get_parser().enable("inline", True)


def _section(level: int, content: str, line: int) -> Section:
    covers = _COVERS.search(content)
    names = tuple(part.strip() for part in covers[1].split("|")) if covers else ()
    return Section(level, _COMMENT.sub("", content).strip(), names, line, ())


def _fence(token: Any, lines: list[str]) -> Fence:
    from jupytext.myst import MystMetadataParsingError, read_fenced_cell

    line, fault = token.map[0] + 1, ""
    code, tags = token.content, ()
    closing = lines[token.map[1] - 1].strip() if token.map[1] - 1 > token.map[0] else ""
    inner = [part for part in token.content.splitlines() if part.startswith(token.markup)]
    if not closing.startswith(token.markup) or inner:  # the next block's opening line: ours was never closed
        fault = "a code block that is never closed"
    if token.info.startswith("{code-cell}"):
        if token.level:
            fault = "a code cell inside a list or a quotation never runs"
        try:
            options, body = read_fenced_cell(token, 0, "Code")
            code, tags = "\n".join(body), tuple(options.get("tags", ()))
        except (MystMetadataParsingError, AttributeError):
            fault = fault or "the options of a code cell are not YAML"
    return Fence(line, token.info.strip(), code.strip(), tags, fault)


def _nameless(token: Any) -> Iterator[int]:
    """The lines of a token's pictures that say nothing to those who cannot see them."""
    line = token.map[0] + 1
    if token.type == "html_block":
        for match in _HTML_IMAGE.finditer(token.content):
            if not _ALT.search(match[0]):
                yield line + token.content[: match.start()].count("\n")
        return
    for child in token.children or []:
        line += child.type in ("softbreak", "hardbreak")
        plain = child.type == "image" and not child.content.strip()
        if plain or (
            child.type == "html_inline" and any(not _ALT.search(m) for m in _HTML_IMAGE.findall(child.content))
        ):
            yield line
