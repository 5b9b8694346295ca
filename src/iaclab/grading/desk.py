"""The folders of one submission: its work folder, home, /tmp, sockets, and its own copy of what a learner has."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iaclab.grading.mounts import HOME, SOCKETS, STATE, WORKSPACE, Bind
from iaclab.grading.network import Network

_DEEPEST = 60  # folders in folders
_PARTS = ("work", "home", "tmp", "sockets", "state")


@dataclass(frozen=True)
class Desk:
    """Where one submission works. Everything in it is hostile once it has run.

    Args:
        root: a new folder.
        lab: the lab's id, which names the work folder.
        network: `None` where there is no sandbox: paths are the host's then.
    """

    root: Path
    lab: str
    network: Network | None

    def make(self) -> Desk:
        """Make the folders, empty."""
        self.root.mkdir(mode=0o711)
        for part in _PARTS:
            folder = self.root / part
            folder.mkdir(mode=0o700)
            if self.network:
                self.network.own(folder)
        return self

    @property
    def work(self) -> Path:
        """The work folder, on the host."""
        return self.root / "work"

    @property
    def sockets(self) -> Path:
        """Where kernel and grader meet, on the host."""
        return self.root / "sockets"

    @property
    def work_inside(self) -> str:
        """The work folder as the submission knows it."""
        return f"{WORKSPACE}/{self.lab}" if self.network else str(self.work)

    def binds(self) -> list[Bind]:
        """What the submission's own sandbox sees of it: everything, to write."""
        return [
            Bind(self.work, self.work_inside, writable=True),
            Bind(self.root / "home", HOME, writable=True),
            Bind(self.root / "tmp", "/tmp", writable=True),
            Bind(self.sockets, SOCKETS, writable=True),
            Bind(self.root / "state", STATE, writable=True),
        ]

    def give(self, belongings: dict[str, Any]) -> None:
        """Put the learner's files of the profile there; nothing of the submission has run yet."""
        root = self.root / "state"
        for name, (mode, text) in belongings["files"].items():
            path = self._parents(root, name)
            path.write_text(text, errors="surrogateescape")
            path.chmod(mode)
            self._own(path)
        for name, target in belongings["links"].items():
            path = self._parents(root, name)
            path.symlink_to(target)
            self._own(path)

    def put(self, name: str, content: bytes) -> None:
        """Put a file into the work folder; nothing of the submission has run yet."""
        path = self._parents(self.work, name)
        path.write_bytes(content)
        self._own(path)

    def open_work(self) -> None:
        """Let its owner into the work folder again. No process of the submission may be alive."""
        status = self.work.lstat()
        if stat.S_ISDIR(status.st_mode):
            self.work.chmod(status.st_mode & 0o777 | 0o700)

    def used(self) -> tuple[int, int]:
        """As `usage`, of all that the submission may write."""
        return usage([self.root / part for part in ("work", "home", "tmp", "state")])

    def clear(self) -> None:
        """Remove everything. No process of the submission may be alive."""
        remove(self.root)

    def _parents(self, root: Path, name: str) -> Path:
        folder = root
        for part in Path(name).parent.parts:
            folder = folder / part
            if not folder.exists():
                folder.mkdir(mode=0o700)
                self._own(folder)
        return root / name

    def _own(self, path: Path) -> None:
        if self.network:
            self.network.own(path)


def usage(roots: list[Path]) -> tuple[int, int]:
    """Bytes on disk, and how many files and folders; counting stops where it is absurd."""
    size = count = 0
    for entry in _entries(roots):
        count += 1
        if entry is None or count > 1_000_000:
            return size, 1 << 40
        size += entry.st_blocks * 512
    return size, count


def remove(folder: Path) -> None:
    """Remove a folder in which anything may be: very deep ones, closed ones."""
    for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):  # both take any depth, and follow no link
        subprocess.run([*command, "--", str(folder)], stderr=subprocess.DEVNULL, check=False)


def _entries(roots: list[Path]) -> Iterator[os.stat_result | None]:
    """What each file and folder below is, links not followed; `None` for what cannot be looked into, or is too deep."""
    todo = [(str(root), 0) for root in roots]
    while todo:
        folder, depth = todo.pop()
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except PermissionError:  # what cannot be looked into might hold anything
            yield None
            return
        except OSError:  # gone meanwhile
            continue
        try:
            with os.scandir(descriptor) as found:
                for entry in found:
                    try:
                        yield entry.stat(follow_symlinks=False)
                        if entry.is_dir(follow_symlinks=False):
                            todo.append((f"{folder}/{entry.name}", depth + 1))
                    except OSError:
                        continue
        finally:
            os.close(descriptor)
        if depth > _DEEPEST:
            yield None
            return
