"""The profile's supervisord: starts programs, restarts those that die, keeps their logs.

One supervisord (http://supervisord.org) a profile, reached by XML-RPC over a Unix socket in a 0700 folder.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault, ProtocolError, ServerProxy

from iaclab.errors import LabError
from iaclab.platform import loopback
from iaclab.platform.profile import Profile, write_private

if TYPE_CHECKING:
    import psutil

MARK = "IACLAB_PROFILE_ROOT"  # in the environment of every process of a profile
GOING = ("RUNNING", "STARTING")  # the states of a process that supervisord does not need to mend
_RPC_ERRORS = (OSError, Fault, ProtocolError, HTTPException)
_POLL = 0.02
_START = 60  # seconds for supervisord, which takes less than one on a quiet machine
# What the learner's shell sets for clients would change how servers behave.
_NOT_INHERITED = (
    "ARGOCD_", "AWS_", "BAO_", "DOCKER_", "GIT_", "IACLAB_", "KUBE",
    "OCI_", "OTEL_", "PG", "REGISTRY_", "TF_", "TFE_", "VAULT_",
)  # fmt: skip


@dataclass(frozen=True)
class Program:
    """One process of a service.

    Args:
        name: unique in its service.
        argv: the command, with absolute path.
        env: variables added to its environment (credentials go here: `ps` does not show them).
        ports: names of the profile's ports that it listens on; each begins with the service's name.
        acts: it changes a cluster by itself (a controller), so a reset stops it while it restores the cluster.
        stop: the signal that ends it: KILL for one that keeps nothing and takes long to say goodbye.
    """

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    ports: tuple[str, ...] = ()
    acts: bool = False
    stop: str = "TERM"


@dataclass(frozen=True)
class ProcessInfo:
    """What supervisord knows of a process: `state` is one of its own words (RUNNING, BACKOFF, FATAL …)."""

    service: str
    name: str
    state: str
    pid: int


class Supervisor:
    """The supervisord of one profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile

    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        link = self.profile.root / "run"  # read, not made: looking at a profile changes nothing
        if not link.is_symlink():
            raise FileNotFoundError(link)
        transport = SupervisorTransport(None, None, f"unix://{link.readlink()}/supervisor.sock")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor

    def alive(self) -> bool:
        """Whether supervisord runs and takes commands."""
        try:
            return bool(self._rpc().getState()["statename"] == "RUNNING")
        except _RPC_ERRORS:
            return False

    def ensure(self) -> None:
        """Start supervisord where it does not run; what a killed one left behind is ended first.

        Raises:
            LabError: supervisord does not start.
        """
        if self.alive():
            return
        self.kill_orphans()
        root, logs, groups = self.profile.create(), self.profile.folder("logs"), self.profile.folder("conf.d")
        socket = self.profile.run_dir / "supervisor.sock"
        for stale in (socket, *groups.glob("*.conf")):
            stale.unlink(missing_ok=True)
        # The included files are named from this one's folder on: supervisord takes a space for the end of a name, and
        # the state folder of macOS, "Application Support", has one.
        write_private(
            root / "supervisord.conf",
            f"""[unix_http_server]
file={socket}
chmod=0600
[supervisord]
logfile={_percent(logs)}/supervisord.log
logfile_maxbytes=1MB
logfile_backups=1
pidfile={_percent(root)}/supervisord.pid
childlogdir={_percent(logs)}
umask=077
minfds=1024
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[include]
files = {groups.name}/*.conf
""",
        )
        env = {k: v for k, v in os.environ.items() if not k.startswith(_NOT_INHERITED)} | {MARK: str(root)}
        env |= loopback.without_proxy(os.environ)
        done = subprocess.run(
            [sys.executable, "-m", "supervisor.supervisord", "-c", str(root / "supervisord.conf")],
            env=env,
            cwd=root,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            umask=0o077,  # its own log is opened before it reads its settings
        )
        deadline = time.monotonic() + _START
        while not self.alive():
            if done.returncode or time.monotonic() > deadline:
                words = (done.stderr or done.stdout or "it does not answer").strip().splitlines()
                raise LabError(
                    "The process supervisor did not start.", why=words[-1], mend=f"cat {logs}/supervisord.log"
                )
            time.sleep(_POLL)

    def start(self, service: str, programs: list[Program], note: str = "") -> None:
        """Start the programs of `service`; running ones are stopped first, so that new arguments count."""
        self.remove(service)
        write_private(self._conf(service), self._text(service, programs, note))
        self.profile.folder("logs", service)
        rpc = self._rpc()
        rpc.reloadConfig()
        rpc.addProcessGroup(service)  # autostart: every program starts at once

    def runs(self, service: str, programs: list[Program], note: str = "") -> bool:
        """Whether exactly these programs run, started with these arguments and this note."""
        processes = [p for p in self.processes() if p.service == service]
        if not programs:
            return not processes
        conf = self._conf(service)
        same = conf.exists() and conf.read_text() == self._text(service, programs, note)
        return same and bool(processes) and all(p.state in GOING for p in processes)

    def remove(self, service: str) -> None:
        """Stop the programs of `service` and forget them."""
        rpc = self._rpc()
        if service not in {info["group"] for info in rpc.getAllProcessInfo()}:
            return
        rpc.stopProcessGroup(service)
        rpc.removeProcessGroup(service)
        self._conf(service).unlink(missing_ok=True)

    @contextlib.contextmanager
    def paused(self, names: Iterable[tuple[str, str]]) -> Iterator[None]:
        """While single programs, given as (service, program), do not run; waits for their end, not for their start."""
        wanted = list(names)  # in this order they start again
        rpc = self._rpc()
        for service, program in wanted:
            with contextlib.suppress(Fault):  # not running: fine
                rpc.stopProcess(f"{service}:{service}-{program}", False)
        while any((p.service, p.name) in wanted and p.pid for p in self.processes()):
            time.sleep(_POLL)
        try:
            yield
        finally:
            rpc = self._rpc()
            for service, program in wanted:
                with contextlib.suppress(Fault):  # it runs already, or its service is gone
                    rpc.startProcess(f"{service}:{service}-{program}", False)

    def log_file(self, service: str, program: str) -> Path:
        """Where standard output and error of a program go."""
        return self.profile.root / "logs" / service / f"{program}.log"

    def log_size(self) -> int:
        """The size of supervisord's own log, in bytes: `exits` counts from such a place on."""
        return self._own_log.stat().st_size if self._own_log.exists() else 0

    def exits(self, service: str, program: str, since: int) -> int:
        """How often a program has ended by itself (and was started again) since a place in supervisord's log."""
        text = self._own_log.read_bytes() if self._own_log.exists() else b""
        new = text[since if since <= len(text) else 0 :]  # shorter: the log was rotated
        return new.count(f" exited: {service}-{program} ".encode())

    @property
    def _own_log(self) -> Path:
        return self.profile.root / "logs" / "supervisord.log"

    def processes(self) -> list[ProcessInfo]:
        """Every process, or nothing when supervisord does not run."""
        try:
            infos = self._rpc().getAllProcessInfo()
        except _RPC_ERRORS:
            return []
        return [
            ProcessInfo(info["group"], info["name"].removeprefix(info["group"] + "-"), info["statename"], info["pid"])
            for info in infos
        ]

    def shutdown(self) -> None:
        """Stop every process, then supervisord itself; leaves no process and no socket behind."""
        import psutil

        deadline = time.monotonic() + 15
        with contextlib.suppress(*_RPC_ERRORS, psutil.Error):
            rpc = self._rpc()
            rpc.stopAllProcesses(False)  # side by side; its own shutdown stops one service after the other
            while any(p.pid for p in self.processes()) and time.monotonic() < deadline:
                time.sleep(_POLL)
            itself = psutil.Process(rpc.getPID())
            itself.kill()  # it holds nothing now; asked politely it takes two seconds
            while _is_alive(itself) and time.monotonic() < deadline:
                time.sleep(_POLL)
        (self.profile.root / "supervisord.pid").unlink(missing_ok=True)
        self.kill_orphans()
        link = self.profile.root / "run"
        if link.is_symlink():
            with contextlib.suppress(OSError):
                for left in link.readlink().iterdir():
                    left.unlink()
                link.readlink().rmdir()
            link.unlink()

    def kill_orphans(self) -> None:
        """End what still runs with the profile's mark in its environment."""
        import psutil

        mine = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):
                if process.pid != os.getpid() and process.environ().get(MARK) == str(self.profile.root):
                    mine.append(process)
        for ending in (signal.SIGTERM, signal.SIGKILL):
            for process in mine:
                with contextlib.suppress(psutil.Error):
                    process.send_signal(ending)
            deadline = time.monotonic() + 4
            while any(map(_is_alive, mine)) and time.monotonic() < deadline:
                time.sleep(_POLL)

    def _conf(self, service: str) -> Path:
        return self.profile.root / "conf.d" / f"{service}.conf"

    def _text(self, service: str, programs: list[Program], note: str) -> str:
        lines = [f"; {note}", f"[group:{service}]", "programs=" + ",".join(f"{service}-{p.name}" for p in programs)]
        for program in programs:
            env = ",".join(f"{key}={_env_value(value)}" for key, value in program.env.items())
            lines += [
                f"[program:{service}-{program.name}]",
                "command=" + _percent(shlex.join(program.argv)),
                f"directory={_percent(self.profile.root)}",
                f"environment={env}" if env else "",
                "autorestart=true",
                "startsecs=1",
                "startretries=5",
                f"stopsignal={program.stop}",
                "stopasgroup=true",
                "killasgroup=true",
                "stopwaitsecs=4",
                "redirect_stderr=true",
                f"stdout_logfile={_percent(self.log_file(service, program.name))}",
                "stdout_logfile_maxbytes=5MB",
                "stdout_logfile_backups=1",
            ]
        return "\n".join(filter(None, lines)) + "\n"


def _is_alive(process: psutil.Process) -> bool:
    """A dead one that its parent has not noticed yet counts as dead: an init that is slow, or none in a container."""
    import psutil

    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _env_value(value: str) -> str:
    quote = "'" if '"' in value else '"'  # supervisord knows no escapes here
    if quote in value or "\n" in value:
        raise ValueError(f"not a value that supervisord's configuration can hold: {value!r}")
    return quote + _percent(value) + quote


def _percent(value: object) -> str:
    """supervisord expands %(name)s in its configuration; a plain percent sign is doubled."""
    return str(value).replace("%", "%%")
