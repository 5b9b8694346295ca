"""The command `sentinel`: HashiCorp's own where it is on PATH, else IaC Lab's interpreter of a subset of the language.

No process runs. HashiCorp's program is not free software, so the course neither fetches nor ships it.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from iaclab.platform.profile import Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

# What the learner writes in its folder (a csv.py, say) must not stand in for Python's own modules: -P.
_LAUNCHER = """#!/bin/sh
exec '{python}' -P -m iaclab.sentinel "$@"
"""


def launcher(profile: Profile) -> Path:
    """The command of this profile."""
    return profile.root / "bin" / "sentinel"


def real(profile: Profile) -> str | None:
    """HashiCorp's program on PATH; launchers of this course, in any profile, do not count."""
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        found = shutil.which("sentinel", path=folder) if folder else None
        if found and b"iaclab.sentinel" not in Path(found).read_bytes()[:200]:
            return found
    return None


def _prepare(profile: Profile) -> None:
    profile.folder("bin")
    if real(profile):
        launcher(profile).unlink(missing_ok=True)  # it comes first on PATH
        return
    write_private(launcher(profile), _LAUNCHER.format(python=sys.executable))
    launcher(profile).chmod(0o700)


def _programs(profile: Profile) -> list[Program]:
    return []


def _ready(profile: Profile) -> str | None:
    here = launcher(profile).exists() or real(profile)
    return None if here else "the command sentinel is not there"


SERVICES = [
    Service(
        name="sentinel",
        title="The command sentinel (HashiCorp's, or an interpreter of a subset)",
        programs=_programs,
        prepare=_prepare,
        ready=_ready,
        clear=_prepare,
    )
]
