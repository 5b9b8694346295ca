"""A network namespace for one world: it has loopback and nothing else, and only what joins it can talk there.

It belongs to a user namespace of its own in which there is one user. For an ordinary user that is the user itself.
Root lends it a user id that nobody has, so that no process of a submission ever runs as root on the host, and shows
it (in a mount namespace) the folders that it needs and could not reach, such as a Python below /root.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from iaclab.errors import LabError

UID = 1000  # inside
_LENT = 1_900_000_000  # the first of the ids that root lends; no distribution hands these out
_SPREAD = 20_000_000  # of process ids, four worlds each
_numbers = itertools.count()


def no_sandbox(why: str) -> LabError:
    """The refusal to grade where no sandbox can be had."""
    return LabError(
        "Submissions cannot be sandboxed on this machine, so they are not graded here.",
        why=why,
        mend="grade on Linux with user namespaces and bubblewrap   # or pass --unsafe: submissions then run as you",
    )


class Network:
    """Namespaces that are held open until `close`.

    Args:
        shown: folders that sandboxes will mount.
        base: a folder of the world's own; root needs it for its mounts.

    Raises:
        LabError: user namespaces cannot be used here.
    """

    def __init__(self, shown: Iterable[Path], base: Path) -> None:
        self.is_root = os.geteuid() == 0
        self.uid = _LENT + (os.getpid() * 4 + next(_numbers) % 4) % _SPREAD if self.is_root else os.geteuid()
        self.gid = self.uid if self.is_root else os.getegid()
        self._staged = _stage(shown, base / "mounts") if self.is_root else {}
        mounts = [[str(source), str(target)] for source, target in self._staged.items()]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(Path(__file__).with_name("holder.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={},
            cwd="/",
            text=True,
            start_new_session=True,
        )
        try:
            self._say(json.dumps(mounts if self.is_root else None), "unshared")
            self._map()
            self._say("mapped", "up")
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The process that holds the namespaces."""
        return self._process.pid

    def enter(self) -> list[str]:
        """The beginning of a command that is to run in here."""
        proc = f"/proc/{self.pid}/ns"
        join = [_nsenter(), f"--user={proc}/user", f"--net={proc}/net"]
        if not self.is_root:
            return [*join, "--preserve-credentials", "--"]
        return [_nsenter(), f"--mount={proc}/mnt", "--", *join, f"--setuid={UID}", f"--setgid={UID}", "--"]

    def source(self, path: Path) -> str:
        """Where commands in here find a path of the host."""
        for shown, staged in self._staged.items():
            if path.is_relative_to(shown):
                return str(staged / path.relative_to(shown))
        return str(path)

    def own(self, path: Path) -> Path:
        """Give a path to the user of this network."""
        if self.is_root:
            os.chown(path, self.uid, self.gid, follow_symlinks=False)
        return path

    def close(self) -> None:
        """Let the namespaces go; they end with the last process in them."""
        with contextlib.suppress(OSError):
            self._process.communicate(timeout=5)

    def _say(self, line: str, expected: str) -> None:
        assert self._process.stdin and self._process.stdout
        answer = ""
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline().strip()
        if answer != expected:
            raise no_sandbox(f"A user namespace cannot be made here ({answer or 'its process ended'}).")

    def _map(self) -> None:
        proc = Path(f"/proc/{self.pid}")
        try:
            (proc / "uid_map").write_text(f"{UID} {self.uid} 1\n")
            if not self.is_root:
                (proc / "setgroups").write_text("deny")
            (proc / "gid_map").write_text(f"{UID} {self.gid} 1\n")
        except OSError as error:
            raise no_sandbox(f"A user cannot be mapped into a user namespace here ({error.strerror}).") from error


def _nsenter() -> str:
    found = shutil.which("nsenter")
    if not found:
        raise no_sandbox("The command nsenter (util-linux) is not installed.")
    return found


def _stage(shown: Iterable[Path], place: Path) -> dict[Path, Path]:
    """Mount points for what other users cannot reach: the folder behind each, as the host has it."""
    staged: dict[Path, Path] = {}
    for path in shown:
        if not _is_reachable(path):
            target = place / str(len(staged))
            if path.is_dir():
                target.mkdir(parents=True)
            else:
                place.mkdir(exist_ok=True)
                target.touch()
            staged[path] = target
    return staged


def _is_reachable(path: Path) -> bool:
    return all(folder.stat().st_mode & 0o001 for folder in path.parents)
