"""The grader's end of the judge: which checks to look at, what they say, and what to run for them."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

from iaclab.errors import LabError
from iaclab.grading import cgroup
from iaclab.grading.desk import Desk, usage
from iaclab.grading.limits import MB, Limits
from iaclab.grading.mounts import PROFILE, SCRATCH, STATE, TEMPORARY, Bind
from iaclab.grading.verdict import Verdict
from iaclab.grading.watch import Watch
from iaclab.grading.world import World

_SAID = 8 * MB  # of a program's output
_ATTEMPTS = 3  # to start a judge


def judge(
    world: World,
    desk: Desk,
    names: Sequence[str],
    *,
    hidden: Path | None,
    limits: Limits,
    patience: float = 1.0,
) -> list[Verdict]:
    """What the checks say, in their order. No process of the submission may be alive.

    Args:
        names: visible checks by name, hidden ones with `hidden:` before it.
        hidden: the file of hidden checks.
        patience: by which each check's `within` is multiplied.

    Raises:
        LabError: there is no such check, or the file of hidden checks cannot be used.
    """
    source = hidden.read_text() if hidden else ""
    desk.open_work()
    open_ones, found, worth = list(names), dict[str, Verdict](), dict[str, int]()
    failures = 0
    while open_ones:
        with _Judge(world, desk, limits) as bench:
            bench.begin(open_ones, source, str(hidden or ""), patience)
            stuck = bench.listen(open_ones, found)
        if not bench.points:  # it ended before it looked at anything: that says nothing about a check
            failures += 1
            if failures == _ATTEMPTS:
                raise LabError("The checks of this lab cannot be started.", why="Their process ended at its start.")
            continue
        worth = bench.points | worth
        open_ones = [name for name in open_ones if name not in found]
        if open_ones:  # it stopped before the end: what it looked at last costs its own points only
            lost = stuck if stuck in open_ones else open_ones[0]
            found[lost] = Verdict(lost, lost, False, "the check did not end, or ended the judge", 0, worth[lost])
            open_ones.remove(lost)
    return [found[name] for name in names]


class _Judge:
    """A judge in its sandbox, and the line to it; a context."""

    def __init__(self, world: World, desk: Desk, limits: Limits) -> None:
        self._world, self._desk, self._limits = world, desk, limits
        self._held = contextlib.ExitStack()
        self._read = b""
        self.points: dict[str, int] = {}  # what each check is worth, as the judge says before it looks at any

    def __enter__(self) -> _Judge:
        try:
            self._start()
        except BaseException:
            self._held.close()
            raise
        return self

    def _start(self) -> None:
        world = self._world
        self._scratch = world.scratch(self._held)
        sandbox = world.judge_sandbox(self._desk, self._scratch)
        if sandbox:
            self._held.enter_context(sandbox)
        home, temporary = (world.scratch_part(self._scratch, name) for name in ("home", Path(TEMPORARY).name))
        inside = (f"{SCRATCH}/{home.name}", TEMPORARY) if sandbox else (str(home), str(temporary))
        their_in, our_out = os.pipe()
        our_in, their_out = os.pipe()
        self._out = self._held.enter_context(os.fdopen(our_out, "wb", buffering=0))
        self._in = self._held.enter_context(os.fdopen(our_in, "rb", buffering=0))
        own = {"HOME": inside[0], "TMPDIR": inside[1], "GIT_CONFIG_NOSYSTEM": "1"}
        limits = {"RLIMIT_CORE": 0, "RLIMIT_DATA": 1 << 30, "RLIMIT_FSIZE": self._limits.file}
        with open(os.devnull, "r+b") as nothing:  # noqa: PTH123
            try:
                assert world.zygote
                process = world.zygote.begin(
                    "judge",
                    first=sandbox.first if sandbox else 0,
                    args={},
                    env={**world.environment(), **own},
                    folder=self._desk.work_inside,
                    files=[their_in, their_out, nothing.fileno()],
                    limits=limits if sandbox else {},
                )
            finally:
                os.close(their_in)
                os.close(their_out)
        self._held.callback(process.close)

    def begin(self, names: Sequence[str], source: str, file: str, patience: float) -> None:
        """Say what to look at."""
        state = STATE if self._world.network else str(self._world.base / "state")
        task = {"checks": list(names), "hidden": source, "file": file, "patience": patience}
        self._say({**task, "profile": PROFILE, "state": state})

    def listen(self, names: Sequence[str], found: dict[str, Verdict]) -> str:
        """Collect verdicts until the judge has ended; returns what it looked at last.

        Nothing that it says is believed but what was asked for, each once: two verdicts about one check are none.
        """
        at, said = "", set[str]()
        while line := self._line():
            try:
                message = json.loads(line)
                if "verdict" in message and self.points:
                    verdict = Verdict(**message["verdict"])
                    name = names[names.index(verdict.check)]
                    found[name] = self._believed(verdict, is_first=name not in said)
                    said.add(name)
                elif "at" in message:
                    at = str(message["at"])
                elif "points" in message and not self.points:
                    self.points = {name: int(message["points"][name]) for name in names}
                elif "run" in message and self.points:
                    self._say(self._run(**message["run"]))
                elif "broken" in message and not self.points:
                    raise LabError("The checks of this lab cannot be used.", why=str(message["broken"]))
            except (ValueError, TypeError, KeyError, AttributeError):  # no judge says this
                return at
        return at

    def _believed(self, verdict: Verdict, is_first: bool) -> Verdict:
        of = self.points[verdict.check]
        if not is_first or verdict.of != of or not 0 <= verdict.points <= of:
            seen = "something else than the check has said what it saw"
            return Verdict(verdict.check, verdict.check, False, seen, 0, of)
        return verdict

    def _say(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(BrokenPipeError):
            data = json.dumps(message).encode() + b"\n"
            while data:
                data = data[self._out.write(data) :]

    def _line(self) -> bytes:
        """A line; nothing where the judge has ended or hangs."""
        deadline = time.monotonic() + self._limits.look
        while b"\n" not in self._read:
            if not select.select([self._in], [], [], max(0, deadline - time.monotonic()))[0]:
                return b""
            new = self._in.read(1 << 16)
            if not new:
                return b""
            self._read += new
        line, _, self._read = self._read.partition(b"\n")
        return line

    def _run(self, argv: list[str], folder: str, env: dict[str, str], timeout: float) -> dict[str, Any]:
        """Run a learner's code in a sandbox that has no network, for a check; it may write to `folder` alone."""
        own = self._own_folder(folder)
        prefix = self._world.command(self._desk, [Bind(own, folder, True)] if own else [])
        limits = {"data": self._limits.process_memory, "nproc": self._limits.processes, "fsize": self._limits.file}
        wrap = [f"--{name}={value}" for name, value in {**limits, "core": 0, "cpu": int(timeout) + 1}.items()]
        inner = ["prlimit", *wrap, "--", "sh", "-c", 'cd "$0" && exec "$@"', folder, *argv] if prefix else argv
        with contextlib.ExitStack() as held:
            out, err = (held.enter_context(tempfile.TemporaryFile()) for _ in range(2))
            if prefix and (group := cgroup.make(self._limits)):
                held.callback(group.close)
                prefix = ["sh", "-c", 'echo 0 > "$0" && exec "$@"', str(group.procs), *prefix]
            process = held.enter_context(
                subprocess.Popen(
                    [*prefix, *inner],
                    cwd=None if prefix else folder,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=err,
                    start_new_session=True,
                )
            )
            held.callback(process.kill)  # what is inside a sandbox ends with it
            used = partial(usage, [own] if own else [])  # what it says counts too: files without a name
            why: list[str] = []

            def end(reason: str) -> None:
                why.append(reason)
                process.kill()

            watch = Watch([process.pid], None, used, self._limits, end) if prefix else contextlib.nullcontext()
            try:
                with watch:
                    process.wait(timeout)
            except subprocess.TimeoutExpired:
                return {"status": None}
            ended = "".join(f"\n[ended: {reason}]" for reason in why)
            return {"status": process.returncode, "out": _text(out), "err": _text(err) + ended}

    def _own_folder(self, folder: str) -> Path | None:
        """Where a folder that a check has made lies; `None` for the work folder, which is there to be read.

        Raises:
            ValueError: it is another place, or a link leads there.
        """
        if not self._world.network or Path(folder).is_relative_to(self._desk.work_inside):
            return None
        parts = Path(folder).relative_to(TEMPORARY).parts
        own = self._scratch / Path(TEMPORARY).name
        for part in parts:
            own = own / part
            if part == ".." or own.is_symlink() or not own.is_dir():
                raise ValueError(f"{folder} is not a folder that a check has made")
        if not parts:
            raise ValueError("a check must make a folder for what it runs")
        return own

    def __exit__(self, *_: object) -> None:
        self._held.close()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read(_SAID).decode(errors="replace")
