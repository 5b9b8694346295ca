"""The cache folder's locks and notes: one process works at a time, and a note is whole or not there."""

from __future__ import annotations

import contextlib
import errno
import json
from collections.abc import Callable, Iterator
from typing import Any

from filelock import FileLock, Timeout

from iaclab import paths
from iaclab.errors import LabError

_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EEXIST}


@contextlib.contextmanager
def locked(name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the lock `name`, which ends with the process however that ends.

    Args:
        waiting: called twice a second while another process holds it.
    """
    folder = paths.cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / name)
    while True:
        try:
            lock.acquire(timeout=0.5)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """What the disk refuses is one error for the user: it is full, or the cache folder cannot be written."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise LabError(
            "The disk is full." if full else f"The cache folder {paths.cache_dir()} cannot be written.",
            why=f"{error.strerror}: {error.filename or paths.cache_dir()}",
            mend="export IACLAB_CACHE=/a/folder/with/space   # then run the command again",
        ) from error


def notes(file: str) -> dict[str, Any]:
    """What has been noted in a JSON file of the cache folder; nothing where it is missing or broken."""
    try:
        return dict(json.loads((paths.cache_dir() / file).read_text()))
    except (OSError, ValueError):
        return {}


def note(file: str, key: str, value: object) -> None:
    """Set one key of a JSON file of the cache folder; threads and processes may do so side by side."""
    path = paths.cache_dir() / file
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(f"{file}.lock"):
        aside = path.with_name(f".{file}")
        aside.write_text(json.dumps({**notes(file), key: value}, indent=1, sort_keys=True))
        aside.replace(path)
