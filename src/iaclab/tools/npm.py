"""Strategy: a program of the npm registry, with all that it needs, from tools/npm/<lock>/package-lock.json.

`npm ci` installs what the lock file names, each package by its SHA-512, and runs none of their scripts. The program is
started by the catalogue's Node, whose entry stands in the tool's `requires`.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from iaclab.tools import client, found
from iaclab.tools.catalogue import Tool
from iaclab.tools.source import SourceFailed, in_clone

_START = """#!/bin/sh
here=$(dirname -- "$(realpath -- "$0")")
node='{node}'
[ -x "$node" ] || node=node
exec "$node" "$here/node_modules/.bin/{name}" "$@"
"""


def install(entry: Tool, folder: Path, stop: threading.Event) -> None:
    """Install the packages into `folder`/node_modules, and what starts the program into `folder`.

    Args:
        stop: set by another thread to end the work.

    Raises:
        SourceFailed: no Node, no npm, no lock file, or a package that cannot be had.
    """
    if entry.npm is None:
        raise SourceFailed("it is no npm package")
    lock = in_clone("npm", entry.npm.lock, "package-lock.json")
    node = found.find("node")
    if node is None:
        raise SourceFailed("Node is not installed (`iaclab tools install node` brings it)")
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(lock / name, folder / name)
    env = {**os.environ, "PATH": f"{node.path.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    offline = ["--offline"] if os.environ.get("IACLAB_OFFLINE") else []
    command = [*_npm(node), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *offline]
    client.run(command, env, stop, _reason, folder)
    if not (folder / "node_modules" / ".bin" / entry.name).exists():
        raise SourceFailed(f"tools/npm/{entry.npm.lock} brings no program {entry.name}")
    start = folder / entry.name
    start.write_text(_START.format(node=node.path, name=entry.name))
    start.chmod(0o755)


def _npm(node: found.Installed) -> list[str]:
    """How to start the npm that came with this Node, or else the one on PATH."""
    ours = node.path.parent / "venv" / "bin"
    if (ours / "npm").exists():
        return [str(ours / "python"), "-I", str(ours / "npm")]  # the folder was renamed: its first line names no file
    npm = shutil.which("npm", path=os.pathsep.join([str(node.path.parent), os.environ.get("PATH", "")]))
    if npm is None:
        raise SourceFailed("npm is not installed; it comes with Node (https://nodejs.org)")
    return [npm]


def _reason(said: str) -> str:
    """One line for what npm printed: its code and the first sentence of its own."""
    lines = [line.split("npm error", 1)[1].strip() for line in said.splitlines() if "npm error" in line]
    return "; ".join(dict.fromkeys(line for line in lines if line))[:300] or "npm ended with an error and no message"
