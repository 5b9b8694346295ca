"""What came of putting a learner's work to the proof: faults caught, faults missed, and right things refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from iaclab.checks.lab3.cases import Cases
from iaclab.checks.record import Check
from iaclab.platform.profile import Profile

_MOST = 2  # names of each kind that are told
_PRICE = 2  # a right thing refused costs as much as this many faults caught


@dataclass(frozen=True)
class Proof:
    """The result of a proof.

    Args:
        faults: how many there were to be caught.
        missed: those that were let pass.
        alarms: what is right and was refused, with the reason that was given.
    """

    faults: int
    missed: tuple[str, ...]
    alarms: tuple[str, ...]

    @classmethod
    def of(cls, cases: Cases, refused: Mapping[str, str | None]) -> Proof:
        """From what was said to each case by its name; `None` is no objection."""
        missed = tuple(case.name for case in cases.faulty if refused[case.name] is None)
        alarms = tuple(f"{c.name} ({refused[c.name]})" for c in cases.right if refused[c.name] is not None)
        return cls(len(cases.faulty), missed, alarms)

    @property
    def is_clean(self) -> bool:
        """Every fault was caught, and nothing else."""
        return not self.missed and not self.alarms

    def points(self, of: int) -> int:
        """What it is worth: each fault as much as the others, and each false alarm takes two of them away."""
        net = self.faults - len(self.missed) - _PRICE * len(self.alarms)
        return max(0, net) * of // self.faults

    def __str__(self) -> str:
        parts = [f"{self.faults - len(self.missed)} of {self.faults} faults caught"]
        if self.alarms:
            parts.append(f"refused, though right: {_some(self.alarms)}")
        if self.missed:
            parts.append(f"let pass: {_some(self.missed)}")
        return "; ".join(parts)


def _some(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST
    return ", ".join(names[:_MOST]) + (f" and {more} more" if more > 0 else "")


def record(
    points: int,
    title: str,
    proof: Callable[[Profile], Proof],
    hints: tuple[str, str, str],
    needs: tuple[str, ...] = (),
) -> Check:
    """A check with points for each fault that is caught."""
    return Check(
        title=title,
        probe=proof,
        expect=lambda found: found.is_clean,
        earned=lambda found: found.points(points),
        hints=hints,
        points=points,
        needs=needs,
    )
