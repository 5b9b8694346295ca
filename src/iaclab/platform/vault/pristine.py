"""The vault as it was after its set-up: what a reset brings back. The nodes must not run.

One copy does for all three: nodes that have applied the same log hold the same.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from iaclab.platform.profile import Profile, write_private
from iaclab.platform.vault.first import token
from iaclab.platform.vault.nodes import NODES, audit_log, data, folder, raft_address
from iaclab.platform.vault.seal import SHARES, share

_BLOCK = 1 << 16


def is_taken(profile: Profile) -> bool:
    """Whether there is a copy."""
    return _folder(profile).exists()


def take(profile: Profile) -> None:
    """Copy the first node's data, the shares and the administrator's token aside."""
    aside = profile.folder("vault", ".pristine")
    shutil.rmtree(aside)
    shutil.copytree(data(profile, NODES[0]), aside / "data", copy_function=_copy)
    for path in _files(profile):
        _copy(path, aside / path.name)
    _copy(_peers_record(profile), aside / "peers.json")
    aside.rename(_folder(profile))


def restore(profile: Profile) -> None:
    """Bring the copy back, and begin the audit log anew."""
    for node in NODES:
        place = data(profile, node)
        shutil.rmtree(place)
        shutil.copytree(_folder(profile) / "data", place, copy_function=_copy)
    for path in _files(profile):
        write_private(path, (_folder(profile) / path.name).read_text())
    write_private(_peers_record(profile), (_folder(profile) / "peers.json").read_text())
    audit_log(profile).unlink(missing_ok=True)
    follow_ports(profile)


def follow_ports(profile: Profile) -> None:
    """Tell the nodes each other's addresses where ports were chosen anew: they keep those that they joined with."""
    now = [{"id": node, "address": raft_address(profile, node), "non_voter": False} for node in NODES]
    record = _peers_record(profile)
    if record.exists() and json.loads(record.read_text()) != now:
        for node in NODES:  # read once, at the next start: https://openbao.org/docs/concepts/integrated-storage/
            if (data(profile, node) / "raft").is_dir():
                write_private(data(profile, node) / "raft" / "peers.json", json.dumps(now))
    write_private(record, json.dumps(now))


def _files(profile: Profile) -> list[Path]:
    return [*(share(profile, n) for n in range(1, SHARES + 1)), token(profile)]


def _peers_record(profile: Profile) -> Path:
    return folder(profile) / "peers.json"


def _folder(profile: Profile) -> Path:
    return folder(profile) / "pristine"


def _copy(source: str | Path, target: str | Path) -> None:
    """Copy a file, mode 0600, with its holes: a database of 16 MB holds some hundred KB."""
    path = Path(target)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(0o600)
    with Path(source).open("rb") as old, path.open("wb") as new:
        while block := old.read(_BLOCK):
            if block.strip(b"\0"):
                new.write(block)
            else:
                new.seek(len(block), 1)
        new.truncate(old.tell())
