"""The grader's end of the zygote: begin a process in a sandbox, and see when it ends."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iaclab.errors import LabError
from iaclab.grading import mounts
from iaclab.grading.network import UID

# Each message whole; where there is no such kind (macOS), one waits for the other's answer before the next.
_KIND = socket.SOCK_SEQPACKET if sys.platform == "linux" else socket.SOCK_STREAM
_PATIENCE = 60  # seconds until the zygote has imported everything


class Process:
    """A process that the zygote has forked."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        try:
            self._descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else -1
        except ProcessLookupError:
            self._descriptor = -2

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return not self.wait(0)

    def wait(self, seconds: float | None) -> bool:
        """Wait for its end; whether it has ended."""
        if self._descriptor == -2:
            return True
        if self._descriptor == -1:  # not Linux
            import psutil

            with contextlib.suppress(psutil.TimeoutExpired, psutil.NoSuchProcess):
                psutil.Process(self.pid).wait(seconds)
            return not psutil.pid_exists(self.pid)
        return bool(select.select([self._descriptor], [], [], seconds)[0])

    def kill(self) -> None:
        """End it, and what it has started in its session: the sandbox ends what is inside."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not self.wait(0):
                os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Kill it and let go of it."""
        self.kill()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -2


class Zygote:
    """The process that forks kernels and judges; it imports while others work."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, _KIND)
        env = {"PATH": mounts.search_path(), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"}
        argv = [sys.executable, "-I", "-m", "iaclab.grading.zygote"]
        with theirs:
            self._process = subprocess.Popen(
                argv,
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=env,
                cwd="/",
                start_new_session=True,
            )
        self._door, self._is_ready, self._lock = ours, False, threading.Lock()
        self._door.settimeout(_PATIENCE)

    def begin(
        self,
        do: str,
        *,
        first: int,
        args: dict[str, Any],
        env: dict[str, str],
        folder: str,
        files: Sequence[int],
        limits: dict[str, int],
        cgroup: Path | None = None,
    ) -> Process:
        """Fork a process for a task.

        Args:
            do: `kernel` or `judge`.
            first: the first process of its sandbox; 0 for none.
            args: for the task.
            folder: where it works, as the sandbox sees it.
            files: standard input, output and error, then those of the task.
            limits: by the name in the module `resource`.
            cgroup: the file that takes it into a control group.

        Raises:
            LabError: the zygote has ended.
        """
        task = {"do": do, "first": first, "args": args, "env": env, "folder": folder, "limits": limits, "uid": UID}
        text = json.dumps({**task, "cgroup": str(cgroup or "")})
        with self._lock:
            try:
                if not self._is_ready:
                    self._is_ready = self._door.recv(1) == b"\x01"
                socket.send_fds(self._door, [text.encode()], list(files))
                answer = self._door.recv(32)
            except OSError:
                answer = b""
        if not answer:
            raise self._ended()
        return Process(int(answer))

    def _ended(self) -> LabError:
        assert self._process.stderr
        self._process.kill()
        words = self._process.stderr.read().decode(errors="replace").strip().splitlines()
        return LabError("The process that starts kernels has ended.", why=words[-1] if words else "")

    def close(self) -> None:
        """End it; what it has forked goes on."""
        self._door.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()
