"""What goes wrong in a policy, with the place, the line, and a hint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

_SHOWN = 140  # characters of a line


@dataclass(frozen=True)
class Source:
    """A text and the name that messages give it."""

    name: str
    text: str

    def line(self, number: int) -> str:
        """The line of that number, from 1; empty beyond the end."""
        lines = self.text.splitlines()
        return lines[number - 1] if 0 < number <= len(lines) else ""


class Place(NamedTuple):
    """Where something stands: line and column count from 1; `width` characters are marked."""

    source: Source
    line: int
    column: int
    width: int = 1

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"


class SentinelError(Exception):
    """A policy or a configuration that cannot be read or evaluated.

    Args:
        what: what is wrong, without the place.
        place: where, if it is known.
        hint: how to mend it.
    """

    def __init__(self, what: str, place: Place | None = None, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.place, self.hint = what, place, hint

    def __str__(self) -> str:
        if self.place is None:
            lines = [self.what]
        else:
            line, margin = self.place.source.line(self.place.line).replace("\t", " "), f"{self.place.line:>4} | "
            start = max(0, self.place.column - _SHOWN // 2)  # of a very long line only what is near
            line, column = line[start : start + _SHOWN], self.place.column - start
            mark = "^" * max(1, min(self.place.width, len(line) - column + 1))
            lines = [f"{self.place}: {self.what}", f"{margin}{line}"]
            lines.append(" " * (len(margin) - 2) + "| " + " " * (column - 1) + mark)
        return "\n".join([*lines, *([f"Hint: {self.hint}"] if self.hint else [])])
