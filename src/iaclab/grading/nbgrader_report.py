"""The report of a lab's grading, `reports/<lab>.json` in the course folder: what was graded, and what was set aside.

It makes grading resumable: what was graded from the same files is not graded again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock

from iaclab.errors import LabError
from iaclab.platform.profile import write_private

Table = dict[str, dict[str, Any]]


def report_file(root: Path, lab: str) -> Path:
    """Where the report of a lab lies."""
    return root / "reports" / f"{lab}.json"


def read(root: Path, lab: str) -> dict[str, Table]:
    """The report: `graded` by student and `aside` by the name of what was handed in; empty where there is none.

    Raises:
        LabError: the file is damaged.
    """
    path = report_file(root, lab)
    try:
        data = json.loads(path.read_text())
        return {"graded": dict(data["graded"]), "aside": dict(data["aside"])}
    except FileNotFoundError:
        return {"graded": {}, "aside": {}}
    except (ValueError, TypeError, KeyError) as error:
        raise LabError(
            f"The report {path} is damaged.",
            why=f"{type(error).__name__}: {error}",
            mend=f"mv {path} {path}.damaged   # then everything is graded again",
        ) from error


def note_aside(root: Path, lab: str, name: str, why: str) -> None:
    """Note that something was set aside, and why."""
    with _changing(root, lab) as data:
        data["aside"][printable(name)] = {"why": why, "at": now()}


def note_graded(root: Path, lab: str, student: str, entry: dict[str, Any]) -> None:
    """Note that a submission was graded; what was said against an earlier one of this student is over."""
    with _changing(root, lab) as data:
        data["graded"][student] = entry | {"at": now()}
        data["aside"].pop(student, None)


def now() -> str:
    """The time, in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def printable(name: str) -> str:
    """A name that a submission chose, without what would move a terminal's cursor or break a line."""
    return name if name.isprintable() else ascii(name)


@contextlib.contextmanager
def _changing(root: Path, lab: str) -> Iterator[dict[str, Table]]:
    path = report_file(root, lab)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    with FileLock(path.with_suffix(".lock"), mode=0o600):
        data = read(root, lab)
        yield data
        write_private(path, json.dumps(data, indent=1, sort_keys=True))
