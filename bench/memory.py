"""Memory of processes, in bytes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable

import psutil


def shared_once(pids: Iterable[int]) -> int:
    """Resident memory with pages that several processes share counted once (PSS; RSS where the system has no PSS)."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):  # it ended while we looked
            info = psutil.Process(pid).memory_full_info()
            total += getattr(info, "pss", info.rss)
    return total


def shared_each(pids: Iterable[int]) -> int:
    """Resident memory (RSS) summed: a page that four processes share counts four times."""
    total = 0
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            total += psutil.Process(pid).memory_info().rss
    return total
