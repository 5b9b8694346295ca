"""Progress made anew from what is there: every check whose lesson has a folder here is asked again."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from iaclab import learning_path, preparation
from iaclab.checks import checks, progress
from iaclab.environment import environment
from iaclab.platform.profile import Profile


@dataclass(frozen=True)
class Asked:
    """What came of it: how many checks passed, how many did not, and which could not be asked (services are down)."""

    passed: int
    missed: int
    away: tuple[str, ...]

    def __str__(self) -> str:
        if not self.passed and not self.missed and not self.away:
            return "There was no check to ask again: no lesson with open checks has files here."
        text = f"The open checks were asked again: {self.passed} passed, {self.missed} did not"
        if self.away:
            text += f", {len(self.away)} could not be asked: what they look at does not run"
        return text


def ask_again(tell: Callable[[str], None]) -> Asked:
    """Run every check that is not noted as passed, one look each, in its lesson's folder; a pass is noted.

    A check that does not pass now is no attempt: what a lesson had built may be gone since.
    """
    profile, known = Profile(), checks()
    passed, missed, away = 0, 0, list[str]()
    for step in learning_path.steps():
        folder = preparation.workspace_folder(step.lesson.id) if step.lesson else None
        names = [one.check for one in step.exercises if one.check not in step.passed and one.check in known]
        if folder is None or not folder.is_dir() or not names:
            continue
        tell(step.title)
        with _as_in_the_lesson(folder, profile):
            for name in names:
                result = dataclasses.replace(known[name], within=0).run(profile)
                if result.passed or result.points:
                    progress.record(name, passed=result.passed, points=result.points, miss=False)
                passed += result.passed
                missed += not (result.passed or result.away)
                away += [name] if result.away else []
    if not away:
        progress.mended()
    return Asked(passed, missed, tuple(away))


@contextlib.contextmanager
def _as_in_the_lesson(folder: Path, profile: Profile) -> Iterator[None]:
    """The folder and the variables of a lesson's cells."""
    with environment({**profile.env(), **preparation.own_git(folder)}), contextlib.chdir(folder):
        yield
