"""What is here, which version, from where, what is missing, and the command that mends it."""

from __future__ import annotations

import os
import platform
import shutil
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from iaclab import paths
from iaclab.platform import gnu
from iaclab.tools import found, gobuild
from iaclab.tools.catalogue import Tool, arch, catalogue, system
from iaclab.tools.install import why_not
from iaclab.tools.source import UNPINNED, UNPUBLISHED

_BUILD_NEEDS = 12e9  # bytes: Go's build cache and module cache, and the tools


def print_tools(console: Console) -> list[Tool]:
    """Print a table of every tool, then what mends it; returns the tools that are missing."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, widest in (("tool", 26), ("wanted", 10), ("here", 10), ("from", 26)):  # 80 columns, gaps included
        table.add_column(name, max_width=widest, overflow="ellipsis", no_wrap=True)
    missing = []
    for entry in catalogue().values():
        wanted = f"{entry.version}+" if entry.minimum else entry.version
        installed = found.find(entry.name)
        if installed:
            where = f"PATH, {installed.path.parent}" if installed.source == "PATH" else installed.source
            table.add_row(entry.name, wanted, installed.version, where)
        else:
            missing.append(entry)
            table.add_row(entry.name, wanted, "not here" if entry.optional else "[bold red]missing[/]", "")
    console.print(table)
    for what, names in _remarks(missing):
        _line(console, what, names)
    return missing


def print_report(console: Console) -> int:
    """Print the tools and the machine; returns 1 when something that the system must bring is missing."""
    missing = print_tools(console)
    free = shutil.disk_usage(_existing(paths.cache_dir())).free
    short = "" if free > _BUILD_NEEDS else f", of which a build from source needs {_BUILD_NEEDS / 1e9:.0f} GB"
    _line(console, "machine", f"{system()}/{arch()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    _line(console, "cache", f"{paths.cache_dir()} ({free / 1e9:.0f} GB free{short})")
    if list(paths.cache_dir().glob("go-*")):
        _line(
            console,
            "go build",
            f"{gobuild.TOOLCHAIN}; `rm -r {paths.cache_dir()}/go-*` clears its cache, the tools stay",
        )
    if absent := gnu.missing():
        _line(console, "mend", f"brew install {' '.join(absent)}   # the cells of the lessons are written for GNU's")
    _line(console, "profiles", str(paths.state_dir() / "profiles"))
    return 1 if any(entry.of_the_system and not entry.optional for entry in missing) else 0


def verify(console: Console) -> int:
    """Run each installed program's version command; returns 1 when one does not say what the catalogue says."""
    wrong = []
    for entry in catalogue().values():
        installed = found.find(entry.name)
        if installed is None or entry.data or not entry.version_command:
            continue
        says = found.version_of(entry, installed.path)
        good = says == installed.version
        wrong += [] if good else [entry.name]
        again = f"rm -r {found.home(entry)}; iaclab tools install {entry.name}"
        state = "as wanted" if good else f"not {installed.version}. Mend: {again}"
        _line(console, f"{'✔' if good else '✘'} {entry.name}", f"{says or 'does not run'}, {state}", 26)
    return 1 if wrong else 0


def _remarks(missing: list[Tool]) -> list[tuple[str, str]]:
    """What is to be said below the table: the commands that mend it, and downloads that nobody vouches for."""
    ours = [entry.name for entry in missing if not entry.of_the_system and not entry.optional]
    everything = len(ours) == sum(not (e.of_the_system or e.optional) for e in catalogue().values())
    lines = [("mend", " ".join(["iaclab tools install", *([] if everything else ours)]))] if ours else []
    lines += [("optional" if entry.optional else "mend", entry.hint) for entry in missing if entry.of_the_system]
    lines += _optional([entry.name for entry in missing if entry.optional and not entry.of_the_system])
    for remark, is_so in ((UNPUBLISHED, _unpublished), (UNPINNED, _unpinned)):
        if names := [entry.name for entry in catalogue().values() if is_so(entry)]:
            lines.append(("note", f"{', '.join(names)}: {remark}"))
    return lines


def _optional(names: list[str]) -> list[tuple[str, str]]:
    """What brings tools that one can do without, and why they are not here; the same reason is said once."""
    reasons: dict[str, list[str]] = {}
    for name in names:
        reasons.setdefault(why_not(name) or "nothing has asked for it yet", []).append(name)
    lines = [("optional", " ".join(["iaclab tools install", *names]))] if names else []
    return lines + [("not here", f"{', '.join(alike)}: {reason}") for reason, alike in reasons.items()]


def _unpublished(entry: Tool) -> bool:
    """Whether its release, which is here or would be asked for, has a SHA-256 that nobody has published."""
    release, installed = entry.release_here(), found.find(entry.name)
    return release is not None and not release.published and (installed is None or installed.source == "release")


def _unpinned(entry: Tool) -> bool:
    """Whether its image, which is here or would be asked for, has a digest that the catalogue does not name."""
    image, installed = entry.image, found.find(entry.name)
    return image is not None and not image.pinned and (installed is None or installed.source == "image")


def _line(console: Console, what: str, text: str, width: int = 9) -> None:
    """One line that is never broken, so that a command in it can be copied."""
    console.print(f"{what:<{width}} {text}", soft_wrap=True, highlight=False, markup=False)


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
