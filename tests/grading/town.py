"""A machine for a class: a teacher and three learners, each a Unix user of its own, a clone of the course, an exchange.

It is a mount namespace made by bubblewrap: the users stand in an /etc that only the town sees, the clone with its
small lab stands where the clone under test does, and folders that no other user may enter are opened as far as needed.
Only root can be several users; everybody else plays all roles as one.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import clone
import psutil

from iaclab import paths
from iaclab.grading.mounts import bwrap

TEACHER, GOOD, AVERAGE, CHEAT = "teacher", "ada", "ben", "eve"
PEOPLE = {TEACHER: 31001, GOOD: 31002, AVERAGE: 31003, CHEAT: 31004}
SEVERAL = os.getuid() == 0
_PATIENCE = 120  # seconds for a process to end on a busy machine
CONFIG = """
from iaclab.grading.nbgrader_settings import configure

c = get_config()
configure(c)
c.Exchange.root = "{exchange}"
"""


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    status: int
    text: str


class Town:
    """The machine; a context manager that takes everything away at its end."""

    def __init__(self) -> None:
        self.base = Path(tempfile.mkdtemp(prefix="iaclab-town-", dir="/tmp"))
        self.base.chmod(0o755)
        repo = paths.repo_root()
        assert repo
        self.repo, self.clone = repo, clone.make(self.base / "clone")
        self.course, self.exchange = repo / "grading", self.base / "exchange"  # as those in the town see them
        self.own(self.clone, TEACHER)
        for name in PEOPLE:
            self.own(self._folder("home", name), name)
        self.own(self._folder("exchange"), TEACHER)
        (self._folder("etc") / "nbgrader_config.py").write_text(CONFIG.format(exchange=self.exchange))
        if SEVERAL:
            self._settle()
        self._count = 0
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [*self._inside(), sys.executable, str(Path(__file__).with_name("town_server.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.env(TEACHER),
            text=True,
            start_new_session=True,
        )
        assert self._out.readline() == "ready\n", "the town's server did not start"

    def __enter__(self) -> Town:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        self._process.wait(_PATIENCE)
        shutil.rmtree(self.base, ignore_errors=True)

    @property
    def inside(self) -> Path:
        """The course folder on the real file system: what is at `course` in the town."""
        return self.clone / "grading"

    def name(self, role: str) -> str:
        """The user's name of a role."""
        return role if SEVERAL else pwd.getpwuid(os.getuid()).pw_name

    def home(self, who: str) -> Path:
        """A user's home."""
        return self.base / "home" / who

    def env(self, who: str) -> dict[str, str]:
        """A user's environment: nothing of this test's but the programs."""
        home = self.home(who)
        return {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]),
            "LANG": "C.UTF-8",
            "HOME": str(home),
            "JUPYTER_CONFIG_PATH": str(self.base / "etc"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "IACLAB_STATE": str(home / "state"),
            "IACLAB_CACHE": str(home / "cache"),
            "IACLAB_WORKSPACE": str(home),
            "IACLAB_OFFLINE": "1",
        }

    def run(self, who: str, *argv: str, cwd: Path | None = None, fails: bool = False) -> str:
        """Run a command as a user and return what it said; it must succeed, or fail where `fails` says so."""
        said = self.try_to(who, *argv, cwd=cwd)
        assert bool(said.status) is fails, f"{who}: {' '.join(argv)}: {said.status}\n{said.text[-4000:]}"
        return said.text

    def try_to(self, who: str, *argv: str, cwd: Path | None = None) -> Said:
        """Run a command as a user, whatever comes of it."""
        self._count += 1
        out = self.home(who) / f".out-{self._count}"
        where = cwd or (self.course if who == TEACHER else self.home(who))
        task = {"uid": PEOPLE[who], "argv": argv, "cwd": str(where), "env": self.env(who), "out": str(out)}
        assert self._process.stdin
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        status = json.loads(self._out.readline())["status"]
        return Said(status, out.read_text(errors="replace"))

    def start(self, who: str, *argv: str, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Start a program as a user, beside the others; `kill` ends it."""
        user = [f"--reuid={PEOPLE[who]}", f"--regid={PEOPLE[who]}", "--clear-groups"]
        become = ["setpriv", *user] if SEVERAL else []
        return subprocess.Popen(
            [*self._inside(), "--chdir", str(cwd or self.course), *become, *argv],
            env=self.env(who),
            stdin=subprocess.DEVNULL,
            stdout=(self.base / "started.log").open("wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def kill(self, started: subprocess.Popen[bytes]) -> None:
        """Kill a program that was started, and not what it has started itself."""
        for program in psutil.Process(started.pid).children():
            program.kill()
        started.wait(_PATIENCE)

    @property
    def _out(self) -> IO[str]:
        assert self._process.stdout
        return self._process.stdout

    def _folder(self, *parts: str) -> Path:
        path = self.base.joinpath(*parts)
        path.mkdir(parents=True)
        return path

    def own(self, folder: Path, who: str) -> None:
        """Give a folder to a user."""
        if SEVERAL:
            subprocess.run(["chown", "-R", f"{PEOPLE[who]}:{PEOPLE[who]}", str(folder)], check=True)

    def _inside(self) -> list[str]:
        """The beginning of a command that runs in the town."""
        command = [str(bwrap()), "--dev-bind", "/", "/", "--die-with-parent"]
        needed = [Path(sys.base_prefix), Path(sys.prefix), self.repo]
        if SEVERAL:
            for closed in sorted({folder for path in needed if (folder := _closed(path))}):
                command += ["--tmpfs", str(closed)]
            for path in needed:
                if closed := _closed(path):
                    between = [folder for folder in reversed(path.parents) if closed in folder.parents]
                    command += [word for folder in between for word in ("--perms", "0755", "--dir", str(folder))]
                    command += ["--ro-bind", str(path), str(path)]
            command += ["--ro-bind", str(self.base / "system-etc"), "/etc"]
        for name in ("src", "content", "grading"):
            command += ["--bind", str(self.clone / name), str(self.repo / name)]
        return command

    def _settle(self) -> None:
        """Put the users into a copy of /etc.

        A file bound to /etc/passwd alone would be gone as soon as somebody adds a user to this machine.
        """
        etc = self.base / "system-etc"
        shutil.copytree("/etc", etc, symlinks=True)
        lines = [f"{name}:x:{uid}:{uid}::{self.home(name)}:/bin/sh" for name, uid in PEOPLE.items()]
        (etc / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n" + "\n".join(lines) + "\n")


def _closed(path: Path) -> Path | None:
    """The uppermost folder above `path` that other users may not enter."""
    return next((folder for folder in reversed(path.parents) if not folder.stat().st_mode & 0o001), None)
