"""Artifacts: files packed as a tar.gz that is the same for the same files, and the folder that holds them."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import tarfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iaclab.platform.flux.git import File

_KEPT = 2  # artifacts of one source: the latest, and the one before, which may just be downloaded


def pack(files: Iterable[File]) -> bytes:
    """A tar.gz of `files`; nothing of the time, the machine or the user goes into it."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for file in files:
            entry = tarfile.TarInfo(file.path)
            entry.size, entry.mode = len(file.content), 0o755 if file.executable else 0o644
            archive.addfile(entry, io.BytesIO(file.content))
    return gzip.compress(packed.getvalue(), compresslevel=6, mtime=0)


def unpack(packed: bytes) -> list[File]:
    """The regular files of a tar.gz, sorted by path.

    Raises:
        tarfile.TarError, OSError, EOFError: it is not a tar.gz.
    """
    with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
        files = []
        for entry in archive:
            content = archive.extractfile(entry) if entry.isfile() else None
            if content is not None:
                files.append(File(entry.name.removeprefix("./"), bool(entry.mode & 0o100), content.read()))
    return sorted(files, key=lambda file: file.path)


def digest(packed: bytes) -> str:
    """As `status.artifact.digest` has it."""
    return f"sha256:{hashlib.sha256(packed).hexdigest()}"


@dataclass(frozen=True)
class Store:
    """A folder of artifacts, as `url` serves it: `<kind>/<namespace>/<name>/<file>.tar.gz`."""

    folder: Path
    url: str

    def put(self, place: str, name: str, revision: str, packed: bytes) -> dict[str, Any]:
        """Keep an artifact of the source at `place`; returns what belongs into its `status.artifact`."""
        path = self.folder / place / f"{name}.tar.gz"
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        aside = path.with_name(f".{name}.{threading.get_ident()}")
        aside.write_bytes(packed)
        aside.replace(path)
        self._sweep(path)
        return {
            "digest": digest(packed),
            "lastUpdateTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "path": f"{place}/{path.name}",
            "revision": revision,
            "size": len(packed),
            "url": self.address(f"{place}/{path.name}"),
        }

    def address(self, path: str) -> str:
        """Where an artifact is downloaded; the port may be another than yesterday's."""
        return f"{self.url}/{path}"

    def holds(self, artifact: dict[str, Any]) -> bool:
        """Whether an artifact is here and what its digest says."""
        path = self.file(artifact["path"])
        return path is not None and digest(path.read_bytes()) == artifact.get("digest")

    def file(self, path: str) -> Path | None:
        """The file of an artifact, `None` where there is none of that path."""
        found = (self.folder / path).resolve()
        inside = found.is_relative_to(self.folder.resolve()) and found.name.endswith(".tar.gz")
        return found if inside and found.is_file() else None

    def forget(self, place: str) -> None:
        """Drop the artifacts of a source that is gone."""
        shutil.rmtree(self.folder / place, ignore_errors=True)

    def _sweep(self, latest: Path) -> None:
        older = sorted((p for p in latest.parent.glob("*.tar.gz") if p != latest), key=lambda p: p.stat().st_mtime)
        for path in older[: max(0, len(older) - _KEPT + 1)]:
            path.unlink(missing_ok=True)
