"""A learner's credential: the one word in a file that only its owner can read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from iaclab.errors import LabError

_LARGEST = 10_000  # bytes of a file with a token or a key


def word(path: Path, kind: str) -> str:
    """The one word in a file that only its owner can read.

    The file is opened once, and what is looked at is what is read; a link is not followed.

    Args:
        kind: what it should be, for the messages: token, key.

    Raises:
        LabError: it is not there, can be read by others, or holds something else.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)  # a pipe would be waited for
    except (FileNotFoundError, NotADirectoryError):
        raise LabError(f"{path} is not there") from None
    except OSError:
        raise LabError(f"{path} is not a file with a {kind}") from None
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode) or info.st_size > _LARGEST:
            raise LabError(f"{path} is not a file with a {kind}")
        if info.st_mode & 0o077:
            raise LabError(f"{path} can be read by others: chmod 600 {path}")
        words = os.read(handle, _LARGEST).split()
    finally:
        os.close(handle)
    if len(words) != 1 or not words[0].isascii():
        raise LabError(f"{path} does not hold one {kind}")
    return words[0].decode()
