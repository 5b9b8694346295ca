"""What a lesson must have: every fault of every lesson is found in one run, with file and line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from iaclab.build import lab_rules
from iaclab.build.text import Section, Text, parse
from iaclab.lessons import front_matter

Fault = tuple[int, str]  # line, what is wrong
_CHECK = re.compile(r"""iaclab\.check\(\s*["']([^"']+)["']""")
_MIN_CHECKS = 5  # exercises of a lecture


def faults(source: Path) -> list[str]:
    """Every rule that a lesson breaks, as `file:line: what is wrong`."""
    text = source.read_text()
    return [f"{_short(source)}:{line}: {what}" for line, what in sorted(set(_all(text, source)))]


def _all(text: str, source: Path) -> Iterator[Fault]:
    try:
        entry = front_matter(text).get("iaclab")
    except (yaml.YAMLError, ValueError) as error:
        yield 1, f"the front matter is not YAML: {' '.join(str(error).split())[:160]}"
        return
    if isinstance(entry, dict):
        yield from _entry(entry)
        yield from _after(_listed(entry, "after"), source)
    else:
        yield 1, "no front matter with the key `iaclab`"
    lesson = parse(text)
    for line in lesson.nameless:
        yield line, "a picture without alternative text"
    yield from _headings(lesson.sections)
    yield from _fences(lesson)
    yield from _checks_exist(lesson)
    if source.parent.name != "labs":
        yield from _exercises(lesson)
    elif not any(fence.fault for fence in lesson.fences):
        yield from lab_rules.faults(source, text)
    if not lesson.cells or f'prepare("{source.stem}"' not in lesson.cells[0].code:
        line = lesson.cells[0].line if lesson.cells else 1
        yield line, f'the first code cell must call iaclab.prepare("{source.stem}")'
    if source.parent.name == "lectures":
        yield from _lecture(lesson)


def _entry(entry: dict[str, Any]) -> Iterator[Fault]:
    from iaclab.platform import registry
    from iaclab.tools.catalogue import catalogue

    if not str(entry.get("title") or "").strip():
        yield 1, "the front matter lacks `title`"
    if not isinstance(entry.get("minutes"), int) or entry["minutes"] < 1:
        yield 1, "the front matter lacks `minutes`, a learner's time as a whole number"
    objectives = entry.get("objectives")
    if not isinstance(objectives, list) or not objectives or not all(isinstance(o, str) for o in objectives):
        yield 1, "the front matter lacks `objectives`, a list of sentences"
    for key in ("needs", "tools", "after"):
        if not isinstance(entry.get(key, []), list):
            yield 1, f"the front matter's `{key}` is no list: write {key}: [{entry[key]}]"
    for name in _listed(entry, "needs"):
        if name not in registry.services():
            yield 1, f"the front matter needs '{name}', which is no service"
    for name in _listed(entry, "tools"):
        if name not in catalogue():
            yield 1, f"the front matter names '{name}', which is no tool"


def _listed(entry: dict[str, Any], key: str) -> list[Any]:
    """The names in one list of the front matter; none where it is no list."""
    value = entry.get(key, [])
    return value if isinstance(value, list) else []


def _after(names: list[Any], source: Path) -> Iterator[Fault]:
    lessons = {path.stem for path in source.parents[1].glob("*/*.md")} - {source.stem}
    for name in names:
        if name not in lessons:
            yield 1, f"the front matter has it after '{name}', which is no other lesson"


def _headings(sections: list[Section]) -> Iterator[Fault]:
    seen: dict[str, int] = {}
    level = 1
    for section in sections:
        if section.level == 1:
            yield section.line, f"the heading '{section.title}' is a second title: begin with level 2"
        elif section.level > level + 1:
            yield section.line, f"the heading '{section.title}' jumps from level {level} to {section.level}"
        level = section.level
        if section.title in seen:
            yield section.line, f"the heading '{section.title}' stands on line {seen[section.title]} too"
        seen[section.title] = section.line
    if "Key points" not in seen:
        yield 1, "no section 'Key points'"


def _fences(lesson: Text) -> Iterator[Fault]:
    for fence in lesson.fences:
        if fence.fault:
            yield fence.line, fence.fault
        elif fence.is_cell and re.fullmatch(r"(%%bash.*)?", fence.code):
            yield fence.line, "an empty code cell"
        elif fence.is_cell and re.match(r"%%bash(?! -e)", fence.code):
            yield fence.line, "a bash cell that would go on after an error: begin it with `%%bash -e`"
        elif fence.info == "mermaid":
            for name in ("accTitle", "accDescr"):
                if not re.search(rf"^\s*{name}\s*[:{{]", fence.code, re.MULTILINE):
                    yield fence.line, f"a diagram without {name}: its text for those who cannot see it"


def _checks_exist(lesson: Text) -> Iterator[Fault]:
    from iaclab.checks import checks

    for cell in lesson.cells:
        for name in _CHECK.findall(cell.code):
            if name not in checks():
                yield cell.line, f"there is no check '{name}'"


def _exercises(lesson: Text) -> Iterator[Fault]:
    """Every exercise goes: the learner's cell, the solution, a check. Labs have rules of their own."""
    cells = lesson.cells
    for cell, after in zip(cells, [*cells[1:], None], strict=True):
        checked, solved = bool(after and _CHECK.search(after.code)), bool(after and "solution" in after.tags)
        if "solution" in cell.tags:
            if not (solved or checked):
                yield cell.line, "a solution without a check in the next code cell"
        elif "Your turn" in cell.code and not solved:
            yield cell.line, "an exercise without a solution in the next code cell"


def _lecture(lesson: Text) -> Iterator[Fault]:
    if "Break it" not in {section.title for section in lesson.sections}:
        yield 1, "no section 'Break it'"
    count = len({name for cell in lesson.cells for name in _CHECK.findall(cell.code)})
    if count < _MIN_CHECKS:
        yield 1, f"{count} exercises with a check: a lecture has at least {_MIN_CHECKS}"


def _short(source: Path) -> Path:
    here = Path.cwd()
    return source.relative_to(here) if source.is_relative_to(here) else source
