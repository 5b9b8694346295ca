"""Starting services side by side: each as soon as what it needs is ready, and ready when it says so itself."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from iaclab.errors import LabError
from iaclab.platform import snapshot
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.registry import with_needs
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program, Supervisor

Progress = Callable[[str, str], None]  # (service, what happens now)
_POLL = 0.05
_LOOK = 0.3  # seconds between looks at processes that are not ready yet
_EXITS = 4  # a program that has ended this often is not going to start; supervisord waits 1, 2, 3 … s between them
_ATTEMPTS = 4  # a port taken between choosing and binding is chosen again this often


@dataclass
class Starting:
    """One `up` at work. `stop` ends every wait, after a failure or Ctrl-C."""

    profile: Profile
    supervisor: Supervisor
    tell: Progress
    stop: threading.Event = field(default_factory=threading.Event)
    rpc: threading.Lock = field(default_factory=threading.Lock)  # supervisord reads its configuration for one at a time


class _Stopped(Exception):
    """Another service failed, or the user pressed Ctrl-C: the wait for this one has ended."""


class _PortTaken(Exception):
    """A program could not bind its port."""


def start_all(work: Starting, wanted: list[Service]) -> None:
    """Start services that do not run; `wanted` has dependencies first.

    After a failure nothing more is started; what runs stays, so that its logs can be read.

    Raises:
        LabError: the first failure.
    """
    running: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(len(wanted)) as pool:
        try:
            for service in wanted:
                needs = [running[name] for name in service.needs]
                running[service.name] = pool.submit(_start_after, work, service, needs)
            wait(running.values(), return_when=FIRST_EXCEPTION)
        finally:  # also on Ctrl-C: leaving the pool waits for its threads
            work.stop.set()
    failures = [error for future in running.values() if (error := future.exception())]
    for error in failures:
        if not isinstance(error, _Stopped):
            raise error


def wait_ready(work: Starting, service: Service, logged: dict[str, int]) -> None:
    """Until the service says that it is ready. `logged`: the sizes of its programs' logs before they started.

    Raises:
        LabError: one of its programs gives up, the disk is full, or the time is over.
    """
    deadline, looked = time.monotonic() + service.timeout, time.monotonic()
    while (missing := service.ready(work.profile)) is not None:
        if work.stop.wait(_POLL):
            raise _Stopped
        if time.monotonic() - looked > _LOOK:
            looked = time.monotonic()
            _look_at_processes(work, service, logged)
        if time.monotonic() > deadline:
            raise _not_ready(work, service, f"after {service.timeout:.0f} s {missing}")


def note_of(profile: Profile, service: Service) -> str:
    """What a service was started with beside its own arguments: the ports of what it needs."""
    needs = {s.name for s in with_needs([service.name])} - {service.name}
    return json.dumps({name: port for name, port in sorted(profile.ports.items()) if name.split(".")[0] in needs})


def log_sizes(work: Starting, service: Service, programs: list[Program]) -> dict[str, int]:
    """How long the log of each program is, in bytes: what comes after is new."""
    paths = {p.name: work.supervisor.log_file(service.name, p.name) for p in programs}
    return {name: path.stat().st_size if path.exists() else 0 for name, path in paths.items()}


def started_at(profile: Profile, name: str) -> int | None:
    """The place in supervisord's log from which on restarts count; a service without programs has none."""
    path = profile.root / "started" / name
    return int(path.read_text()) if path.exists() else None


def _mark_started(work: Starting, service: Service, programs: list[Program]) -> None:
    path = work.profile.folder("started") / service.name
    if programs:
        write_private(path, str(work.supervisor.log_size()))
    else:
        path.unlink(missing_ok=True)


def _start_after(work: Starting, service: Service, needs: list[Future[None]]) -> None:
    for need in needs:
        if need.exception() or work.stop.is_set():
            raise _Stopped
    _start(work, service)


def _start(work: Starting, service: Service) -> None:
    profile, supervisor = work.profile, work.supervisor
    programs = service.programs(profile)
    set_up = profile.is_set_up(service.name)
    with work.rpc:
        running = supervisor.runs(service.name, programs, note_of(profile, service))
    if running and set_up and service.ready(profile) is None:
        work.tell(service.name, "ready")
        return
    work.tell(service.name, "starting")
    if not set_up:
        snapshot.begin(profile, service)
    for attempt in range(1, _ATTEMPTS + 1):
        with work.rpc:
            supervisor.remove(service.name)
        if _choose_taken_ports_anew(work, service, programs):
            programs = service.programs(profile)
        if service.prepare:
            service.prepare(profile)
        logged = log_sizes(work, service, programs)
        _mark_started(work, service, programs)
        if programs:
            with work.rpc:
                supervisor.start(service.name, programs, note_of(profile, service))
        try:
            wait_ready(work, service, logged)
            break
        except _PortTaken as error:
            if attempt == _ATTEMPTS:
                raise _not_ready(work, service, f"its ports were taken {_ATTEMPTS} times ({error})") from error
    if service.set_up:
        service.set_up(profile)
        wait_ready(work, service, logged)
    if not set_up:
        snapshot.finish(profile, service)
        profile.mark_set_up(service.name)
    _mark_started(work, service, programs)
    work.tell(service.name, "ready")


def _look_at_processes(work: Starting, service: Service, logged: dict[str, int]) -> None:
    with work.rpc:
        states = {p.name: p.state for p in work.supervisor.processes() if p.service == service.name}
    for program, size in logged.items():  # whatever its state: one that ends is soon started again
        path = work.supervisor.log_file(service.name, program)
        said = _after(path.read_bytes(), size).lower() if path.exists() else ""
        if "address already in use" in said:
            raise _PortTaken(program)
        if "no space left on device" in said:
            raise LabError(
                f"{service.name} did not get ready: the disk is full.",
                why=f"Its {program} says: no space left on device.",
                mend=f"df -h {work.profile.root}   # free some space, or export IACLAB_STATE=/another/folder",
            )
        exits = work.supervisor.exits(service.name, program, started_at(work.profile, service.name) or 0)
        if states.get(program) == "FATAL" or exits >= _EXITS:
            raise _not_ready(work, service, f"its {program} ends as soon as it starts", program)


def _after(text: bytes, offset: int) -> str:
    return text[offset if offset <= len(text) else 0 :].decode(errors="replace")  # shorter: the log was rotated


def _not_ready(work: Starting, service: Service, why: str, program: str | None = None) -> LabError:
    last = ""
    if program:
        lines = work.supervisor.log_file(service.name, program).read_text(errors="replace").splitlines()
        last = f"Its last word: {lines[-1][:240]}" if lines else ""
    return LabError(f"{service.name} did not get ready: {why}.", why=last, mend=f"iaclab logs {service.name}")


def _choose_taken_ports_anew(work: Starting, service: Service, programs: list[Program]) -> bool:
    taken = [name for p in programs for name in p.ports if not _is_free(work.profile.port(name))]
    if taken:
        old = work.profile.ports
        for name, port in work.profile.new_ports(taken).items():
            work.tell(
                service.name, f"port {old[name]} is taken by another program: {name} listens on {port} from now on"
            )
    return bool(taken)


def _is_free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except OSError:
            return False
    return True
