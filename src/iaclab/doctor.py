"""What is here, which version, from where, what is missing, and the command that mends it."""

from __future__ import annotations

import shutil
from pathlib import Path

from rich.console import Console
from rich.table import Table

from iaclab import paths
from iaclab.tools import found
from iaclab.tools.catalogue import catalogue


def tools_table() -> Table:
    """Every tool of the catalogue: wanted and present version, source, place."""
    table = Table("tool", "wanted", "here", "from", "mend")
    for entry in catalogue().values():
        installed = found.find(entry.name)
        if installed:
            table.add_row(entry.name, entry.version, installed.version, installed.source, "")
        else:
            mend = entry.hint or f"iaclab tools install {entry.name}"
            table.add_row(entry.name, entry.version, "optional" if entry.optional else "missing", "", mend)
    return table


def print_report(console: Console) -> int:
    """Print the tools and the machine; returns 1 when something that is needed is missing and cannot be installed."""
    console.print(tools_table())
    free = shutil.disk_usage(_existing(paths.cache_dir())).free / 1e9
    console.print(
        f"cache     {paths.cache_dir()}  ({free:.0f} GB free{'' if free > 6 else ': too little for a build'})"
    )
    console.print(f"profiles  {paths.state_dir() / 'profiles'}")
    lost = [e.name for e in catalogue().values() if e.hint and not e.optional and found.find(e.name) is None]
    if lost:
        console.print(f"[bold red]missing from the system: {', '.join(lost)}[/]")
    return 1 if lost else 0


def verify(console: Console) -> int:
    """Run each installed program's version command; returns 1 when one does not say what the catalogue says."""
    wrong = 0
    for entry in catalogue().values():
        installed = found.find(entry.name)
        if installed is None or entry.data:
            continue
        says = found.version_of(entry, installed.path)
        good = says is not None and found.fits(entry, says)
        wrong += not good
        console.print(f"{'✔' if good else '✘'} {entry.name:<24} {says or 'does not run'}  ({installed.source})")
    return 1 if wrong else 0


def _existing(path: Path) -> Path:
    while not path.exists():
        path = path.parent
    return path
