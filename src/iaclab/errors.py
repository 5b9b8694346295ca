"""The one exception that users see: what happened, why, and the command that mends it."""

from __future__ import annotations


class LabError(Exception):
    """A problem that the user can mend.

    Args:
        what: what happened, one sentence.
        why: the cause, where it is known.
        mend: a command to run.
    """

    def __init__(self, what: str, why: str = "", mend: str = "") -> None:
        super().__init__(what, why, mend)
        self.what, self.why, self.mend = what, why, mend

    def __str__(self) -> str:
        lines = [self.what]
        if self.why:
            lines.append(f"Why: {self.why}")
        if self.mend:
            lines.append(f"Mend: {self.mend}")
        return "\n".join(lines)

    def _render_traceback_(self) -> list[str]:
        """IPython shows this in place of a traceback."""
        return str(self).splitlines()
