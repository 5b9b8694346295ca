"""What attacks that look for secrets begin with: the name SEARCH in an attack stands for this file."""

import itertools
import re
import time
from pathlib import Path

CANARY = re.compile(rb"canary-[a-z]+-[0-9a-f]{16}")


def canaries(data):
    """The canaries in some bytes, also where a database or an environment holds them."""
    return {match.decode() for match in CANARY.findall(data)}


def content(path, most=4 << 20):
    """The content of a file, a link followed; nothing where it cannot be read."""
    try:
        if Path(path).is_file():
            with Path(path).open("rb", buffering=0) as file:
                return file.read(most)
    except OSError:
        pass
    return b""


def search(*roots, seconds=3.0):
    """Look into every file below some folders, and say how many were read and what was found."""
    found, looked, end = set(), 0, time.monotonic() + seconds
    for root in roots:
        for path in itertools.chain([Path(root)], _below(Path(root))):
            data = content(path)
            looked += bool(data)
            found |= canaries(data)
            if time.monotonic() > end:
                break
    print("looked at", looked, "files; found", sorted(found))


def _below(folder):
    try:
        for path in folder.iterdir():
            yield path
            if path.is_dir() and not path.is_symlink():
                yield from _below(path)
    except OSError:
        return
