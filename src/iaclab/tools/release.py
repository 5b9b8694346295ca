"""Strategy: the official release, or a mirror of it, verified by its SHA-256.

The sum comes from the catalogue, else from the lock file that an earlier install wrote (`tools.lock.json` in the cache
folder), else from the publisher's checksum file. Where none of them knows the file, its first download pins it.
"""

from __future__ import annotations

import logging
import os
import stat
import tarfile
import threading
import time
import zipfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pooch
import requests

from iaclab import paths
from iaclab.tools import cache, site
from iaclab.tools.catalogue import Release, Tool, arch, fill, system
from iaclab.tools.source import UNPUBLISHED, Download, Progress, SourceFailed

LOCK_FILE = "tools.lock.json"


@dataclass(frozen=True)
class _Sum:
    """A SHA-256 that a download must have, and who says so."""

    sha256: str
    origin: str


class _Bar:
    """The few methods of a tqdm bar that pooch calls; ends the download when `stop` is set."""

    def __init__(self, tell: Progress, stop: threading.Event) -> None:
        self.total, self._now, self._tell, self._stop = 0, 0, tell, stop

    def update(self, size: int) -> None:
        if self._stop.is_set():
            raise SourceFailed("stopped")
        self._now = min(self._now + size, self.total or self._now + size)
        self._tell(self._now, self.total)

    def reset(self) -> None:
        self._now = 0

    def close(self) -> None:
        """Pooch calls it at the end."""


def address(template: str, entry: Tool, url: str = "") -> str:
    """Fill a URL in; with IACLAB_MIRROR, the same host and path below the mirror."""
    filled = fill(template, entry, url)
    mirror = os.environ.get("IACLAB_MIRROR", "").rstrip("/")
    if not mirror or filled.startswith(mirror):
        return filled
    parts = urlsplit(filled)
    return f"{mirror}/{parts.netloc}{parts.path}"


def host(entry: Tool) -> str:
    """The site that the release of this tool is asked of; empty where there is none for this system."""
    release = entry.release_here()
    return urlsplit(address(release.url, entry)).netloc if release else ""


def install(entry: Tool, folder: Path, progress: Progress, stop: threading.Event) -> Download:
    """Download, verify and unpack the release into `folder`.

    Args:
        stop: set by another thread to end the download.

    Raises:
        SourceFailed: no release for this system, not reachable, or not what its checksum says.
    """
    release = entry.release_here()
    if release is None:
        raise SourceFailed(f"no official release for {system()}/{arch()}")
    url = address(release.url, entry)
    wanted = _wanted(entry, release, url, folder, stop)
    download = _fetch(url, folder / ".download", wanted, progress, stop)
    sha256 = wanted.sha256 if wanted else pooch.file_hash(str(download))
    _unpack(entry, release, download, folder)
    return Download(sha256, "" if wanted else UNPUBLISHED)


def pin(entry: Tool, sha256: str) -> None:
    """Note the SHA-256 that the next download of this version must have."""
    cache.note(LOCK_FILE, _lock_key(entry), {"sha256": sha256, "on": time.strftime("%Y-%m-%d")})


def _fetch(url: str, target: Path, wanted: _Sum | None, progress: Progress, stop: threading.Event) -> Path:
    """Download `url` to `target`, which is there only when all of it came and its SHA-256 is the wanted one."""
    pooch.get_logger().setLevel(logging.WARNING)  # it tells of every file and of sums that nobody has published
    downloader = pooch.HTTPDownloader(
        progressbar=_Bar(progress, stop),
        chunk_size=site.CHUNK,
        timeout=site.timeout(),
        headers={"Accept-Encoding": "identity"},  # the sum is that of the file, not of a repacked one
    )
    try:
        pooch.retrieve(url, wanted and wanted.sha256, target.name, target.parent, downloader=downloader)
    except requests.RequestException as error:
        raise site.failure(url, error) from error
    except ValueError as error:  # pooch's word for a wrong sum
        assert wanted is not None
        named = f"{wanted.sha256[:12]}…, which {wanted.origin} names"
        raise SourceFailed(f"{url} has another SHA-256 than {named}") from error
    return target


def _wanted(entry: Tool, release: Release, url: str, folder: Path, stop: threading.Event) -> _Sum | None:
    """The SHA-256 that the download must have; `None` where nobody has published one."""
    if pinned := release.sha256.get(f"{system()}-{arch()}") or release.sha256.get("any"):
        return _Sum(pinned, "the catalogue")
    if locked := cache.notes(LOCK_FILE).get(_lock_key(entry)):
        return _Sum(str(locked["sha256"]), f"{paths.cache_dir() / LOCK_FILE} (an earlier download)")
    if not release.sums:
        return None
    sums = address(release.sums, entry, url)
    text = _fetch(sums, folder / ".sums", None, lambda now, total: None, stop)
    lines = [line.split() for line in text.read_text(errors="replace").splitlines() if line.strip()]
    text.unlink()
    name = url.rsplit("/", 1)[-1]
    for words in lines:
        if len(words) == 1 or words[-1].lstrip("*./") == name:
            return _Sum(words[0].lower(), sums)
    raise SourceFailed(f"{sums} does not name {name}")


def _unpack(entry: Tool, release: Release, download: Path, folder: Path) -> None:
    target = folder / (release.url.rsplit("/", 1)[-1] if entry.data else entry.name)
    if not release.member:
        download.rename(target)
    else:
        member = fill(release.member, entry)
        try:
            if release.url.endswith(".zip"):
                with zipfile.ZipFile(download) as archive:
                    target.write_bytes(archive.read(member))
            else:
                with tarfile.open(download) as archive:
                    file = archive.extractfile(member)
                    if file is None:
                        raise KeyError("it is a folder")
                    target.write_bytes(file.read())
        except (KeyError, EOFError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise SourceFailed(f"{release.url.rsplit('/', 1)[-1]} has no {member}: {error}") from error
        download.unlink()
    if not entry.data:
        target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _lock_key(entry: Tool) -> str:
    return f"{entry.name} {entry.version} {system()}-{arch()}"
