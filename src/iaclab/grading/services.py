"""A lab's services in a world: supervisord and all that it runs see the tools and their own profile, nothing else.

Services act for a submission: an Application may name any repository, a chart any file. So they too get a file system
with nothing of the host's in it, and the network in which there is only this profile.

`Services` is the grader's end; `python -m iaclab.grading.services` is the one inside. They exchange lines of JSON.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from iaclab.errors import LabError
from iaclab.grading.closed import close_memory
from iaclab.grading.learners import believed

Tell = Callable[[str, str], None]
_PATIENCE = 600  # seconds without a word
_LONGEST = 128 << 20  # bytes of an answer
_GRACE = 30  # seconds that what a service has begun (git, kustomize) has to end: on a busy machine they are slow


class Services:
    """The services of one profile.

    Args:
        prefix: the beginning of a command that runs inside.
        env: their environment.
        log: where what they print goes.
    """

    def __init__(self, prefix: list[str], env: dict[str, str], log: IO[bytes]) -> None:
        self._read, self._first = b"", -1
        said, info = os.pipe()
        if prefix:
            prefix = [*prefix[:-1], "--info-fd", str(info), prefix[-1]]
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "iaclab.grading.services"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=env,
            cwd="/",
            start_new_session=True,  # Ctrl-C is the grader's
            pass_fds=[info] if prefix else [],
        )
        os.close(info)
        with os.fdopen(said) as file:
            text = file.read()
        first = int(json.loads(text)["child-pid"]) if text else 0  # its end is the end of all inside
        with contextlib.suppress(ProcessLookupError):
            self._first = os.pidfd_open(first) if first else -1

    @property
    def pid(self) -> int:
        """The process outside: what runs inside are its descendants."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the other end is there."""
        return self._process.poll() is None

    def up(self, names: list[str], tell: Tell) -> None:
        """Bring services up.

        Raises:
            LabError: one does not get ready.
        """
        self._ask({"do": "up", "names": names}, tell)

    def reset(self, tell: Tell) -> None:
        """Bring the profile back to clean; what a submission left running is ended.

        Raises:
            LabError: it cannot be done: make the world anew.
        """
        self._ask({"do": "reset"}, tell)

    def learners(self) -> dict[str, Any]:
        """What a learner has of the profile: `env`, `files` ({path: [mode, text]}) and `links` ({path: target}).

        Raises:
            LabError: it says something else.
        """
        return believed(self._ask({"do": "learners"}, lambda *_: None))

    def settle(self) -> None:
        """End what a submission has left running among the services; what they do for it gets some seconds to end.

        Raises:
            LabError: they have ended.
        """
        self._ask({"do": "settle"}, lambda *_: None)

    def close(self) -> None:
        """End them, at once."""
        for stream in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):
                if stream:
                    stream.close()
        if self._first >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._first, signal.SIGKILL)
            select.select([self._first], [], [], 20)  # until none is left
            os.close(self._first)
            self._first = -1
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _ask(self, question: dict[str, Any], tell: Tell) -> Any:
        assert self._process.stdin and self._process.stdout
        with contextlib.suppress(OSError):
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        while True:
            line = self._read_line()
            if not line:
                raise LabError(
                    "The services of this world have ended.", mend="iaclab grade LAB   # again: they are made anew"
                )
            try:
                answer = json.loads(line)
                if "tell" in answer:
                    service, what = map(str, answer["tell"])
                    tell(service, what)
                elif "error" in answer:
                    what, why, mend = map(str, answer["error"])
                    raise LabError(what, why=why, mend=mend)
                else:
                    return answer["done"]
            except (ValueError, TypeError, KeyError) as error:
                raise LabError("The services of this world say what they cannot say.") from error

    def _read_line(self) -> bytes:
        """One line; nothing where the other end is gone or says nothing for too long."""
        assert self._process.stdout
        while b"\n" not in self._read:
            if not select.select([self._process.stdout], [], [], _PATIENCE)[0]:
                return b""
            new = os.read(self._process.stdout.fileno(), 1 << 16)
            if not new or len(self._read) > _LONGEST:
                return b""
            self._read += new
        line, _, self._read = self._read.partition(b"\n")
        return line


