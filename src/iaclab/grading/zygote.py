"""Starts kernels and judges warm: a process that has imported what they need and forks one for each sandbox.

It is begun with a clean environment and knows nothing of the grader, of other submissions or of hidden checks; it only
imports and forks. A fork enters its sandbox before it does anything else. Run as `python -m iaclab.grading.zygote`;
standard input is a Unix socket, each message one task (JSON) with the files that it gets. `warm.py` is the other end.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import Any

from iaclab.grading import enter

_LARGEST = 1 << 16  # bytes of a task
_NICE = 5  # the grader, its watcher and the services come first
_READY = b"\x01"
# What a kernel imports between its start and its first cell, beside what these import themselves.
_KERNEL = (
    "ipykernel.kernelapp ipykernel.ipkernel ipykernel.zmqshell ipykernel.debugger IPython.core.completerlib "
    "IPython.core.oinspect IPython.core.debugger IPython.extensions.storemagic tornado.locks tornado.queues "
    "tornado.platform.asyncio cProfile gzip pdb pydoc"
)


def main() -> None:
    """Import, then fork for each task until the other end is closed."""
    door = socket.socket(fileno=0)
    for name in _KERNEL.split():
        with contextlib.suppress(ImportError):  # another version may have none of this name
            importlib.import_module(name)
    _import_checks()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for forks: their end is seen from outside
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    door.send(_READY)
    while True:
        text, files, _, _ = socket.recv_fds(door, _LARGEST, 4)
        if not text:
            return
        pid = os.fork()
        if pid == 0:
            _begin(json.loads(text), files)
        for file in files:
            os.close(file)
        door.send(str(pid).encode())


def _import_checks() -> None:
    from iaclab import checks
    from iaclab.platform import registry

    checks.checks()
    registry.services()
    for name in ("kube", "lifecycle", "supervise"):
        importlib.import_module(f"iaclab.platform.{name}")
    for name in ("httpx", "yaml", "iaclab.grading.judge"):
        importlib.import_module(name)
    for module in pkgutil.iter_modules(checks.__path__):
        importlib.import_module(f"{checks.__name__}.{module.name}")


def _begin(task: dict[str, Any], files: list[int]) -> None:
    """The fork: it never returns."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        os.nice(_NICE)
        if task["cgroup"]:
            Path(task["cgroup"]).write_text("0")
        for number, file in enumerate(files[:3]):
            os.dup2(file, number)
        enter.close_all_but(*files[3:])
        if task["first"]:
            enter.join(task["first"])
            inner = os.fork()  # only a child is in the process namespace
            if inner:
                for number in (0, 1, 2, *files[3:]):
                    os.close(number)
                _, ended = os.waitpid(inner, 0)
                os._exit(os.waitstatus_to_exitcode(ended) & 0xFF)
            enter.drop(task["uid"], task["limits"])
        os.environ.clear()
        os.environ.update(task["env"])
        os.chdir(task["folder"])
        _TASKS[task["do"]](task["args"], files[3:])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else 0
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _kernel(args: dict[str, Any], files: list[int]) -> None:
    """A Jupyter kernel; it writes one byte once its sockets are bound."""
    from ipykernel.kernelapp import IPKernelApp

    sys.argv = ["ipykernel"]
    sys.path.insert(0, "")
    sys.stdin = open(os.devnull)  # noqa: SIM115, PTH123
    Path(args["file"]).write_text(args["connection"])
    app: Any = IPKernelApp.instance()
    app.initialize(["-f", args["file"], "--HistoryManager.enabled=False", "--log-level=CRITICAL"])
    os.write(files[0], _READY)
    os.close(files[0])
    app.start()


def _judge(args: dict[str, Any], files: list[int]) -> None:
    from iaclab.grading import judge

    judge.serve(args)


_TASKS = {"kernel": _kernel, "judge": _judge}

if __name__ == "__main__":
    main()
