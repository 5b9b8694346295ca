"""Bring services up, take them down, look at them, and bring a profile back to clean."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform import registry
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.services import cluster
from iaclab.platform.supervise import ProcessInfo, Program, Supervisor

Progress = Callable[[str, str], None]  # (service, what happens now)
_POLL = 0.05
_ATTEMPTS = 4  # a port taken between choosing and binding is chosen again this often


@dataclass(frozen=True)
class ServiceStatus:
    """How a service is: `state` is ready, starting, degraded, failed or stopped; `restarts` since `up`;
    `processes` are process ids by program."""

    name: str
    title: str
    state: str
    detail: str
    restarts: int
    processes: dict[str, int]


def up(*names: str, profile: Profile | None = None, progress: Progress | None = None) -> Profile:
    """Bring up services and all that they need; returns when each says itself that it is ready.

    Args:
        names: services; none means those that this profile has had before, or `cluster`.
        progress: called with (service, what happens now).

    Raises:
        LabError: an unknown service, a tool that cannot be had, a service that does not get ready.
    """
    profile = profile or Profile()
    tell = progress or (lambda service, what: None)
    wanted = registry.with_needs(list(names) or known(profile) or ["cluster"])
    missing = [t for s in wanted for t in s.tools if tools.find(t) is None]
    if missing:
        tools.ensure(*missing)
    with _locked(profile, tell):
        supervisor = Supervisor(profile)
        supervisor.ensure()
        _start_all(profile, supervisor, wanted, tell)
    return profile


def down(*names: str, profile: Profile | None = None) -> None:
    """Stop services, or everything when none is named; data stays on disk."""
    profile = profile or Profile()
    for name in names:
        registry.service(name)
    if not profile.root.exists():
        return
    with _locked(profile, lambda service, what: None):
        supervisor = Supervisor(profile)
        if not names:
            supervisor.shutdown()
            return
        if supervisor.alive():
            for service in reversed(list(registry.services().values())):
                if service.name in names:
                    supervisor.remove(service.name)


def known(profile: Profile) -> list[str]:
    """The services that have been set up in the profile."""
    return [name for name in registry.services() if profile.is_set_up(name)]


def status(profile: Profile | None = None) -> list[ServiceStatus]:
    """How every service of the profile is; those never started are `stopped`."""
    profile = profile or Profile()
    processes = Supervisor(profile).processes()
    found = []
    for service in registry.services().values():
        mine = [p for p in processes if p.service == service.name]
        restarts = _restarts(profile, service.name, mine)
        external = cluster.is_external(service.name)
        if not mine and not external:
            detail = "its data is on disk" if profile.is_set_up(service.name) else "never started"
            found.append(ServiceStatus(service.name, service.title, "stopped", detail, 0, {}))
            continue
        lost = [p for p in mine if p.state in ("FATAL", "EXITED", "STOPPED")]
        missing = service.ready(profile)
        if lost:
            state, detail = "failed", f"{lost[0].name} gave up: see `iaclab logs {service.name}`"
        elif missing:
            state, detail = "degraded", missing
        else:
            state, detail = "ready", "an existing cluster (IACLAB_KUBECONFIG)" if external else ""
        if restarts:
            detail = f"{detail + '; ' if detail else ''}restarted {restarts} time{'s' * (restarts > 1)}"
        pids = {p.name: p.pid for p in mine if p.pid}
        found.append(ServiceStatus(service.name, service.title, state, detail, restarts, pids))
    return found


def reset(*, hard: bool = False, profile: Profile | None = None, progress: Progress | None = None) -> Profile:
    """Bring a profile back to clean: from its snapshot while everything runs, or, `hard`, from nothing."""
    profile = profile or Profile()
    tell = progress or (lambda service, what: None)
    names = known(profile)
    if hard:
        down(profile=profile)
        for path in profile.root.iterdir() if profile.root.exists() else ():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return up(*names, profile=profile, progress=progress)
    up(*names, profile=profile, progress=progress)
    with _locked(profile, tell):
        for name in names:
            service = registry.service(name)
            if _has_snapshot(profile, name):
                tell(name, "restoring its snapshot")
                cluster.etcd_of(profile, name).restore(_read_snapshot(profile, name))
            if service.clear:
                service.clear(profile)
        for name in names:
            _wait_ready(profile, Supervisor(profile), registry.service(name))
    return profile


def logs(name: str, lines: int = 40, profile: Profile | None = None) -> dict[str, list[str]]:
    """The last lines of each program of a service, by program."""
    profile = profile or Profile()
    registry.service(name)
    found = {}
    for path in sorted((profile.root / "logs").glob(f"{name}-*.log")):
        found[path.stem.removeprefix(f"{name}-")] = path.read_text(errors="replace").splitlines()[-lines:]
    return found


# --- starting ------------------------------------------------------------------------------------------


def _start_all(profile: Profile, supervisor: Supervisor, wanted: list[Service], tell: Progress) -> None:
    """Start services side by side, each as soon as what it needs is ready."""
    rpc = threading.Lock()
    running: dict[str, Future[None]] = {}
    with ThreadPoolExecutor(len(wanted)) as pool:
        for service in wanted:
            needs = [running[name] for name in service.needs]
            running[service.name] = pool.submit(_start, profile, supervisor, service, needs, rpc, tell)
        wait(running.values(), return_when=FIRST_EXCEPTION)
    for future in running.values():
        future.result()


def _start(
    profile: Profile,
    supervisor: Supervisor,
    service: Service,
    needs: list[Future[None]],
    rpc: threading.Lock,
    tell: Progress,
) -> None:
    for need in needs:
        need.result()
    with rpc:
        processes = [p for p in supervisor.processes() if p.service == service.name]
    healthy = processes and all(p.state in ("RUNNING", "STARTING") for p in processes)
    if healthy and profile.is_set_up(service.name) and service.ready(profile) is None:
        tell(service.name, "ready")
        return
    first = not profile.is_set_up(service.name)
    before = _keys(profile) if first else {}
    tell(service.name, "starting")
    if service.prepare:
        service.prepare(profile)
    for attempt in range(1, _ATTEMPTS + 1):
        with rpc:
            supervisor.remove(service.name)
        programs = service.programs(profile)
        if _renew_taken_ports(profile, programs):
            programs = service.programs(profile)
        if programs:
            _write_started(profile, service.name)
            with rpc:
                supervisor.start(service.name, programs)
        try:
            _wait_ready(profile, supervisor, service)
            break
        except LabError:
            taken = _bind_failed(profile, supervisor, service.name, programs)
            if not taken or attempt == _ATTEMPTS:
                raise
            tell(service.name, "a port was taken meanwhile: choosing another")
            profile.new_ports(taken)
            if service.prepare:
                service.prepare(profile)
    if service.set_up:
        service.set_up(profile)
    profile.mark_set_up(service.name)
    _wait_ready(profile, supervisor, service)
    if first:
        _snapshot(profile, service, before)
    tell(service.name, "ready")


def _wait_ready(profile: Profile, supervisor: Supervisor, service: Service) -> None:
    deadline = time.monotonic() + service.timeout
    checked = time.monotonic()
    while (missing := service.ready(profile)) is not None:
        now = time.monotonic()
        if now - checked > 1:
            checked = now
            gone = [p for p in supervisor.processes() if p.service == service.name and p.state == "FATAL"]
            if gone:
                raise _not_ready(profile, service, f"its {gone[0].name} ends as soon as it starts", gone[0].name)
        if now > deadline:
            raise _not_ready(profile, service, f"after {service.timeout:.0f} s {missing}", None)
        time.sleep(_POLL)


def _not_ready(profile: Profile, service: Service, why: str, program: str | None) -> LabError:
    last = [lines[-1] for name, lines in logs(service.name, 1, profile).items() if lines and name == (program or name)]
    tail = f" Its last word: {last[0][:240]}" if last else ""
    return LabError(f"{service.name} did not get ready: {why}.", why=tail.strip(), mend=f"iaclab logs {service.name}")


def _renew_taken_ports(profile: Profile, programs: list[Program]) -> bool:
    taken = [name for p in programs for name in p.ports if not _free(profile.port(name))]
    if taken:
        profile.new_ports(taken)
    return bool(taken)


def _free(port: int) -> bool:
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((HOST, port))
        except OSError:
            return False
    return True


def _bind_failed(profile: Profile, supervisor: Supervisor, name: str, programs: list[Program]) -> list[str]:
    """The ports of those programs whose log ends in a failed bind."""
    taken: list[str] = []
    for program in programs:
        path = supervisor.log_file(name, program.name)
        tail = path.read_text(errors="replace")[-4000:].lower() if path.exists() else ""
        if "address already in use" in tail:
            taken += program.ports
    return taken


# --- snapshots -----------------------------------------------------------------------------------------


def _clusters(profile: Profile) -> list[str]:
    return [n for n in ("cluster", "cluster-b") if profile.is_set_up(n) and not cluster.is_external(n)]


def _keys(profile: Profile) -> dict[str, dict[str, str]]:
    """What each running local cluster holds."""
    found = {}
    for name in _clusters(profile):
        with contextlib.suppress(Exception):  # a stopped cluster: nothing of it can change now
            found[name] = cluster.etcd_of(profile, name).dump()
    return found


def _snapshot(profile: Profile, service: Service, before: dict[str, dict[str, str]]) -> None:
    """Add what setting up `service` wrote to the snapshot: what a learner made before stays out of it."""
    for name, now in _keys(profile).items():
        old = before.get(name, {})
        wrote = {key: value for key, value in now.items() if old.get(key) != value}
        snapshot = _read_snapshot(profile, name) if _has_snapshot(profile, name) else {}
        write_private(_snapshot_file(profile, name), json.dumps({**snapshot, **wrote}))


def _snapshot_file(profile: Profile, name: str) -> Path:
    return profile.folder("snapshots") / f"{name}.json"


def _has_snapshot(profile: Profile, name: str) -> bool:
    return (profile.root / "snapshots" / f"{name}.json").exists()


def _read_snapshot(profile: Profile, name: str) -> dict[str, str]:
    return dict(json.loads(_snapshot_file(profile, name).read_text()))


# --- one at a time, and restarts ------------------------------------------------------------------------


@contextlib.contextmanager
def _locked(profile: Profile, tell: Progress) -> Iterator[None]:
    lock = FileLock(profile.create() / "lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("profile", "another command works on this profile: waiting for it")
        try:
            lock.acquire(timeout=300)
        except Timeout as error:
            raise LabError(
                f"Another command has been working on profile '{profile.name}' for five minutes.",
                why="Only one at a time may start or stop services.",
                mend="iaclab status   # then end the other command, and run this one again",
            ) from error
    try:
        yield
    finally:
        lock.release()


def _write_started(profile: Profile, name: str) -> None:
    write_private(profile.folder("started") / name, str(time.time()))


def _restarts(profile: Profile, name: str, processes: list[ProcessInfo]) -> int:
    """How often supervisord has restarted a program of the service since it was started by us."""
    log = profile.root / "logs" / "supervisord.log"
    started = profile.root / "started" / name
    if not log.exists() or not started.exists() or not processes:
        return 0
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(started.read_text())))
    count = 0
    for line in log.read_text(errors="replace").splitlines():
        if f"exited: {name}-" in line and line[:19] >= since:
            rest = line.split(f"exited: {name}-", 1)[1].split(" ", 1)[0]
            count += any(rest == p.name for p in processes)
    return count
