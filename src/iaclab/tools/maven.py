"""Strategy: the jars that tools/maven/<lock>/pom.xml asks for, as a folder to put on Java's class path.

Maven resolves and downloads them; tools/maven/<lock>/jars.sha256 then says what each one has to be. Only Maven and its
plugins run meanwhile: no jar of the folder is loaded before its sum was compared.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from pathlib import Path

from iaclab.tools import client
from iaclab.tools.catalogue import Tool
from iaclab.tools.source import SourceFailed, in_clone

_GET = "dependency:copy-dependencies"


def install(entry: Tool, folder: Path, stop: threading.Event) -> None:
    """Put the jars into `folder`.

    Args:
        stop: set by another thread to end the work.

    Raises:
        SourceFailed: no Maven, no pom, a jar that cannot be had, or one that is not the pinned one.
    """
    if entry.maven is None:
        raise SourceFailed("it has no jars")
    lock = in_clone("maven", entry.maven.lock, "pom.xml")
    maven = shutil.which("mvn")
    if maven is None:
        raise SourceFailed("Maven is not installed (`sudo apt install maven`, macOS: `brew install maven`)")
    pom = folder / "pom.xml"  # beside the clone: Maven may write next to it
    shutil.copyfile(lock / "pom.xml", pom)
    offline = ["--offline"] if os.environ.get("IACLAB_OFFLINE") else []
    command = [maven, "-B", "-q", *offline, "-f", str(pom), _GET, f"-DoutputDirectory={folder}"]
    client.run(command, dict(os.environ), stop, _reason)
    _verify(folder, (lock / "jars.sha256").read_text(), entry.maven.lock)


def _verify(folder: Path, sums: str, lock: str) -> None:
    """Compare every jar with the sums: as `sha256sum -c`, and no jar more."""
    wanted = {name: digest for digest, name in (line.split() for line in sums.splitlines())}
    for path in sorted(folder.glob("*.jar")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if wanted.pop(path.name, None) != digest:
            raise SourceFailed(f"{path.name} is not the jar that tools/maven/{lock}/jars.sha256 names")
    if wanted:
        raise SourceFailed(f"Maven has not brought {', '.join(sorted(wanted))}")


def _reason(said: str) -> str:
    """One line for what Maven printed: its first error."""
    lines = [line.split("[ERROR]", 1)[1].strip() for line in said.splitlines() if "[ERROR]" in line]
    return (lines or [said.strip()])[0][:300] or "Maven ended with an error and no message"
