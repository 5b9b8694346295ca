"""Bring services up, take them down, look at them, and bring a profile back to clean."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from iaclab import paths, tools
from iaclab.errors import LabError
from iaclab.platform import registry, snapshot
from iaclab.platform.profile import Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.services import cluster
from iaclab.platform.start import Progress, Starting, log_sizes, start_all, started_at, wait_ready
from iaclab.platform.supervise import ProcessInfo, Supervisor

NEVER_STARTED = "never started"
_PATIENCE = 300  # seconds to wait for another command on the same profile
_KEPT = ("lock", "owner")  # files that a hard reset leaves: they are no state of the services
_ASIDE = ".removed"  # a folder that is there while a hard reset works, or after one that was cut off


@dataclass(frozen=True)
class ServiceStatus:
    """How a service is: `state` is ready, degraded, failed or stopped; `restarts` since `up`;
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
    if paths.graded_folder():  # the grader has brought everything up
        return profile
    tell = progress or _silent
    wanted = registry.with_needs(list(names) or known(profile) or ["cluster"])
    _ensure_tools(wanted)
    with _locked(profile, tell):
        cut_off = _resetting(profile).exists()
        if cut_off:
            tell("profile", "the last reset was cut off: it goes on")
            wanted = registry.with_needs([*known(profile), *(service.name for service in wanted)])
        _bring_up(profile, wanted, tell)
        if cut_off:
            _clean(profile, wanted, tell)
    return profile


def down(*names: str, profile: Profile | None = None, progress: Progress | None = None) -> None:
    """Stop services, or everything when none is named; data stays on disk. What needs a named service keeps running.

    Args:
        progress: as for `up`; it hears that another command has to end first.
    """
    profile = profile or Profile()
    for name in names:
        registry.service(name)
    if not profile.root.exists():
        return
    _refuse_in_submission()
    with _locked(profile, progress or _silent):
        supervisor = Supervisor(profile)
        if not names:
            supervisor.shutdown()
        elif supervisor.alive():
            for service in reversed(registry.with_needs(list(registry.services()))):
                if service.name in names:
                    supervisor.remove(service.name)


def known(profile: Profile) -> list[str]:
    """The services that have been set up in the profile."""
    return [name for name in registry.services() if profile.is_set_up(name)]


def status(profile: Profile | None = None) -> list[ServiceStatus]:
    """How every service of the profile is; those never started are `stopped`."""
    profile = profile or Profile()
    supervisor = Supervisor(profile)
    processes = supervisor.processes()
    found: dict[str, ServiceStatus] = {}
    for service in registry.with_needs(list(registry.services())):
        mine = [p for p in processes if p.service == service.name]
        needs = [found[name] for name in service.needs]
        found[service.name] = _status(profile, supervisor, service, mine, needs)
    return [found[name] for name in registry.services()]


def reset(*, hard: bool = False, profile: Profile | None = None, progress: Progress | None = None) -> Profile:
    """Bring a profile back to clean: from its snapshot while everything runs, or, `hard`, from nothing.

    From an existing cluster (IACLAB_KUBECONFIG) only what was made in the services' own namespaces is removed.

    Raises:
        LabError: as for `up`.
    """
    profile = profile or Profile()
    tell = progress or _silent
    wanted = registry.with_needs(known(profile))
    if not wanted:
        tell("profile", "nothing has been started yet: it is clean")
        return profile
    _ensure_tools(wanted)
    _refuse_in_submission()
    with _locked(profile, tell):
        if hard:
            Supervisor(profile).shutdown()
            _empty(profile)
        _bring_up(profile, wanted, tell)
        if not hard or cluster.external():
            _clean(profile, wanted, tell)
    return profile


def logs(name: str, lines: int = 40, profile: Profile | None = None) -> dict[str, list[str]]:
    """The last lines of each program of a service, by program."""
    profile = profile or Profile()
    registry.service(name)
    paths = sorted((profile.root / "logs" / name).glob("*.log"))
    return {path.stem: path.read_text(errors="replace").splitlines()[-lines:] for path in paths}


def _refuse_in_submission() -> None:
    if paths.graded_folder():
        raise LabError("A submission that is being graded cannot stop or reset services.")


def _ensure_tools(wanted: list[Service]) -> None:
    names = [t for s in wanted for t in (("kubectl",) if cluster.is_external(s.name) else s.tools)]
    missing = [name for name in dict.fromkeys(names) if tools.find(name) is None]
    if missing:
        tools.ensure(*missing)


