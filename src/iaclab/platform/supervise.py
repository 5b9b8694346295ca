"""The profile's supervisord: starts programs, restarts those that die, keeps their logs.

One supervisord (http://supervisord.org) a profile, reached by XML-RPC over a Unix socket in a 0700 folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from iaclab.errors import LabError
from iaclab.platform.profile import Profile, write_private

MARK = "IACLAB_PROFILE_ROOT"  # in the environment of every process of a profile


@dataclass(frozen=True)
class Program:
    """One process of a service.

    Args:
        name: unique in its service.
        argv: the command, with absolute path.
        env: variables added to its environment (credentials go here: `ps` does not show them).
        ports: names of the profile's ports that it listens on.
    """

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows of a process: `state` is one of its own words (RUNNING, BACKOFF, FATAL …)."""

    service: str
    name: str
    state: str
    pid: int
    started: float
    exitstatus: int


class Supervisor:
    """The supervisord of one profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    @property
    def _socket(self) -> Path:
        return self.profile.run_dir / "supervisor.sock"

    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._socket}")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def alive(self) -> bool:
        """Whether supervisord answers."""
        if not self._socket.exists():
            return False
        try:
            return bool(self._rpc().getState()["statecode"] == 1)
        except (OSError, Fault):
            return False

    def ensure(self) -> None:
        """Start supervisord where it does not run; what a killed one left behind is ended first.

        Raises:
            LabError: supervisord does not start.
        """
        if self.alive():
            return
        self.kill_orphans()
        with contextlib.suppress(FileNotFoundError):
            self._socket.unlink()
        root = self.profile.create()
        conf, logs, groups = root / "supervisord.conf", self.profile.folder("logs"), root / "conf.d"
        for stale in groups.glob("*.conf"):
            stale.unlink()
        groups.mkdir(exist_ok=True, mode=0o700)
        write_private(
            conf,
            f"""[unix_http_server]
file={self._socket}
chmod=0600
[supervisord]
logfile={logs}/supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile={root}/supervisord.pid
childlogdir={logs}
umask=077
minfds=1024
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = {groups}/*.conf
""",
        )
        env = {**os.environ, MARK: str(root)}
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(conf)],
            env=env,
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        deadline = time.monotonic() + 15
        while not self.alive():
            if done.returncode or time.monotonic() > deadline:
                raise LabError(
                    "The process supervisor did not start.",
                    why=(done.stderr or done.stdout or "it does not answer").strip().splitlines()[-1],
                    mend=f"cat {logs}/supervisord.log",
                )
            time.sleep(0.02)

    def start(self, service: str, programs: list[Program]) -> None:
        """Start the programs of `service`; running ones are stopped first, so that new arguments count."""
        self.remove(service)
        lines = [f"[group:{service}]", "programs=" + ",".join(f"{service}-{p.name}" for p in programs)]
        for program in programs:
            env = ",".join(f'{key}="{_escape(value)}"' for key, value in program.env.items())
            lines += [
                f"[program:{service}-{program.name}]",
                "command=" + " ".join(_quote(part) for part in program.argv),
                f"directory={self.profile.root}",
                f"environment={env}" if env else "",
                "autorestart=true",
                "startsecs=1",
                "startretries=5",
                "stopasgroup=true",
                "killasgroup=true",
                "stopwaitsecs=4",
                "redirect_stderr=true",
                f"stdout_logfile={self.log_file(service, program.name)}",
                "stdout_logfile_maxbytes=5MB",
                "stdout_logfile_backups=1",
            ]
        write_private(self.profile.folder("conf.d") / f"{service}.conf", "\n".join(filter(None, lines)) + "\n")
        rpc = self._rpc()
        rpc.reloadConfig()
        rpc.addProcessGroup(service)  # autostart: every program starts at once

    def remove(self, service: str) -> None:
        """Stop the programs of `service` and forget them."""
        rpc = self._rpc()
        if service not in {info["group"] for info in rpc.getAllProcessInfo()}:
            return
        rpc.stopProcessGroup(service)
        rpc.removeProcessGroup(service)
        with contextlib.suppress(FileNotFoundError):
            (self.profile.root / "conf.d" / f"{service}.conf").unlink()

    def log_file(self, service: str, program: str) -> Path:
        """Where standard output and error of a program go."""
        return self.profile.folder("logs") / f"{service}-{program}.log"

    def processes(self) -> list[ProcessInfo]:
        """Every process, or nothing when supervisord does not run."""
        if not self.alive():
            return []
        return [
            ProcessInfo(
                service=info["group"],
                name=info["name"].removeprefix(info["group"] + "-"),
                state=info["statename"],
                pid=info["pid"],
                started=float(info["start"]),
                exitstatus=info["exitstatus"],
            )
            for info in self._rpc().getAllProcessInfo()
        ]

    def shutdown(self) -> None:
        """Stop every process, then supervisord itself; leaves no process behind."""
        if self.alive():
            with contextlib.suppress(OSError, Fault):
                self._rpc().shutdown()
            deadline = time.monotonic() + 15
            while self._socket.exists() and self.alive() and time.monotonic() < deadline:
                time.sleep(0.05)
        self.kill_orphans()
        with contextlib.suppress(OSError):
            self._socket.unlink()
            self.profile.run_dir.rmdir()

    def kill_orphans(self) -> int:
        """End what still runs with the profile's mark in its environment; returns how many there were."""
        import psutil

        mine = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.environ().get(MARK) == str(self.profile.root):
                    mine.append(process)
        for process in mine:
            with contextlib.suppress(psutil.Error):
                process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(mine, timeout=4)
        for process in alive:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(alive, timeout=4)
        return len(mine)


def _escape(value: str) -> str:
    return value.replace("%", "%%").replace('"', '\\"')


def _quote(part: str) -> str:
    if "'" in part or "\n" in part:
        raise ValueError(f"not an argument that supervisord's configuration can hold: {part!r}")
    return f"'{part}'".replace("%", "%%")
