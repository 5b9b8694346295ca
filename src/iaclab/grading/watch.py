"""Watches what a submission's processes use together, and ends them where it is too much.

The kernel limits each process by itself (`Limits.resource_limits`). For all together there are control groups; where
none can be made, processes are looked at some ten times a second, so that what comes between two looks gets through.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from iaclab.grading.desk import usage
from iaclab.grading.limits import Limits

SERVICES = "it filled its services'"
_LOOK, _LOOK_AT_DISK = 0.1, 0.5  # seconds
_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Usage:
    """What one process uses; times with those of its children that have ended."""

    pid: int
    parent: int
    threads: int
    seconds: float
    resident: int


class Watch:
    """A thread that watches the descendants of some processes; a context.

    Args:
        roots: the processes whose descendants are watched, those included.
        services: the process whose descendants are the lab's services, and the folder of their data.
        used: how many bytes and files they have written.
        end: called once with the reason, in words.
    """

    def __init__(
        self,
        roots: list[int],
        services: tuple[int, Path] | None,
        used: Callable[[], tuple[int, int]],
        limits: Limits,
        end: Callable[[str], None],
    ) -> None:
        self._roots, self._services, self._used, self._limits, self._end = roots, services, used, limits, end
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self.peak = 0  # bytes of memory

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as error:  # what nobody watches must not go on
            self._end(f"its watcher failed ({type(error).__name__}: {error})")

    def _watch(self) -> None:
        looked_at_disk = 0.0
        while not self._stop.wait(_LOOK):
            found = descendants(self._roots)
            too_much = self._judge(found)
            if not too_much and time.monotonic() - looked_at_disk > _LOOK_AT_DISK:
                too_much = self._judge_disk(found) or self._judge_services()
                looked_at_disk = time.monotonic()
            if too_much:
                self._end(too_much)
                return

    def _judge(self, found: list[Usage]) -> str:
        limits = self._limits
        resident = sum(one.resident for one in found)
        self.peak = max(self.peak, resident)
        if resident > limits.memory and _exact(found) > limits.memory:  # resident counts shared pages many times
            return f"it used more than {_mb(limits.memory)} of memory"
        if sum(one.seconds for one in found) > limits.cpu:
            return f"it used more than {limits.cpu} s of processor time"
        if sum(one.threads for one in found) > limits.processes + 16:  # bubblewrap's own, and the fork itself
            return f"it had more than {limits.processes} processes"
        return ""

    def _judge_disk(self, found: list[Usage]) -> str:
        size, count = self._used()
        if size + sum(_deleted(one.pid) for one in found) > self._limits.disk:
            return f"it wrote more than {_mb(self._limits.disk)}"
        if count > self._limits.files:
            return f"it made more than {self._limits.files} files, or folders that cannot be looked into"
        return ""

    def _judge_services(self) -> str:
        if not self._services:
            return ""
        pid, data = self._services
        if sum(one.resident for one in descendants([pid])) > self._limits.services:
            return f"{SERVICES} memory"
        return f"{SERVICES} disk" if usage([data])[0] > self._limits.services_disk else ""


def descendants(roots: list[int]) -> list[Usage]:
    """The processes that these have started, and they themselves."""
    everything = list(_processes())
    children: dict[int, list[Usage]] = {}
    for one in everything:
        children.setdefault(one.parent, []).append(one)
    found = {one.pid: one for one in everything if one.pid in roots}
    todo = list(found)
    while todo:
        for one in children.get(todo.pop(), []):
            if one.pid not in found:
                found[one.pid] = one
                todo.append(one.pid)
    return list(found.values())


def _processes() -> Iterator[Usage]:
    """All processes: /proc itself, because psutil takes ten times as long, and this runs ten times a second."""
    for name in os.listdir("/proc") if Path("/proc").is_dir() else []:  # noqa: PTH208, Path objects cost as much again
        if name.isdigit():
            with contextlib.suppress(OSError, ValueError, IndexError):
                words = _read(f"/proc/{name}/stat").rpartition(")")[2].split()
                seconds = sum(map(int, words[11:15])) / _TICK
                yield Usage(int(name), int(words[1]), int(words[17]), seconds, int(words[21]) * _PAGE)


def _exact(found: list[Usage]) -> int:
    """Bytes of memory, each page shared out among those that have it."""
    total = 0
    for one in found:
        try:
            lines = _read(f"/proc/{one.pid}/smaps_rollup").splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) * 1024
        except FileNotFoundError:
            continue
        except OSError:  # it cannot be looked at: all that it has counts
            total += one.resident
    return total


def _deleted(pid: int) -> int:
    """Bytes of files that a process holds open and that have no name: deleted ones, and those that only memory has."""
    total = 0
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{pid}/fd"):  # noqa: PTH208
            with contextlib.suppress(OSError):
                status = os.stat(f"/proc/{pid}/fd/{name}")  # noqa: PTH116
                if status.st_nlink == 0:
                    total += status.st_blocks * 512
    return total


def _read(path: str) -> str:
    with open(path, errors="replace") as file:  # noqa: PTH123
        return file.read()


def _mb(size: int) -> str:
    return f"{size >> 20} MB"