def _empty(profile: Profile) -> None:
    """Remove what the services have written. All of it goes aside first: a Ctrl-C leaves no half of it in its place."""
    shutil.rmtree(profile.root / _ASIDE, ignore_errors=True)
    aside = profile.folder(_ASIDE)
    for path in profile.root.iterdir():
        if path.name not in (*_KEPT, _ASIDE):
            path.rename(aside / path.name)
    shutil.rmtree(aside)


def _bring_up(profile: Profile, wanted: list[Service], tell: Progress) -> None:
    supervisor = Supervisor(profile)
    supervisor.ensure()
    start_all(Starting(profile, supervisor, tell), wanted)


def _clean(profile: Profile, wanted: list[Service], tell: Progress) -> None:
    """Restore the clusters while nobody acts on them, and clear what services keep themselves.

    What a Ctrl-C cuts off is half of the old and half of nothing: the next `up` or `reset` does it to its end.
    """
    write_private(_resetting(profile), "")
    work = Starting(profile, Supervisor(profile), tell)
    programs = {service.name: service.programs(profile) for service in wanted}
    acting = [(name, program.name) for name, mine in programs.items() for program in mine if program.acts]
    logged = {service.name: log_sizes(work, service, programs[service.name]) for service in wanted}
    with work.supervisor.paused(acting):
        for name in snapshot.local_clusters(profile):
            tell(name, "restoring its snapshot")
            snapshot.restore(profile, name)
        for service in wanted:
            if service.clear:
                service.clear(profile)
        if snapshot.is_stale(profile, wanted):
            for service in wanted:
                if service.prepare:
                    tell(service.name, "its ports or tools have changed: writing its settings anew")
                    service.prepare(profile)
            snapshot.retake(profile, wanted)
    _resetting(profile).unlink(missing_ok=True)
    for service in wanted:
        wait_ready(work, service, logged[service.name])


def _resetting(profile: Profile) -> Path:
    """The file that is there while a reset works."""
    return profile.root / "resetting"


def _status(
    profile: Profile,
    supervisor: Supervisor,
    service: Service,
    processes: list[ProcessInfo],
    needs: list[ServiceStatus],
) -> ServiceStatus:
    runs_programs = started_at(profile, service.name) is not None
    if not processes and (runs_programs or not profile.is_set_up(service.name)):
        detail = "its data is on disk" if profile.is_set_up(service.name) else NEVER_STARTED
        return ServiceStatus(service.name, service.title, "stopped", detail, 0, {})
    stopped = [need.name for need in needs if need.state == "stopped"]
    if stopped and not runs_programs:
        return ServiceStatus(service.name, service.title, "stopped", f"{stopped[0]} is stopped", 0, {})
    since = started_at(profile, service.name) or 0
    restarts = sum(supervisor.exits(service.name, p.name, since) for p in processes)
    lost = [p.name for p in processes if p.state in ("FATAL", "EXITED", "STOPPED")]
    if lost:
        state, detail = "failed", f"its {lost[0]} gave up: see `iaclab logs {service.name}`"
    else:
        missing = _ask(profile, service)
        state, detail = ("degraded", missing) if missing else ("ready", "")
    if cluster.is_external(service.name):
        detail = f"an existing cluster (IACLAB_KUBECONFIG){': ' + detail if detail else ''}"
    if restarts:
        detail = f"{detail + '; ' if detail else ''}restarted {restarts} time{'s' * (restarts > 1)}"
    pids = {p.name: p.pid for p in processes if p.pid}
    return ServiceStatus(service.name, service.title, state, detail, restarts, pids)


def _ask(profile: Profile, service: Service) -> str | None:
    try:
        return service.ready(profile)
    except LabError as error:
        return error.what


@contextlib.contextmanager
def _locked(profile: Profile, tell: Progress) -> Iterator[None]:
    lock = FileLock(profile.create() / "lock", mode=0o600)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("profile", "another command works on this profile: waiting for it")
        try:
            lock.acquire(timeout=_PATIENCE)
        except Timeout as error:
            raise LabError(
                f"Another command has been working on profile '{profile.name}' for {_PATIENCE // 60} minutes.",
                why="Only one at a time may start or stop services.",
                mend="iaclab status   # then end the other command, and run this one again",
            ) from error
    try:
        yield
    finally:
        lock.release()


def _silent(service: str, what: str) -> None:
    pass
