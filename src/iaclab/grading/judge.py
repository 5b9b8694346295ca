"""The trusted checks, inside: they look at a world after every process of the submission is dead.

A fork of the zygote in a sandbox of its own, with the profile's admin credentials, the work folder to read, and the
hidden checks in memory only: a link that a submission left behind leads nowhere that the submission could not read.
Lines of JSON go to the grader and back; `bench.py` is the other end.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from iaclab.checks import checks
from iaclab.checks.record import Check
from iaclab.grading import confined
from iaclab.grading.closed import close_memory
from iaclab.grading.verdict import HIDDEN, Verdict
from iaclab.platform.profile import Profile

_POLL = 0.25  # seconds between two looks at the same check


class Line:
    """The line to the grader; threads of a check may share it."""

    def __init__(self) -> None:
        self._in, self._out = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
        self._lock = threading.Lock()
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1):  # what a check prints must not end up between the answers
            os.dup2(nothing, number)

    def read(self) -> Any:
        """The next message."""
        return json.loads(self._in.readline())

    def say(self, **message: Any) -> None:
        """Send a message."""
        with self._lock:
            self._send(message)

    def run(
        self, argv: Sequence[str], folder: Path, env: Mapping[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """Have the grader run a program in a sandbox (`confined.run`)."""
        with self._lock:
            task = {"argv": list(map(str, argv)), "folder": str(folder), "env": dict(env), "timeout": timeout}
            self._send({"run": task})
            answer = self.read()
        if answer["status"] is None:
            raise subprocess.TimeoutExpired(list(argv), timeout)
        return subprocess.CompletedProcess(list(argv), answer["status"], answer["out"], answer["err"])

    def _send(self, message: dict[str, Any]) -> None:
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()


def serve(args: dict[str, Any]) -> None:
    """Judge: `checks` (names), `hidden` (the source of the hidden ones, and its `file`), `profile` and `state`."""
    del args
    close_memory()  # it holds the hidden checks
    line = Line()
    confined.use(line.run)
    task = line.read()
    try:
        records = _records(task)
    except BaseException as error:
        line.say(broken=f"{type(error).__name__}: {error}")
        return
    line.say(points={name: record.points for name, record in records.items()})
    profile = Profile(task["profile"], Path(task["state"]))
    _look_at_all(records, profile, line, task["patience"])


def _records(task: dict[str, Any]) -> dict[str, Check]:
    known = checks()
    if task["hidden"]:
        known |= {HIDDEN + name: record for name, record in _hidden(task["hidden"], task["file"]).items()}
    if missing := [name for name in task["checks"] if name not in known]:
        raise LookupError(f"there is no check {missing[0]}")
    return {name: known[name] for name in task["checks"]}


def _hidden(source: str, file: str) -> dict[str, Check]:
    """The hidden checks, from their source: no file of theirs is anywhere that a link could lead to."""
    module = ModuleType("iaclab_hidden")
    sys.modules[module.__name__] = module
    exec(compile(source, file, "exec"), module.__dict__)
    return dict(module.CHECKS)


def _look_at_all(records: dict[str, Check], profile: Profile, line: Line, patience: float) -> None:
    """Look at each in turn, again and again, until it passes or its time is over; all times run side by side."""
    started = time.monotonic()
    open_ones = dict(records)
    while open_ones:
        for name, record in list(open_ones.items()):
            line.say(at=name)
            over = time.monotonic() - started >= record.within * patience
            verdict = _look(name, record, profile, over)
            if verdict:
                del open_ones[name]
                line.say(verdict=dataclasses.asdict(verdict))
        if open_ones:
            time.sleep(_POLL)


def _look(name: str, record: Check, profile: Profile, over: bool) -> Verdict | None:
    """What a check says now; `None` where it may still pass."""
    try:
        seen = record.probe(profile)
        if not record.expect(seen) and not over:
            return None
        settled = dataclasses.replace(record, probe=lambda _: seen, within=0)
    except Exception as error:
        if not over:
            return None
        raised = error

        def probe(_: Profile) -> Any:
            raise raised

        settled = dataclasses.replace(record, probe=probe, within=0)
    except BaseException as error:  # SystemExit
        return Verdict(name, record.title, False, f"the check ended: {error!r}", 0, record.points, "")
    result = settled.run(profile, attempt=3)
    return Verdict(name, record.title, result.passed, result.seen, result.points, record.points, result.hint)
