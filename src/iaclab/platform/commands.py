"""Commands under a profile's own names: links in its folder `bin`, which comes first on PATH (`Profile.env`)."""

from __future__ import annotations

import os
from pathlib import Path

from iaclab.platform.profile import Profile


def link(profile: Profile, name: str, program: Path) -> None:
    """Make `name` run `program` in this profile."""
    program = program.resolve()  # it may have been found by this very link, on a learner's PATH
    place = profile.folder("bin") / name
    if not (place.is_symlink() and place.readlink() == program):
        aside = place.with_name(f".{name}-{os.getpid()}")
        aside.unlink(missing_ok=True)
        aside.symlink_to(program)
        aside.replace(place)
