"""What a check says of a submission."""

from __future__ import annotations

from dataclasses import dataclass

HIDDEN = "hidden:"  # before the name of a hidden check


@dataclass(frozen=True)
class Verdict:
    """What one check says.

    Args:
        check: its name; that of a hidden one begins with `hidden:`.
        title: what should be true.
        passed: whether it is.
        seen: what was seen; of a hidden check it is for instructors only.
        points: earned.
        of: what can be earned.
        hint: the check's plainest hint, where it did not pass.
    """

    check: str
    title: str
    passed: bool
    seen: str
    points: int
    of: int
    hint: str = ""

    def __str__(self) -> str:
        lines = [f"{'✔ passed' if self.passed else '✘ not yet'}: {self.title} ({self.points} of {self.of})"]
        if not self.passed:
            lines += [f"  seen: {self.seen}"] + [f"  hint: {self.hint}"] * bool(self.hint)
        return "\n".join(lines)
