"""What lies in the exchange's inbound folder: who handed it in, when, and a copy that holds nothing but plain files.

The name of a submission, its `timestamp.txt` and everything in it are written by whoever handed it in. What counts is
what the system knows: the owner of the files, and the time of their last change (ctime, which no owner can set).
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

SECRET = "submission_secret.txt"
TIMESTAMP = "timestamp.txt"
TIME_FORMAT = "%Y-%m-%d %H:%M:%S.%f UTC"
MOST_FILES = 2000
MOST_BYTES = 100 << 20  # of all files together
DEEPEST = 20  # folders within folders
_READ_ONLY = 0o444
_SECRET_FORM = re.compile(rb"[0-9a-f]{128}")
_STUDENT = re.compile(r"[A-Za-z0-9_.@][A-Za-z0-9_.@-]*")


class SetAside(Exception):
    """Why a submission is not taken."""


@dataclass(frozen=True)
class Handed:
    """A folder of the inbound folder, by its own word: `student` and `assignment` are parts of its name."""

    path: Path
    student: str
    assignment: str
    uid: int


def owner_by_passwd(uid: int) -> str | None:
    """The login name of a user of this machine, `None` where there is no such user."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def parse(path: Path) -> Handed:
    """Read a name `student+assignment+time+random` and the owner.

    Raises:
        SetAside: it is no folder, or called otherwise.
    """
    info = path.lstat()
    if not stat.S_ISDIR(info.st_mode):
        raise SetAside("it is no folder")
    student, assignment = names(path.name)
    return Handed(path, student, assignment, info.st_uid)


def names(name: str) -> tuple[str, str]:
    """The student and the assignment that a submission's name speaks of.

    Raises:
        SetAside: the name has not the parts, or the student's is no name for a folder.
    """
    parts = name.rsplit("+", 3)
    if len(parts) != 4:
        raise SetAside("its name is not student+assignment+time+random")
    if not _STUDENT.fullmatch(parts[0]) or parts[0] in (".", ".."):
        raise SetAside("its name holds no user's name")
    return parts[0], parts[1]


def check_owner(handed: Handed, owner: Callable[[int], str | None]) -> None:
    """Whether the user who owns it is the one whom its name speaks of.

    Raises:
        SetAside: another user owns it, or one whom this machine does not know.
    """
    known = owner(handed.uid)
    if known is None:
        raise SetAside(f"its owner, user id {handed.uid}, has no name here")
    if known != handed.student:
        raise SetAside(f"it claims to be of {handed.student}, and {known} handed it in")


def handed_in_at(handed: Handed) -> datetime:
    """When anything of it last changed, by the clock of the file system (UTC)."""
    last = handed.path.lstat().st_ctime
    folder = os.open(handed.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        for _, info, _ in walk(folder, handed.uid):
            last = max(last, info.st_ctime)
    except OSError as error:
        raise SetAside(_say(error)) from error
    finally:
        os.close(folder)
    return datetime.fromtimestamp(last, UTC)


def take(handed: Handed, target: Path, at: datetime) -> None:
    """Copy a submission into a new folder: plain files of its owner only, read through handles that follow no link.

    Args:
        handed: the submission.
        target: must not exist.
        at: what its `timestamp.txt` is to say.

    Raises:
        SetAside: it holds something else, is too large, or lacks the file that feedback is found by.
    """
    target.mkdir(parents=True)
    try:
        folder = os.open(handed.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(folder).st_uid != handed.uid:
                raise SetAside("its owner changed while it was read")
            _copy(folder, handed.uid, target)
        finally:
            os.close(folder)
    except OSError as error:
        raise SetAside(_say(error)) from error
    secret = target / SECRET
    if not secret.is_file() or not _SECRET_FORM.fullmatch(secret.read_bytes()):
        raise SetAside(f"its {SECRET} is missing or malformed: `nbgrader submit` did not write it")
    stamp = target / TIMESTAMP
    stamp.unlink(missing_ok=True)
    stamp.write_text(at.strftime(TIME_FORMAT))
    stamp.chmod(_READ_ONLY)


def _copy(folder: int, uid: int, target: Path) -> None:
    total = 0
    for name, info, handle in walk(folder, uid):
        place = target / name
        if handle is None:
            place.mkdir(exist_ok=True)
            continue
        total += info.st_size
        if total > MOST_BYTES:
            raise SetAside(f"it holds more than {MOST_BYTES >> 20} MB")
        with os.fdopen(os.dup(handle), "rb") as source, place.open("xb") as copy:
            copy.write(source.read(info.st_size))  # what grows while it is read ends where it ended before
        place.chmod(_READ_ONLY)


Entry = tuple[str, os.stat_result, int | None]


def walk(folder: int, uid: int | None = None) -> Iterator[Entry]:
    """Every folder and file below an open folder: its path, its status, and for a file an open handle.

    Raises:
        SetAside: there is anything else, too many, too deep, or of another user than `uid`.
    """
    yield from _walk(folder, uid, 0, "", [0])


def _walk(folder: int, uid: int | None, depth: int, prefix: str, count: list[int]) -> Iterator[Entry]:
    if depth > DEEPEST:
        raise SetAside(f"it has more than {DEEPEST} folders within folders")
    for name in sorted(os.listdir(folder)):
        count[0] += 1
        if count[0] > MOST_FILES:
            raise SetAside(f"it holds more than {MOST_FILES} files")
        kind = os.stat(name, dir_fd=folder, follow_symlinks=False)
        path = f"{prefix}{name}"
        if not (stat.S_ISREG(kind.st_mode) or stat.S_ISDIR(kind.st_mode)):
            raise SetAside(f"{path!r} is {_kind(kind.st_mode)}")
        handle = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        try:
            info = os.fstat(handle)  # of what was opened, which may be another thing by now
            if uid is not None and info.st_uid != uid:
                raise SetAside(f"{path!r} belongs to another user")
            if stat.S_ISDIR(info.st_mode):
                yield path, info, None
                yield from _walk(handle, uid, depth + 1, f"{path}/", count)
            elif stat.S_ISREG(info.st_mode):
                yield path, info, handle
            else:
                raise SetAside(f"{path!r} is {_kind(info.st_mode)}")
        finally:
            os.close(handle)


def _kind(mode: int) -> str:
    kinds = {stat.S_IFLNK: "a symbolic link", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
    return kinds.get(stat.S_IFMT(mode), "no plain file")


def _say(error: OSError) -> str:
    return f"{error.filename or 'it'} cannot be read: {error.strerror}"