def main() -> None:
    """The end inside: do what each line says until there are no more, then leave nothing behind."""
    close_memory()  # nobody else may speak for it
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what anything prints must not end up between the answers

    def say(answer: dict[str, Any]) -> None:
        out.write(json.dumps(answer) + "\n")
        out.flush()

    try:
        for line in sys.stdin:
            try:
                say({"done": _do(json.loads(line), lambda service, what: say({"tell": [service, what]}))})
            except LabError as error:
                say({"error": [error.what, error.why, error.mend]})
            except Exception as error:
                say({"error": ["The services cannot be used.", f"{type(error).__name__}: {error}", ""]})
    finally:
        with contextlib.suppress(BrokenPipeError):
            _end()


def _do(question: dict[str, Any], tell: Tell) -> Any:
    from iaclab.grading import learners
    from iaclab.platform import lifecycle

    match question["do"]:
        case "up":
            lifecycle.up(*question["names"], progress=tell)
            _note_own()
        case "settle":
            _end_strays(_GRACE)
        case "reset":
            _end_strays(0)
            if not _has_supervisor():
                raise LabError("What runs the services of this world has ended.")
            lifecycle.reset(progress=tell)
            _end_strays(0)
        case "learners":
            return learners.belongings()
    return None


def _end() -> None:
    """Leave no process: the grader may have been killed."""
    from iaclab.platform import lifecycle

    if _is_sandboxed():
        os.kill(-1, signal.SIGKILL)  # all in this namespace but the first, which ends when there are no others
    else:
        lifecycle.down()


_own: set[tuple[int, int]] = set()  # process ids and start times of all that ran before any submission
_supervisor: set[tuple[int, int]] = set()


def _processes() -> dict[tuple[int, int], int]:
    """The parents of all processes in this sandbox that live, by their ids and start times (in ticks)."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                words = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()
                if words[0] not in "ZX":
                    found[int(folder.name), int(words[19])] = int(words[1])
    return found


def _note_own() -> None:
    """Note what runs now; a name could be forged later."""
    if not _is_sandboxed():
        return
    _own.clear()
    _supervisor.clear()
    for pid, began in _processes():
        _own.add((pid, began))
        with contextlib.suppress(OSError):
            if b"supervisor.supervisord" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
                _supervisor.add((pid, began))


def _has_supervisor() -> bool:
    return not _is_sandboxed() or bool(_supervisor & _processes().keys())


def _end_strays(grace: float) -> None:
    """End what runs in this sandbox and is neither the services' own nor begun by supervisord itself.

    Args:
        grace: seconds that what a service has begun may still run; what has left its service is ended at once.

    Raises:
        LabError: it cannot be ended.
    """
    if not _is_sandboxed():
        return
    started, roots = time.monotonic(), {pid for pid, _ in _supervisor}
    while time.monotonic() < started + grace + 5:
        found = _processes()
        parents = {pid: parent for (pid, _), parent in found.items()}
        strays = [one[0] for one in found if one not in _own and parents[one[0]] not in roots and one[0] != os.getpid()]
        if not strays:
            return
        for pid in strays:
            if time.monotonic() >= started + grace or not _is_below(pid, roots, parents):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)
    raise LabError("What a submission has left running cannot be ended.")


def _is_below(pid: int, roots: set[int], parents: dict[int, int]) -> bool:
    for _ in range(len(parents)):
        if pid in roots:
            return True
        pid = parents.get(pid, 0)
    return False


def _is_sandboxed() -> bool:
    from iaclab.grading.mounts import STATE

    return os.environ.get("IACLAB_STATE") == STATE


if __name__ == "__main__":
    main()
