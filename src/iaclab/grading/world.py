"""A world: one worker's network, with a lab's services in it, warm from one submission to the next."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from iaclab import lessons, paths, tools
from iaclab.errors import LabError
from iaclab.grading import mounts
from iaclab.grading.desk import Desk, remove
from iaclab.grading.mounts import PROFILE, SCRATCH, STATE, Bind
from iaclab.grading.network import Network, no_sandbox
from iaclab.grading.sandbox import Sandbox
from iaclab.grading.seal import Seal, broken, seal
from iaclab.grading.services import Services
from iaclab.grading.warm import Zygote

_PREFIX = "iaclab-g-"  # of the folders of worlds
Tell = Callable[[str, str], None]


class World:
    """Where submissions of one lab run, one after the other. Made by `open`; a context that leaves nothing behind."""

    def __init__(self, lab: str, needs: Sequence[str], unsafe: bool, tell: Tell) -> None:
        self.lab, self.needs, self.unsafe, self._tell = lab, tuple(needs), unsafe, tell
        self.tools: tuple[str, ...] = ()  # that its cells and its checks call beside those of its services
        self._numbers, self._is_used = itertools.count(1), False
        _remove_stale()
        self.base = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir="/tmp"))  # short: sockets lie below
        self.network: Network | None = None
        self.services: Services | None = None
        self.zygote: Zygote | None = None
        self._seal: Seal = {}
        self.belongings: dict[str, Any] = {"env": {}, "files": {}, "links": {}}

    @classmethod
    def open(
        cls,
        lab: str,
        *,
        needs: Sequence[str] | None = None,
        unsafe: bool = False,
        tell: Tell | None = None,
    ) -> World:
        """Make a world and bring the lab's services up in it.

        Args:
            lab: the lab's id.
            needs: services; default: those that the lab's text names.
            unsafe: without any sandbox. A submission can then do all that you can.
            tell: hears (service, what happens now).

        Raises:
            LabError: no sandbox can be had here, or a service does not get ready.
        """
        lesson = lessons.lesson(lab) if needs is None else None
        wanted = lesson.needs if lesson else tuple(needs or ())
        world = cls(lab, wanted, unsafe, tell or (lambda service, what: None))
        world.tools = lesson.tools if lesson else ()
        try:
            world._make()
        except BaseException:
            world.close()
            raise
        return world

    def _make(self) -> None:
        if not self.unsafe:
            if os.uname().sysname != "Linux":
                raise no_sandbox("bubblewrap needs Linux.")
            self.base.chmod(0o711)  # what is in it is for its owner alone
            mounts.bwrap()
            _ensure_tools(self.needs, self.tools)
            self.network = Network(mounts.shown(), self.base)
            mounts.settings(self.base / "etc")
        for name in ("state", "shared"):
            self._own(_new(self.base / name))
        self.zygote = Zygote()
        if self.needs:
            self._start_services()
        elif self.network:
            Sandbox(self.network, [], self.base / "etc").close()  # so that what cannot work is said now

    def _start_services(self) -> None:
        env = self.environment()
        prefix: list[str] = []
        if self.network:
            binds = [*self._profile(), Bind(self.base / "state", STATE, True), self._parsed(self.network)]
            prefix = mounts.command(self.network, binds, self.etc)
        with (self.base / "services.log").open("wb") as log:
            self.services = Services(prefix, env, log)
        self.services.up(list(self.needs), self._tell)
        self.belongings = self.services.learners()  # once: no submission has run
        self._seal = seal(self._root) if self.network else {}

    @property
    def _root(self) -> Path:
        """The profile's folder, on the host."""
        return self.base / "state" / "profiles" / PROFILE

    def environment(self) -> dict[str, str]:
        """The environment of the trusted processes of this world."""
        if self.network:
            return mounts.environment()
        own = {"IACLAB_STATE": str(self.base / "state"), "IACLAB_PROFILE": PROFILE, "IACLAB_WORKSPACE": str(self.base)}
        return {**os.environ, **own, "PATH": f"{mounts.search_path()}:{os.environ.get('PATH', '')}"}

    @property
    def etc(self) -> Path:
        """The /etc of its sandboxes."""
        return self.base / "etc"

    def _profile(self) -> list[Bind]:
        """The /tmp that services and checks share: supervisord's socket is there."""
        return [Bind(self.base / "shared", "/tmp", True)]

    def _parsed(self, network: Network) -> Bind:
        """Services keep what they have parsed in the tools' cache: they get a copy, to write."""
        folder = self.base / "parsed"
        if not folder.exists():
            network.own(_new(folder))
            for file in (paths.cache_dir() / "parsed").glob("*.json"):
                with contextlib.suppress(PermissionError):  # another user's, in a cache that is shared: parsed anew
                    network.own(Path(shutil.copyfile(file, folder / file.name)))
        return Bind(folder, str(paths.cache_dir() / "parsed"), True)

    def reset(self) -> None:
        """Bring the services back to clean; where that fails they are made anew."""
        if not self.services or not self._is_used:
            return
        try:
            if not self.services.alive:
                raise LabError("The services of this world have ended.")
            self._see_seal(self.services)
            self.services.reset(self._tell)
            self._see_seal(self.services)  # as it was when the snapshot was read
        except LabError as error:
            self._renew(error.what)

    def settle(self) -> str:
        """After a submission, before the checks look: leave none of its processes among the services.

        Returns:
            Why the services had to be made anew; empty where they are those that the submission had.
        """
        if not self.services or not self.services.alive or not self.network:
            return ""
        try:
            self._see_seal(self.services)
        except LabError as error:
            self._renew(error.what)
            return error.what
        return ""

    def _see_seal(self, services: Services) -> None:
        """End what should not run, and see that what no submission may change is as it was.

        Raises:
            LabError: it is not.
        """
        if not self.network:
            return
        services.settle()
        if changed := broken(self._seal, self._root):
            more = f" and {len(changed) - 3} more" * (len(changed) > 3)
            raise LabError(f"A submission has changed what belongs to its services ({', '.join(changed[:3])}{more}).")

    def _renew(self, why: str) -> None:
        """Make the services anew, from nothing."""
        self._tell("world", f"made anew: {why}")
        if self.services:
            self.services.close()
        for name in ("state", "shared"):
            remove(self.base / name)
            self._own(_new(self.base / name))
        remove(self.base / "parsed")
        self._start_services()

    @contextlib.contextmanager
    def desk(self) -> Iterator[Desk]:
        """New folders for one submission, removed at the end."""
        self._is_used = True
        desk = Desk(self.base / f"s{next(self._numbers)}", self.lab, self.network).make()
        try:
            if self.network:
                desk.give(self.belongings)
            yield desk
        finally:
            desk.clear()

    def submission_environment(self, desk: Desk) -> dict[str, str]:
        """What `iaclab.prepare` would have set in a learner's notebook, and nothing of the grader's."""
        env = {**self.environment(), **self.belongings["env"], "IACLAB_GRADED": desk.work_inside}
        return env

    def submission_sandbox(self, desk: Desk) -> Sandbox | None:
        """A sandbox for the submission itself."""
        return Sandbox(self.network, desk.binds(), self.etc) if self.network else None

    def judge_sandbox(self, desk: Desk, scratch: Path) -> Sandbox | None:
        """A sandbox for the checks: the whole profile, the work folder to read, a folder of their own."""
        if not self.network:
            return None
        binds = [*self._profile(), Bind(self.base / "state", STATE, True), Bind(desk.work, desk.work_inside)]
        return Sandbox(self.network, [*binds, Bind(scratch, SCRATCH, True)], self.etc)

    def scratch(self, held: contextlib.ExitStack) -> Path:
        """A folder for a judge, removed when `held` is closed."""
        folder = _new(self.base / f"j{next(self._numbers)}")
        held.callback(remove, folder)
        return self._own(folder)

    def scratch_part(self, scratch: Path, name: str) -> Path:
        """A folder in a judge's."""
        return self._own(_new(scratch / name))

    def _own(self, folder: Path) -> Path:
        return self.network.own(folder) if self.network else folder

    def command(self, desk: Desk, binds: list[Bind]) -> list[str]:
        """The beginning of a command that runs a learner's code for a check; it has a network with nothing in it.

        Args:
            binds: what it sees beside the work folder.
        """
        if not self.network:
            return []
        return mounts.command(self.network, [Bind(desk.work, desk.work_inside), *binds], self.etc, alone=True)

    def close(self) -> None:
        """Stop everything and remove its folder."""
        for part in (self.services, self.zygote, self.network):
            if part:
                part.close()
        self.services = self.zygote = self.network = None
        remove(self.base)

    def __enter__(self) -> World:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _ensure_tools(needs: Sequence[str], more: Sequence[str]) -> None:
    """Nothing can be fetched from inside."""
    from iaclab.platform import registry

    names = dict.fromkeys(name for service in registry.with_needs(list(needs)) for name in service.tools)
    tools.ensure(*names, *more)
    if os.geteuid() == 0:  # in a world root is not root: its tools must be there for everybody
        for folder in (paths.cache_dir() / "tools").glob("*/*"):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o755)


def _remove_stale() -> None:
    """Remove what graders that were killed have left: their processes ended with them."""
    for folder in Path("/tmp").glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(folder.name.removeprefix(_PREFIX).partition("-")[0])
            if folder.lstat().st_uid == os.geteuid() and not Path(f"/proc/{pid}").exists():
                remove(folder)


def _new(folder: Path) -> Path:
    folder.mkdir(mode=0o700)
    return folder
