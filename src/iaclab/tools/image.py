"""Strategy: a program out of an official container image, without a container engine.

An image is a manifest that names its layers by SHA-256; an index names a manifest for each platform. So one digest
vouches for everything: it comes from the catalogue, else from the lock file that an earlier install wrote
(`tools.lock.json` in the cache folder), else from the first download, which pins it.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from iaclab import paths
from iaclab.tools import cache
from iaclab.tools.catalogue import Image, Tool, arch, fill, system
from iaclab.tools.layer import Found, take
from iaclab.tools.release import LOCK_FILE
from iaclab.tools.repository import Blob, Repository
from iaclab.tools.source import UNPINNED, Download, Progress, SourceFailed

_OS = "linux"


def host(entry: Tool) -> str:
    """The registry that is asked for the image: its own, or the mirror."""
    return urlsplit(place(_image(entry).ref)[0]).netloc


def install(entry: Tool, folder: Path, progress: Progress, stop: threading.Event) -> Download:
    """Download the layers of the image, the last one first, until one holds the program; put that into `folder`.

    Args:
        stop: set by another thread to end the work.

    Raises:
        SourceFailed: not for this system, the registry cannot be reached, or the image is not what its digest says.
    """
    image = _image(entry)
    if system() != _OS:
        raise SourceFailed("the programs in container images are for Linux")
    repository = Repository(*place(image.ref), stop)
    wanted, origin = _wanted(entry, image)
    digest, manifest = repository.manifest(wanted or fill(image.tag, entry), origin)
    layers = _layers(repository, manifest)
    packed = folder / ".layer"
    for layer in reversed(layers):
        repository.download(layer, packed, progress)
        found = take(packed, image.member, folder / entry.name, stop)
        packed.unlink()
        if found is Found.TAKEN:
            (folder / entry.name).chmod(0o755)
            return Download(digest.partition(":")[2], "" if wanted else UNPINNED)
        if found is Found.DELETED:
            raise SourceFailed(f"{repository.name} has no {image.member}: a layer deletes it")
    raise SourceFailed(f"{repository.name} has no {image.member}")


def pin(entry: Tool, sha256: str) -> None:
    """Note the digest that the next download of this version must have."""
    note = {"digest": f"sha256:{sha256}", "image": _image(entry).ref, "on": time.strftime("%Y-%m-%d")}
    cache.note(LOCK_FILE, _lock_key(entry), note)


def _image(entry: Tool) -> Image:
    assert entry.image is not None
    return entry.image


def place(ref: str) -> tuple[str, str]:
    """The address of the registry, and the repository's name there: below a mirror, the reference with its registry."""
    registry, _, name = ref.partition("/")
    mirror = urlsplit(os.environ.get("IACLAB_MIRROR", "").rstrip("/"))
    if not mirror.netloc:
        return f"https://{registry}", name
    return f"{mirror.scheme}://{mirror.netloc}", f"{mirror.path}/{ref}".lstrip("/")


def _wanted(entry: Tool, image: Image) -> tuple[str, str]:
    """The digest that the image must have, and who says so; empty where nobody does yet."""
    if image.pinned:
        return image.pinned, "the catalogue"
    if locked := cache.notes(LOCK_FILE).get(_lock_key(entry)):
        return str(locked["digest"]), f"{paths.cache_dir() / LOCK_FILE} (an earlier download)"
    return "", ""


def _layers(repository: Repository, manifest: dict[str, Any]) -> list[Blob]:
    """The layers of the image for this machine, the lowest first."""
    try:
        return [Blob.of(layer) for layer in _for_this_machine(repository, manifest)["layers"]]
    except (AttributeError, KeyError, TypeError) as error:  # no JSON of the right form
        raise SourceFailed(f"{repository.name}: its manifest is damaged") from error


def _for_this_machine(repository: Repository, manifest: dict[str, Any]) -> dict[str, Any]:
    """The manifest of the image for this machine, out of an index of several where it is one."""
    if "manifests" in manifest:
        platforms = {_platform(entry.get("platform") or {}): entry for entry in reversed(manifest["manifests"])}
        if _here() not in platforms:
            raise _not_for_here(repository, sorted(platforms))
        _, manifest = repository.manifest(Blob.of(platforms[_here()]).digest, "its index")
        return manifest
    if "config" not in manifest:
        raise SourceFailed(f"{repository.name} is of a form that is not known here ({manifest.get('mediaType')})")
    only = _platform(repository.document(Blob.of(manifest["config"])))
    if only != _here():
        raise _not_for_here(repository, [only])
    return manifest


def _platform(about: dict[str, Any]) -> str:
    return f"{about.get('os')}/{about.get('architecture')}"


def _here() -> str:
    return f"{_OS}/{arch()}"


def _not_for_here(repository: Repository, platforms: list[str]) -> SourceFailed:
    return SourceFailed(f"{repository.name} has no image for {_here()}, only for {', '.join(platforms)}")


def _lock_key(entry: Tool) -> str:
    return f"{entry.name} {entry.version} image"  # one digest for every platform
