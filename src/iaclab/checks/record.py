"""A check as a record: what it looks at, what it expects, and three hints for those who are not there yet."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from iaclab.platform.profile import Profile

_POLL = 0.25


@dataclass(frozen=True)
class Check:
    """One thing that a learner should have brought about.

    Args:
        title: what should be true, as a sentence.
        probe: looks at the platform or at a file; returns what it saw. An exception means "nothing yet".
        expect: whether what was seen will do.
        hints: a nudge, a pointer, a command; the first miss shows the first.
        within: seconds; the probe is repeated that long before the check says no.
        points: what it is worth.
    """

    title: str
    probe: Callable[[Profile], Any]
    expect: Callable[[Any], bool]
    hints: tuple[str, str, str]
    within: float = 0
    points: int = 1

    def run(self, profile: Profile, attempt: int = 1) -> Result:
        """Look, as long as `within` allows, and say what was seen; `attempt` (from 1) chooses the hint."""
        deadline = time.monotonic() + self.within
        while True:
            try:
                seen = self.probe(profile)
                passed, text = bool(self.expect(seen)), _short(seen)
            except Exception as error:
                passed, text = False, f"{type(error).__name__}: {_short(error)}"
            if passed or time.monotonic() >= deadline:
                hint = "" if passed else self.hints[min(attempt, 3) - 1]
                return Result(self.title, passed, text, hint, self.points if passed else 0)
            time.sleep(_POLL)


@dataclass(frozen=True)
class Result:
    """What a check found. It shows itself in a notebook and in a terminal."""

    title: str
    passed: bool
    seen: str
    hint: str
    points: int

    def __str__(self) -> str:
        lines = [f"{'✔ passed' if self.passed else '✘ not yet'}: {self.title}"]
        if not self.passed:
            lines += [f"  seen: {self.seen}", f"  hint: {self.hint}"]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        mark, word = ("✔", "passed") if self.passed else ("✘", "not yet")
        colour = "#1a7f37" if self.passed else "#b35900"
        rows = [f"<b>{mark} {word}</b>: {html.escape(self.title)}"]
        if not self.passed:
            rows += [f"seen: <code>{html.escape(self.seen)}</code>", f"hint: {html.escape(self.hint)}"]
        return f'<div style="border-left:4px solid {colour};padding:2px 10px">{"<br>".join(rows)}</div>'


def _short(seen: object) -> str:
    text = " ".join(str(seen).split()) or "nothing"
    return text if len(text) <= 240 else text[:237] + "…"
