"""Runs commands as one user or another, each in a fork of this process, which has imported nbgrader already.

Started by `town.py` inside its sandbox. Lines of JSON: {user, uid, argv, cwd, env, out} in, {status} out.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import sys
import traceback
from typing import Any

import nbgrader.apps  # type: ignore[import-untyped]
import nbgrader.apps.nbgraderapp  # type: ignore[import-untyped]
import nbgrader.server_extensions.formgrader  # type: ignore[import-untyped]

import iaclab.cli


def main() -> None:
    print("ready", flush=True)
    for line in sys.stdin:
        task = json.loads(line)
        child = os.fork()
        if child == 0:
            _run(task)
        _, status = os.waitpid(child, 0)
        print(json.dumps({"status": os.waitstatus_to_exitcode(status)}), flush=True)


def _run(task: dict[str, Any]) -> None:
    """Become the user and run the command; never returns."""
    status = 1
    try:
        out = os.open(task["out"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for number, handle in enumerate((nothing, out, out)):
            os.dup2(handle, number)
        if os.getuid() == 0 and task["uid"]:
            os.setgroups([])
            os.setgid(task["uid"])
            os.setuid(task["uid"])
        os.environ.clear()
        os.environ.update(task["env"])
        os.chdir(task["cwd"])
        sys.argv = task["argv"]
        match sys.argv[0]:
            case "nbgrader":
                nbgrader.apps.nbgraderapp.main()
            case "iaclab":
                iaclab.cli.console = type(iaclab.cli.console)(width=200)  # it was made for another output
                iaclab.cli.main()
            case "python":
                sys.argv = sys.argv[1:]
                runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
            case program:
                os.execvp(program, sys.argv)
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()  # os._exit, which this fork must end with, runs none
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
