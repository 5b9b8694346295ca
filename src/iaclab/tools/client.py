"""Runs the client of a package registry (uv, npm, Maven) for a strategy, until it ends or is told to stop.

Each has a process group of its own, by which it ends with all that it has started.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from iaclab.tools.source import SourceFailed

_PATIENCE = 1.2  # seconds that an interrupted one has to clean up: less than `side_by_side` waits for its threads


def run(
    command: list[str],
    env: dict[str, str],
    stop: threading.Event,
    reason: Callable[[str], str],
    folder: Path | None = None,
) -> None:
    """Run `command`; its output is kept for the error alone.

    Args:
        command: the program and its arguments.
        env: its whole environment.
        stop: set by another thread to end it.
        reason: makes one line of what it printed.
        folder: where it runs.

    Raises:
        SourceFailed: it failed, or was stopped.
    """
    with subprocess.Popen(
        command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, process_group=0,
    ) as process:  # fmt: skip
        try:
            said = _until_it_ends(process, stop)
        except BaseException:
            end(process)
            raise
    if process.returncode:
        raise SourceFailed(reason(said))


def _until_it_ends(process: subprocess.Popen[str], stop: threading.Event) -> str:
    """What it has said, when it has ended."""
    while True:
        try:
            return process.communicate(timeout=0.5)[0]
        except subprocess.TimeoutExpired:
            if stop.is_set():
                raise SourceFailed("stopped") from None


def end(process: subprocess.Popen[str]) -> None:
    """End a process and all that it has started, which are its process group."""
    try:
        process.send_signal(signal.SIGINT)
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        pass
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS: nobody is left but a zombie
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
