"""One set of processes that see only what they are given, and end together.

bubblewrap makes the namespaces and runs `cat`, which lives until its standard input is closed; processes enter from
the zygote. It is the first process of its namespace: its end is the end of all others, however the grader ended, and
nobody inside can end it. (bubblewrap's own first process would wait for all others instead.)
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path

from iaclab.grading.mounts import Bind, command
from iaclab.grading.network import Network, no_sandbox

_HOLDER = ["sh", "-c", "trap '' CHLD; exec cat"]  # the kernel reaps what is left to it
_CLEAN = {"PATH": "/usr/bin:/bin"}  # what /proc shows of bubblewrap's own processes


class Sandbox:
    """Namespaces with nobody in them yet; a context that ends them.

    Args:
        binds: what it sees beside the system.
        etc: its /etc.

    Raises:
        LabError: bubblewrap cannot make it.
    """

    def __init__(self, network: Network, binds: list[Bind], etc: Path) -> None:
        read, write = os.pipe()
        argv = command(network, binds, etc)
        argv[-1:-1] = ["--as-pid-1", "--info-fd", str(write)]
        self._outer = subprocess.Popen(
            [*argv, *_HOLDER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[write],
            env=_CLEAN,
            cwd="/",
            start_new_session=True,
        )
        os.close(write)
        try:
            with os.fdopen(read) as info:
                said = info.read()
            self.first = int(json.loads(said)["child-pid"]) if said else 0  # on the host
            self._await_holder()
        except BaseException:
            self.close()
            raise

    def _await_holder(self) -> None:
        """What is written to `cat` comes back once everything is mounted."""
        assert self._outer.stdin and self._outer.stdout and self._outer.stderr
        answer = b""
        with contextlib.suppress(BrokenPipeError):
            self._outer.stdin.write(b".")
            self._outer.stdin.flush()
            answer = self._outer.stdout.read(1)
        if answer != b"." or not self.first:
            words = self._outer.stderr.read().decode(errors="replace").strip().splitlines()
            raise no_sandbox(f"bubblewrap says: {words[-1] if words else 'nothing, and ends'}")

    @property
    def alive(self) -> bool:
        """Whether the namespaces are still there: a submission may kill what holds them."""
        return self._outer.poll() is None

    def close(self) -> None:
        """End every process in it; returns when none is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if getattr(self, "first", 0) and self.alive:
                os.kill(self.first, 9)
        for stream in (self._outer.stdin, self._outer.stdout, self._outer.stderr):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()
        self._outer.wait()

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
