"""Strategy: the official release, or a mirror of it, always with its SHA-256.

The sum comes from the catalogue, else from the lock file that an earlier install wrote, else from the publisher's
checksum file; what was verified is written to the lock file (`tools.lock.json` in the cache folder).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tarfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from iaclab import paths
from iaclab.tools.catalogue import Release, Tool, arch, system

Progress = Callable[[int, int], None]  # (bytes so far, bytes in all or 0)


class ReleaseFailed(Exception):
    """This release cannot be had; the text says why, in one line."""


def address(template: str, entry: Tool, url: str = "") -> str:
    """Fill a URL in; with IACLAB_MIRROR, the same host and path below the mirror."""
    filled = template.format(version=entry.version, os=system(), arch=arch(), url=url)
    mirror = os.environ.get("IACLAB_MIRROR", "").rstrip("/")
    if not mirror or filled.startswith(mirror):
        return filled
    parts = urlsplit(filled)
    return f"{mirror}/{parts.netloc}{parts.path}"


def install(entry: Tool, folder: Path, progress: Progress) -> None:
    """Download, verify and unpack the release into `folder`.

    Raises:
        ReleaseFailed: no release for this system, not reachable, or not what its checksum says.
    """
    release = entry.release_here()
    if release is None:
        raise ReleaseFailed(f"no official release for {system()}/{arch()}")
    url = address(release.url, entry)
    download = folder / ".download"
    with _client() as http:
        wanted = _wanted_sum(http, entry, release, url)
        got = _fetch(http, url, download, progress)
    if wanted and got != wanted:
        download.unlink()
        raise ReleaseFailed(f"{url} has SHA-256 {got[:12]}…, but {wanted[:12]}… was expected")
    _unpack(entry, release, download, folder)
    _remember(entry, got)


def _client() -> httpx.Client:
    limit = float(os.environ.get("IACLAB_TIMEOUT", "15"))
    return httpx.Client(follow_redirects=True, timeout=httpx.Timeout(limit, connect=min(limit, 5)))


def _fetch(http: httpx.Client, url: str, target: Path, progress: Progress) -> str:
    """Stream `url` into `target`; returns its SHA-256."""
    digest, so_far = hashlib.sha256(), 0
    try:
        with http.stream("GET", url) as answer, target.open("wb") as file:
            if answer.status_code != 200:
                raise ReleaseFailed(f"{url} answers {answer.status_code}")
            total = int(answer.headers.get("Content-Length", 0))
            for chunk in answer.iter_bytes(1 << 18):
                file.write(chunk)
                digest.update(chunk)
                so_far += len(chunk)
                progress(so_far, total)
    except httpx.HTTPError as error:
        raise ReleaseFailed(f"{url}: {_reason(error)}") from error
    return digest.hexdigest()


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.RemoteProtocolError):
        return "the connection ended before the file did"
    return str(error) or type(error).__name__


def _wanted_sum(http: httpx.Client, entry: Tool, release: Release, url: str) -> str:
    """The SHA-256 that the download must have; empty where nobody has published one."""
    pinned = release.sha256.get(f"{system()}-{arch()}") or _lock().get(_lock_key(entry), {}).get("sha256", "")
    if pinned or not release.sums:
        return str(pinned)
    sums = address(release.sums, entry, url)
    try:
        answer = http.get(sums)
    except httpx.HTTPError as error:
        raise ReleaseFailed(f"{sums}: {_reason(error)}") from error
    if answer.status_code != 200:
        raise ReleaseFailed(f"{sums} answers {answer.status_code}")
    name = url.rsplit("/", 1)[-1]
    lines = [line.split() for line in answer.text.splitlines() if line.strip()]
    for words in lines:
        if len(words) == 1 or words[-1].lstrip("*./") == name:
            return words[0].lower()
    raise ReleaseFailed(f"{sums} does not name {name}")


def _unpack(entry: Tool, release: Release, download: Path, folder: Path) -> None:
    target = folder / (release.url.rsplit("/", 1)[-1] if entry.data else entry.name)
    if not release.member:
        download.rename(target)
    else:
        member = release.member.format(version=entry.version, os=system(), arch=arch())
        try:
            if release.url.endswith(".zip"):
                with zipfile.ZipFile(download) as archive:
                    target.write_bytes(archive.read(member))
            else:
                with tarfile.open(download) as archive:
                    file = archive.extractfile(member)
                    assert file is not None
                    target.write_bytes(file.read())
        except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
            raise ReleaseFailed(f"{release.url.rsplit('/', 1)[-1]} has no {member}: {error}") from error
        download.unlink()
    if not entry.data:
        target.chmod(target.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)


def _lock_file() -> Path:
    return paths.cache_dir() / "tools.lock.json"


def _lock_key(entry: Tool) -> str:
    return f"{entry.name} {entry.version} {system()}-{arch()}"


def _lock() -> dict[str, dict[str, str]]:
    try:
        return dict(json.loads(_lock_file().read_text()))
    except (OSError, ValueError):
        return {}


def _remember(entry: Tool, sha256: str) -> None:
    lock = {**_lock(), _lock_key(entry): {"sha256": sha256, "on": time.strftime("%Y-%m-%d")}}
    aside = _lock_file().with_name(f".tools.lock.{os.getpid()}")
    aside.write_text(json.dumps(lock, indent=1, sort_keys=True))
    aside.replace(_lock_file())
