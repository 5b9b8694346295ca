"""A check as a record: what it looks at, what it expects, and three hints for those who are not there yet."""

from __future__ import annotations

import html
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_POLL = 0.25  # seconds between two looks
_PATIENCE = 1  # seconds that a learner waits without a word
_LONGEST = 240  # characters of what was seen


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
        needs: the services that the probe asks; where one is down, that is said instead of a hint.
        earned: the points that what was seen is worth; default: all where it passes, none where it does not.
    """

    title: str
    probe: Callable[[Profile], Any]
    expect: Callable[[Any], bool]
    hints: tuple[str, str, str]
    within: float = 0
    points: int = 1
    needs: tuple[str, ...] = ("cluster",)
    earned: Callable[[Any], int] | None = None

    def run(self, profile: Profile, attempt: int = 1, tell: Callable[[str], None] | None = None) -> Result:
        """Look, as long as `within` allows, and say what was seen; `attempt` (from 1) chooses the hint.

        `tell` hears that there is something to wait for, once the wait has lasted a second.
        """
        started = time.monotonic()
        deadline = started + self.within
        while True:
            failed, points = False, 0
            try:
                seen = self.probe(profile)
                passed = self.expect(seen)
                points = self._worth(seen, passed)
                if passed:
                    return Result(self.title, True, _say(seen), "", points, of=self._of)
                text = _say(seen)
            except Exception as error:
                failed, text = True, _say_error(error)
            over = time.monotonic() >= deadline
            if over or (failed and self._stopped(profile)):  # nothing will come of waiting for a stopped platform
                return self._not_yet(profile, text, attempt, points)
            if tell and time.monotonic() - started > _PATIENCE:
                tell(f"not yet; looking again for up to {self.within:.0f} s …")
                tell = None
            time.sleep(_POLL)

    def _worth(self, seen: Any, passed: bool) -> int:
        if self.earned is None:
            return self.points if passed else 0
        return max(0, min(self.earned(seen), self.points))

    @property
    def _of(self) -> int:
        return self.points if self.earned else 0

    def _stopped(self, profile: Profile) -> bool:
        """Whether what the probe asks runs on this machine and was stopped, or never started."""
        from iaclab.platform.services import cluster
        from iaclab.platform.supervise import Supervisor

        ours = [name for name in self.needs if not cluster.is_external(name)]
        return bool(ours) and not Supervisor(profile).alive()

    def _not_yet(self, profile: Profile, text: str, attempt: int, points: int) -> Result:
        away = "the platform is not running" if self._stopped(profile) else self._unready(profile)
        if not away:
            return Result(self.title, False, text, self.hints[min(attempt, 3) - 1], points, of=self._of)
        hint = f"run this notebook's first cell again, or in a terminal: iaclab up {' '.join(self.needs)}"
        return Result(self.title, False, away, hint, 0, away=True)

    def _unready(self, profile: Profile) -> str:
        """The first needed service that is not ready, and what it lacks; empty where all are."""
        from iaclab.platform import registry

        for name in self.needs:
            try:
                missing = registry.service(name).ready(profile)
            except Exception as error:
                missing = _say_error(error)
            if missing:
                return f"{name} is not ready: {missing}"
        return ""


@dataclass(frozen=True)
class Result:
    """What a check found; it shows itself in a notebook and in a terminal.

    `away`: the platform could not be asked. `of`: what can be earned, where that can be a part.
    """

    title: str
    passed: bool
    seen: str
    hint: str
    points: int
    away: bool = False
    of: int = 0

    def __str__(self) -> str:
        lines = [f"{'✔ passed' if self.passed else '✘ not yet'}: {self.title}"]
        if not self.passed:
            lines += [f"  seen: {self.seen}", f"  hint: {self.hint}"]
        if self.of:
            lines.append(f"  points: {self.points} of {self.of}")
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        mark, word = ("✔", "passed") if self.passed else ("✘", "not yet")
        colour = "#1a7f37" if self.passed else "#b35900"
        rows = [f"<b>{mark} {word}</b>: {html.escape(self.title)}"]
        if not self.passed:
            rows += [f"seen: <code>{html.escape(self.seen)}</code>", f"hint: {html.escape(self.hint)}"]
        if self.of:
            rows.append(f"points: {self.points} of {self.of}")
        return f'<div style="border-left:4px solid {colour};padding:2px 10px">{"<br>".join(rows)}</div>'


def _say(seen: object) -> str:
    """What a probe returned, in words."""
    if isinstance(seen, dict):
        seen = ", ".join(f"{key}: {value}" for key, value in seen.items())
    elif isinstance(seen, list | tuple | set):
        seen = ", ".join(map(str, seen))
    text = " ".join(str("" if seen is None else seen).split()) or "nothing"
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _say_error(error: Exception) -> str:
    if isinstance(error, LabError):
        return _say(error.what)
    if isinstance(error, FileNotFoundError) and error.filename:
        return f"{error.filename} is not there"
    return _say(f"{type(error).__name__}: {error}")
