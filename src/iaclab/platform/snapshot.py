"""A profile's snapshot: what setting up its services wrote into its local clusters, and nothing a learner made.

It is taken when a service is set up for the first time: the keys that are new since just before. A later start may
choose other ports, or bring other tools; `made-with.json` says with which ones the snapshot was made.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from threading import Lock

from iaclab.platform.etcd import KeyValues
from iaclab.platform.profile import Profile, write_private
from iaclab.platform.registry import with_needs
from iaclab.platform.service import Service
from iaclab.platform.services import cluster
from iaclab.tools.catalogue import tool

_writing = Lock()  # services that are set up side by side add to the same files


def local_clusters(profile: Profile) -> list[str]:
    """The clusters that have been set up and run here."""
    return [name for name in cluster.NODES if profile.is_set_up(name) and not cluster.is_external(name)]


def begin(profile: Profile, service: Service) -> None:
    """Note which keys are there before `service` is set up; the first attempt counts, however often it is repeated."""
    path = _before_file(profile, service.name)
    if not path.exists():
        there = {name: sorted(_dump(profile, name)) for name in _written_by(service) if name != service.name}
        write_private(path, json.dumps(there))


def finish(profile: Profile, service: Service) -> None:
    """Add what setting up `service` wrote to the snapshot."""
    before = json.loads(_before_file(profile, service.name).read_text())
    with _writing:
        for name in _written_by(service):
            old = set(before.get(name, ()))
            new = {key: value for key, value in _dump(profile, name).items() if key not in old}
            _write(profile, name, {**read(profile, name), **new})
        write_private(
            _made_with_file(profile), json.dumps(_read(_made_with_file(profile)) | _today(profile, [service]))
        )
    _before_file(profile, service.name).unlink()


def read(profile: Profile, name: str) -> KeyValues:
    """The snapshot of one cluster, empty where none was taken."""
    return _read(_file(profile, name))


def is_stale(profile: Profile, services: Iterable[Service]) -> bool:
    """Whether ports or tools have changed since the snapshot was made, so that what it holds is no longer right."""
    made, today = _read(_made_with_file(profile)), _today(profile, services)
    return any(made.get(key, value) != value for key, value in today.items())


def restore(profile: Profile, name: str) -> None:
    """Make a cluster hold what its snapshot says."""
    with cluster.etcd_of(profile, name) as store:
        store.restore(read(profile, name))


def retake(profile: Profile, services: Iterable[Service]) -> None:
    """Take the snapshot anew; the clusters must be clean."""
    with _writing:
        for name in local_clusters(profile):
            _write(profile, name, _dump(profile, name))
        write_private(_made_with_file(profile), json.dumps(_today(profile, services)))


def _written_by(service: Service) -> list[str]:
    """The local clusters that a service may write into: those that it needs, and itself."""
    return [s.name for s in with_needs([service.name]) if s.name in cluster.NODES and not cluster.is_external(s.name)]


def _dump(profile: Profile, name: str) -> KeyValues:
    with cluster.etcd_of(profile, name) as store:
        return store.dump()


def _today(profile: Profile, services: Iterable[Service]) -> dict[str, str]:
    versions = {f"tool {name}": tool(name).version for service in services for name in service.tools}
    return {f"port {name}": str(port) for name, port in profile.ports.items()} | versions


def _write(profile: Profile, name: str, keys: KeyValues) -> None:
    write_private(_file(profile, name), json.dumps(keys))


def _read(path: Path) -> dict[str, str]:
    return dict(json.loads(path.read_text())) if path.exists() else {}


def _file(profile: Profile, name: str) -> Path:
    return profile.folder("snapshots") / f"{name}.json"


def _before_file(profile: Profile, service: str) -> Path:
    return profile.folder("snapshots") / f"before-{service}.json"


def _made_with_file(profile: Profile) -> Path:
    return profile.folder("snapshots") / "made-with.json"
