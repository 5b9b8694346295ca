"""What the server remembers: one JSON file for each record, and the files that were uploaded."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
import string
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from iaclab.platform.profile import write_private

_LETTERS = string.ascii_letters + string.digits
FINAL = {"applied", "planned_and_finished", "errored", "discarded", "canceled", "policy_soft_failed"}


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Record:
    """Anything that is kept; `number` orders records by creation, `workspace` is the owner's id."""

    prefix: ClassVar[str]
    id: str = ""
    number: int = 0
    created: str = field(default_factory=now)
    workspace: str = ""


@dataclass
class Workspace(Record):
    """`locked_by` is empty, `user`, or the id of the run that holds the lock."""

    prefix = "ws"
    name: str = ""
    terraform_version: str = ""
    execution_mode: str = "remote"
    auto_apply: bool = False
    description: str = ""
    locked_by: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass
class Variable(Record):
    """`category` is terraform or env."""

    prefix = "var"
    key: str = ""
    value: str = ""
    category: str = "terraform"
    description: str = ""
    hcl: bool = False
    sensitive: bool = False


@dataclass
class StateVersion(Record):
    """`status` is pending until the content has been uploaded, then finalized."""

    prefix = "sv"
    serial: int = 0
    lineage: str = ""
    md5: str = ""
    run: str = ""
    status: str = "pending"


@dataclass
class Configuration(Record):
    """One upload of a configuration folder."""

    prefix = "cv"
    auto_queue_runs: bool = True
    speculative: bool = False
    provisional: bool = False
    status: str = "pending"


@dataclass
class Run(Record):
    """One run. `queued`: it takes its turn in the workspace's queue (a plan-only run does not)."""

    prefix = "run"
    configuration: str = ""
    status: str = "pending"
    stages: dict[str, str] = field(default_factory=lambda: {"plan": "pending", "apply": "pending"})
    policy_status: str = ""
    policy_result: dict[str, Any] = field(default_factory=dict)
    policy_log: str = ""
    message: str = ""
    queued: bool = True
    auto_apply: bool = False
    plan_only: bool = False
    save_plan: bool = False
    is_destroy: bool = False
    refresh: bool = True
    refresh_only: bool = False
    target_addrs: list[str] = field(default_factory=list)
    replace_addrs: list[str] = field(default_factory=list)
    variables: list[dict[str, str]] = field(default_factory=list)
    has_changes: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    pid: int = 0

    def part(self, kind: str) -> str:
        """The id of the run's plan, apply or policy check (kind: plan, apply, polchk)."""
        return self.id.replace(self.prefix, kind, 1)


_KINDS: dict[str, type[Record]] = {k.prefix: k for k in (Workspace, Variable, StateVersion, Configuration, Run)}
R = TypeVar("R", bound=Record)


class Store:
    """The records, in memory and in ROOT/records; uploads lie in ROOT/files. Not locked: the server does that."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._records: dict[str, Record] = {}
        for name in ("records", "files", "runs", "policies"):
            (root / name).mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (root / "records").glob("[!.]*.json"):
            record = _KINDS[path.name.split("-")[0]](**json.loads(path.read_text()))
            self._records[record.id] = record

    def save(self, record: R) -> R:
        """Keep `record`; a new one gets its id and number."""
        if not record.id:
            record.id = f"{record.prefix}-{''.join(secrets.choice(_LETTERS) for _ in range(16))}"
            record.number = 1 + max((r.number for r in self._records.values()), default=0)
        write_private(self.root / "records" / f"{record.id}.json", json.dumps(asdict(record), indent=1))
        self._records[record.id] = record
        return record

    def get(self, kind: type[R], id: str) -> R | None:
        """The record of that kind and id."""
        record = self._records.get(id)
        return record if isinstance(record, kind) else None

    def workspace(self, record: Record) -> Workspace:
        """The workspace that `record` belongs to; it is there as long as the record."""
        found = self._records[record.workspace]
        assert isinstance(found, Workspace)
        return found

    def all(self, kind: type[R], workspace: str = "") -> list[R]:
        """Every record of a kind (of one workspace), oldest first."""
        found: Iterator[R] = (r for r in self._records.values() if isinstance(r, kind))
        return sorted((r for r in found if workspace in ("", r.workspace)), key=lambda r: r.number)

    def delete(self, record: Record) -> None:
        """Forget a record, its files, and, for a workspace, everything in it."""
        if isinstance(record, Workspace):
            for other in self.all(Record, record.id):
                self.delete(other)
        self._records.pop(record.id, None)
        (self.root / "records" / f"{record.id}.json").unlink(missing_ok=True)
        for path in (self.root / "files").glob(f"{record.id}.*"):
            path.unlink()
        shutil.rmtree(self.root / "runs" / record.id, ignore_errors=True)

    def file(self, id: str, suffix: str) -> Path:
        """Where an upload lies: `tar.gz` of a configuration, `tfstate` and `json` of a state version."""
        return self.root / "files" / f"{id}.{suffix}"

    # --- state -------------------------------------------------------------------------------------

    def state(self, workspace: Workspace) -> StateVersion | None:
        """The workspace's latest complete state version."""
        done = [v for v in self.all(StateVersion, workspace.id) if v.status == "finalized"]
        return done[-1] if done else None

    def read_state(self, version: StateVersion) -> dict[str, Any]:
        """The content of a complete state version."""
        content: dict[str, Any] = json.loads(self.file(version.id, "tfstate").read_text())
        return content

    def write_state(self, version: StateVersion, content: bytes) -> None:
        """Fill a state version with its content.

        Raises:
            ValueError: it is not JSON in UTF-8, or not what its checksum announced.
        """
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != version.md5:
            raise ValueError("the content does not match the md5 of the state version")
        json.loads(content)
        write_private(self.file(version.id, "tfstate"), content.decode())
        version.status = "finalized"
        self.save(version)

    def add_state(self, workspace: Workspace, content: bytes, run: str = "") -> StateVersion:
        """Keep `content` as the workspace's newest state version."""
        head, md5 = json.loads(content), hashlib.md5(content, usedforsecurity=False).hexdigest()
        version = self.save(
            StateVersion(workspace=workspace.id, serial=head["serial"], lineage=head["lineage"], md5=md5, run=run)
        )
        self.write_state(version, content)
        return version
