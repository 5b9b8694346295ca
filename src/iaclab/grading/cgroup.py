"""A control group (version 2) for a submission, where the grader may make one: as root, or in a delegated scope.

    systemd-run --user --scope -p Delegate=yes iaclab grade …

Its limits are exact, where a watcher only looks from time to time; both are used then.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from pathlib import Path

from iaclab.grading.limits import Limits

_ROOT = Path("/sys/fs/cgroup")
_LEAF = "iaclab-grader"
_numbers = itertools.count(1)


class Group:
    """A control group with limits; `procs` is the file that takes processes in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def procs(self) -> Path:
        """Written by a process to move there: "0" is the writer itself."""
        return self.folder / "cgroup.procs"

    def close(self) -> None:
        """Kill what is left in it, and remove it."""
        with contextlib.suppress(OSError):
            (self.folder / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + 5
        while self.folder.exists() and time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                self.folder.rmdir()
                return
            time.sleep(0.02)


def make(limits: Limits, root: Path = _ROOT) -> Group | None:
    """A group with these limits below the grader's own; `None` where none can be made, or has no limits."""
    own = _own(root)
    if own is None:
        return None
    folder = own / f"iaclab-{os.getpid()}-{next(_numbers)}"
    try:
        folder.mkdir()
    except OSError:
        return None
    try:
        (folder / "memory.max").write_text(str(limits.memory))
        (folder / "pids.max").write_text(str(limits.processes))
        with contextlib.suppress(OSError):  # absent without swap
            (folder / "memory.swap.max").write_text("0")
    except OSError:  # its controllers are not handed down
        with contextlib.suppress(OSError):
            folder.rmdir()
        return None
    return Group(folder)


def _own(root: Path) -> Path | None:
    """The grader's group in the unified hierarchy, `None` where there is none."""
    if not (root / "cgroup.controllers").exists():
        return None
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            own = root / line[3:].lstrip("/")
            own = own.parent if own.name == _LEAF else own
            with contextlib.suppress(OSError):
                _hand_down(own)
            return own
    return None


def _hand_down(own: Path) -> None:
    """Let groups below have limits. A group with processes of its own cannot: they move into a leaf, if it is ours."""
    if "memory" in (own / "cgroup.subtree_control").read_text().split():
        return
    if os.getxattr(own, "user.delegate") != b"1":  # how systemd marks what it has delegated
        return
    leaf = own / _LEAF
    leaf.mkdir(exist_ok=True)
    for pid in (own / "cgroup.procs").read_text().split():
        (leaf / "cgroup.procs").write_text(pid)
    (own / "cgroup.subtree_control").write_text("+memory +pids")
