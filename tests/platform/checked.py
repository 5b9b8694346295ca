"""A platform on which the checks of a lesson look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from iaclab.checks.record import Check
from iaclab.platform.profile import Profile


@dataclass
class Checked:
    """A running profile, and a folder with the learner's files."""

    profile: Profile
    folder: Path
    checks: ClassVar[Mapping[str, Check]]

    def seen(self, check: str) -> Any:
        """What the check's probe sees."""
        return self.checks[check].probe(self.profile)

    def passes(self, check: str) -> bool:
        """Whether it passes now, without waiting."""
        try:
            return bool(self.checks[check].expect(self.seen(check)))
        except Exception:
            return False
