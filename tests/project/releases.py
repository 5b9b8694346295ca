"""The official releases of every tool, made of the programs that are here: for a mirror on loopback."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

from iaclab.tools import found
from iaclab.tools.catalogue import Release, Tool, catalogue
from iaclab.tools.release import fill


class Releases(dict[str, bytes]):
    """Files of a mirror by path, each packed as its publisher packs it, when it is asked for.

    The programs may have been built here, so the sums are those of the files served, not the publishers' own.
    """

    def __init__(self) -> None:
        super().__init__()
        self._files: dict[str, Tool] = {}
        self._sums: dict[str, Tool] = {}
        for entry in catalogue().values():
            if release := entry.release_here():
                self._files[_path(release.url, entry)] = entry
                if release.sums:
                    self._sums[_path(release.sums, entry)] = entry

    def get(self, path: str, default: bytes | None = None) -> bytes | None:  # type: ignore[override]
        """The file at `path`, `default` where no release has it."""
        if entry := self._files.get(path):
            return _packed(entry, entry.release_here())
        if entry := self._sums.get(path):
            file = next(p for p, e in self._files.items() if e is entry)
            sha256 = hashlib.sha256(self.get(file) or b"").hexdigest()
            return f"{sha256}  {file.rsplit('/', 1)[-1]}\n".encode()
        return default


def _path(template: str, entry: Tool) -> str:
    release = entry.release_here()
    parts = urlsplit(fill(template, entry, fill(release.url, entry) if release else ""))
    return f"/{parts.netloc}{parts.path}"


def _packed(entry: Tool, release: Release | None) -> bytes:
    here = found.find(entry.name)
    assert here is not None and release is not None, f"{entry.name} is not here: iaclab tools install {entry.name}"
    content = _data(here.path) if entry.data else here.path.read_bytes()
    if not release.member:
        return content
    member = fill(release.member, entry)
    archive = io.BytesIO()
    if release.url.endswith(".zip"):
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr(member, content)
    else:
        with tarfile.open(fileobj=archive, mode="w:") as tar:  # not compressed: half the time, and read all the same
            info = tarfile.TarInfo(member)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return archive.getvalue()


def _data(folder: Path) -> bytes:
    """A data tool's one file; where a build from source brought several, all of them in one."""
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return files[0].read_bytes() if len(files) == 1 else b"\n---\n".join(path.read_bytes() for path in files)
