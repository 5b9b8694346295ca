"""Finds what is here already: on PATH at a fitting version, or in the cache."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from iaclab import paths
from iaclab.tools.catalogue import Tool, tool

_VERSION = re.compile(r"\d+(?:\.\d+)+")


@dataclass(frozen=True)
class Installed:
    """A tool that is here. `source`: PATH, release, wheel or go build."""

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
    path.mkdir(parents=True, exist_ok=True)
    return path


def find(name: str) -> Installed | None:
    """The tool, if it is here; installs nothing."""
    entry = tool(name)
    return on_path(entry) or in_cache(entry)


def in_cache(entry: Tool) -> Installed | None:
    """The tool from the cache: what lies there was verified before it was moved there."""
    folder = home(entry)
    note = folder / ".source"
    if not note.exists():
        return None
    path = folder if entry.data else folder / entry.name
    return Installed(entry.name, entry.version, path, note.read_text()) if path.exists() else None


def on_path(entry: Tool) -> Installed | None:
    """The tool from PATH, at the same major.minor (or newer where the entry says `minimum`)."""
    if entry.data or os.environ.get("IACLAB_TOOLS_FROM", "path") != "path":
        return None
    ours = str(bin_dir())
    elsewhere = os.pathsep.join(p for p in os.environ.get("PATH", "").split(os.pathsep) if p != ours)
    where = shutil.which(entry.name, path=elsewhere)
    if not where:
        return None
    version = remembered_version(entry, Path(where))
    if version and fits(entry, version):
        return Installed(entry.name, version, Path(where), "PATH")
    return None


def fits(entry: Tool, version: str) -> bool:
    """Whether a version from PATH will do."""
    have, want = ([int(n) for n in v.split(".")[:2]] for v in (version, entry.version))
    return have >= want if entry.minimum else have == want


def version_of(entry: Tool, path: Path) -> str | None:
    """What the program says of its version (digits and dots), `None` where it does not run."""
    try:
        done = subprocess.run([str(path), *entry.version_command], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = _VERSION.search(done.stdout + done.stderr)
    return match[0] if match and done.returncode == 0 else None


def remembered_version(entry: Tool, path: Path) -> str | None:
    """As `version_of`, asked once for each file: its size and time tell whether it is still the same."""
    stat = path.stat()
    key = f"{path}:{stat.st_size}:{stat.st_mtime_ns}"
    memo = paths.cache_dir() / "versions.json"
    try:
        known: dict[str, str | None] = json.loads(memo.read_text())
    except (OSError, ValueError):
        known = {}
    if key not in known:
        known[key] = version_of(entry, path)
        memo.parent.mkdir(parents=True, exist_ok=True)
        aside = memo.with_name(f".versions.{os.getpid()}")
        aside.write_text(json.dumps(known))
        aside.replace(memo)
    return known[key]
