"""Strategy: a Python program in an environment of its own: neither what it needs nor PYTHONPATH reaches across.

What goes in is named with its hashes in tools/python/<lock>.lock; uv makes the environment and fills it.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from pathlib import Path

from iaclab.tools import client
from iaclab.tools.catalogue import Tool
from iaclab.tools.source import SourceFailed, in_clone

# It finds the environment beside itself, for the folder is renamed when all is in place. -I: without PYTHONPATH and the
# user's own packages.
_START = """#!/bin/sh
bin=$(dirname -- "$(realpath -- "$0")")/venv/bin
exec "$bin/python" -I "$bin/{name}" "$@"
"""
# A wheel may also ship a program that is no script.
_START_NATIVE = """#!/bin/sh
exec "$(dirname -- "$(realpath -- "$0")")/venv/bin/{name}" "$@"
"""


def install(entry: Tool, folder: Path, stop: threading.Event) -> None:
    """Make the environment in `folder`/venv, and what starts its program in `folder`.

    Args:
        stop: set by another thread to end the work.

    Raises:
        SourceFailed: no uv, no lock file, or a package that cannot be had.
    """
    if entry.venv is None:
        raise SourceFailed("it is no Python program")
    lock = in_clone("python", f"{entry.venv.lock}.lock")
    home = folder / "venv"
    _uv(["venv", "--no-project", "--python", sys.executable, str(home)], stop)
    python = str(home / "bin" / "python")
    _uv(["pip", "install", "--python", python, "--require-hashes", "--no-deps", "-r", str(lock)], stop)
    program = home / "bin" / (entry.venv.program or entry.name)
    if not program.exists():
        raise SourceFailed(f"tools/python/{entry.venv.lock}.lock brings no program {program.name}")
    with program.open("rb") as file:
        script = file.read(2) == b"#!"
    start = folder / entry.name
    start.write_text((_START if script else _START_NATIVE).format(name=program.name))
    start.chmod(0o755)


def package(entry: Tool) -> str:
    """The package that the tool is, and that its version is of: the first of its list, tools/python/<lock>.in."""
    pins = [line for line in wanted(entry).splitlines() if "==" in line and not line.startswith("#")]
    return pins[0].partition("==")[0].strip() if pins else entry.name


def wanted(entry: Tool) -> str:
    """The text of the tool's list of packages; empty where there is none here."""
    if entry.venv is None:
        return ""
    try:
        return in_clone("python", f"{Path(entry.venv.lock).name}.in").read_text()
    except (SourceFailed, OSError):
        return ""


def _uv(arguments: list[str], stop: threading.Event) -> None:
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is None:
        raise SourceFailed("uv is not installed (`pip install uv` brings it)")
    env = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME")}
    if os.environ.get("IACLAB_OFFLINE"):
        env["UV_OFFLINE"] = "1"
    client.run([uv, "--quiet", "--no-progress", "--color", "never", *arguments], env, stop, _reason)


def _reason(said: str) -> str:
    """One line for what uv printed: its first paragraph names the error and its causes, the rest is advice."""
    lines = [line.strip(" ×╰─▶├╴│") for line in said.strip().partition("\n\n")[0].splitlines()]
    return "; ".join(lines).removeprefix("error: ")[:300] or "uv ended with an error and no message"
