"""Looks for one file in a layer of a container image, which is a tar archive of what the layer adds and takes away.

Taken away is what a *whiteout* names: `.wh.NAME` beside it, or `.wh..wh..opq` for all that lies in its folder
(https://github.com/opencontainers/image-spec/blob/main/layer.md).
"""

from __future__ import annotations

import enum
import gzip
import io
import shutil
import tarfile
import threading
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from iaclab.tools.source import SourceFailed

LARGEST = 2 << 30  # bytes that a layer may unpack to
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"


class Found(enum.Enum):
    """What a layer says of a file."""

    TAKEN = "it holds it"
    DELETED = "it deletes what the layers below hold"
    NOTHING = "the layers below have the word"


def take(layer: Path, member: str, target: Path, stop: threading.Event) -> Found:
    """Write the file `member` of a layer to `target`, and nothing else anywhere.

    Args:
        member: a path as `usr/local/bin/program`.
        stop: set by another thread to end the work.

    Raises:
        SourceFailed: the file or a folder on its way is a link or the like, or the layer cannot be read.
    """
    found = Found.NOTHING
    parents = {str(parent) for parent in PurePosixPath(member).parents}
    whiteouts = _whiteouts(member)
    try:
        with layer.open("rb") as packed, tarfile.open(fileobj=_Unpacked(packed, stop), mode="r|") as archive:
            for entry in archive:
                name = str(PurePosixPath(entry.name.lstrip("/")))
                if name == member:
                    _only(entry, entry.isreg(), "a file")
                    _copy(archive, entry, target)
                    found = Found.TAKEN  # the last of that name counts, as when all is unpacked
                elif name in parents:
                    _only(entry, entry.isdir(), "a folder")
                elif name in whiteouts and found is Found.NOTHING:
                    found = Found.DELETED  # of the layers below; this one may hold it nevertheless
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise SourceFailed(f"a layer is damaged: {error}") from error
    return found


def _whiteouts(member: str) -> set[str]:
    """Every name in a layer that takes `member` away: beside it and beside each folder on its way, or in the folder."""
    path = PurePosixPath(member)
    steps = [path, *path.parents][:-1]  # without the root
    return {str(s.with_name(f".wh.{s.name}")) for s in steps} | {str(s.parent / ".wh..wh..opq") for s in steps}


def _only(entry: tarfile.TarInfo, right: bool, wanted: str) -> None:
    if not right:
        kind = "a link" if entry.issym() or entry.islnk() else "something else"
        raise SourceFailed(f"{entry.name} is {kind} in the image, not {wanted}")


def _copy(archive: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
    content = archive.extractfile(entry)
    assert content is not None  # it is a regular file
    with target.open("wb") as file:
        shutil.copyfileobj(content, file)


class _Unpacked(io.RawIOBase):
    """What a layer unpacks to, for tarfile: up to a limit, for a small one may unpack to an endless one."""

    def __init__(self, packed: IO[bytes], stop: threading.Event) -> None:
        start = packed.read(4)
        packed.seek(0)
        if start == _ZSTD:
            raise SourceFailed("its layers are packed with zstd, which is not read here")
        self._file = gzip.GzipFile(fileobj=packed) if start.startswith(_GZIP) else packed
        self._left, self._stop = LARGEST, stop

    def read(self, size: int = -1, /) -> bytes:
        if self._stop.is_set():
            raise SourceFailed("stopped")
        piece = self._file.read(size)
        self._left -= len(piece)
        if self._left < 0:
            raise SourceFailed(f"a layer unpacks to more than {LARGEST >> 30} GB")
        return piece
