"""Which topics a lesson must teach, and which it does teach by an executed cell.

A heading claims topics with a comment, `## Sync waves <!-- covers: Sync Strategies and Policies / Sync Waves -->`
(several are parted by `|`). A claim counts when the section holds a code cell.
"""

from __future__ import annotations

import re
from pathlib import Path

from iaclab.build.text import parse

_TITLE = re.compile(r"\*\*(.+?): (.+)\*\*")
_ITEM = re.compile(r"\d+\. (.+)")
_NUMBER = re.compile(r"(lab)?0*(\d+)-")


def topics(text: str) -> dict[str, list[str]]:
    """Topics by lesson (`Lecture 4`), each as `H2` or `H2 / H3`, from the list of what must be taught."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if title := _TITLE.match(line.strip()):
            current = found.setdefault(title[1], [])
        elif item := _ITEM.match(line.strip()):
            main, _, below = item[1].partition(": ")
            current += [f"{main} / {part.strip()}" for part in below.split(";")] if below else [main]
    return found


def title(source: Path) -> str | None:
    """What the list of topics calls a lesson: `04-….md` is `Lecture 4`, `lab1-….md` is `Lab 1`; `None` for others.

    The final project takes the place of the fifth lab.
    """
    if source.stem == "90-final-project":
        return "Lab 5"
    number = _NUMBER.match(source.name)
    if source.parent.name == "lectures" and number and not number[1]:
        return f"Lecture {number[2]}"
    if source.parent.name == "labs" and number and number[1]:
        return f"Lab {number[2]}"
    return None


def missing(wanted: list[str], lesson: str) -> list[str]:
    """Topics of `wanted` that no section of the lesson's text both claims and runs."""
    taught = {name for section in parse(lesson).sections if section.cells for name in section.covers}
    return [topic for topic in wanted if topic not in taught]


def unknown(wanted: list[str], lesson: str) -> list[str]:
    """Claims of the lesson that are no topic: most often a misspelt one."""
    return [name for section in parse(lesson).sections for name in section.covers if name not in wanted]
