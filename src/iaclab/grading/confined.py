"""Runs what a learner wrote (a test, a policy, a plan) for a check.

On a learner's own machine that is a plain process. When a submission is graded it runs in a sandbox of its own, which
sees the work folder to read and the check's scratch folder to write, and has no network.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

Runner = Callable[[Sequence[str], Path, Mapping[str, str], float], "subprocess.CompletedProcess[str]"]


def run(
    argv: Sequence[str], *, folder: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a program and return what it said.

    Args:
        argv: with absolute path.
        folder: where it works: the work folder, or one that `tempfile` has made.
        env: its whole environment.
        timeout: seconds.

    Raises:
        subprocess.TimeoutExpired: it did not end in time.
    """
    return _runner(argv, folder.absolute(), env, timeout)


def use(runner: Runner) -> None:
    """Have every later `run` of this process done by `runner`: the judge does, before it looks at anything."""
    global _runner
    _runner = runner


def _plainly(
    argv: Sequence[str], folder: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv, cwd=folder, env=dict(env), capture_output=True, text=True, errors="replace", timeout=timeout
    )


_runner: Runner = _plainly
