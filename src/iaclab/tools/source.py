"""What the strategies say to each other's caller: how far they are, what came, and why nothing came."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from iaclab import paths

Progress = Callable[[int, int], None]  # (bytes so far, bytes in all or 0)
UNPUBLISHED = "no published checksum: pinned on first download"
UNPINNED = "no digest in the catalogue: pinned on first download"


@dataclass(frozen=True)
class Download:
    """What came from a site: the SHA-256 that the next one must have, and what is to be said of it, if anything."""

    sha256: str
    remark: str


class SourceFailed(Exception):
    """This source has not brought the tool; the text says why, in one line, for the user.

    Args:
        reason: one line.
        host: the site that cannot be reached at all, so that nothing else is asked of it.
    """

    def __init__(self, reason: str, host: str = "") -> None:
        super().__init__(reason)
        self.host = host


def in_clone(kind: str, name: str, file: str = "") -> Path:
    """What pins a tool's packages or modules: tools/<kind>/<name> in the clone of the course.

    Args:
        file: what must lie in that folder; empty where it is a file itself.

    Raises:
        SourceFailed: it is not there.
    """
    root = paths.repo_root()
    place = root / "tools" / kind / name if root else None
    if place is None or not (place / file).exists():
        raise SourceFailed(f"tools/{kind}/{name} is not here: this needs a clone of the course")
    return place
