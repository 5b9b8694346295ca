"""A repository of container images, by the OCI distribution API: what is asked for by digest is what comes, or nothing.

oras (https://oras.land) logs in: it answers the registry's challenge with the anonymous token that public registries
hand out. Its own requests wait for ever and are tried again for two minutes, and its manifests come without their
bytes, so that they cannot be verified: the requests are made here.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import oras.defaults
import oras.provider
import requests
from requests.adapters import HTTPAdapter

from iaclab.tools import site
from iaclab.tools.source import Progress, SourceFailed

_MANIFEST = 4 << 20  # bytes, at most: what the specification asks registries to take
_BLOB = 1 << 30
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ACCEPT = ", ".join(oras.defaults.default_manifest_accepted_media_types)


@dataclass(frozen=True)
class Blob:
    """What a manifest says of something that it refers to."""

    digest: str
    size: int

    @classmethod
    def of(cls, descriptor: Any) -> Blob:
        """Read a descriptor.

        Raises:
            SourceFailed: it is none, not of SHA-256, or larger than anything that is taken from an image here.
        """
        try:
            digest, size = str(descriptor["digest"]), int(descriptor["size"])
        except (KeyError, TypeError, ValueError) as error:
            raise SourceFailed("its manifest is damaged") from error
        if not _DIGEST.fullmatch(digest):
            raise SourceFailed(f"its manifest names {digest[:80]!r}, which is no SHA-256")
        if not 0 <= size <= _BLOB:
            raise SourceFailed(f"a part of it has {size} bytes: more than is taken from an image here")
        return cls(digest, size)


class Repository:
    """A repository that anybody may read.

    Args:
        base: its registry's address with scheme, `https://registry.example`.
        name: as in an image's reference, without the registry.
        stop: set by another thread to end every download.
    """

    def __init__(self, base: str, name: str, stop: threading.Event) -> None:
        self.site = base.partition("://")[2]
        self.name, self._stop = f"{self.site}/{name}", stop
        self._url = f"{base}/v2/{name}"
        self._client = oras.provider.Registry(insecure=base.startswith("http://"), auth_backend="token")
        self._client.session.auth = lambda request: request  # none of the user's own, from a .netrc
        for scheme in ("http://", "https://"):
            self._client.session.mount(scheme, _Patient())
        logging.getLogger("oras.logger").setLevel(logging.CRITICAL)  # what it says is said here, in one line

    def manifest(self, reference: str, origin: str) -> tuple[str, dict[str, Any]]:
        """The manifest or index of a tag or digest, and its digest, which is that of the bytes that came.

        Args:
            origin: who names the digest, for the user.

        Raises:
            SourceFailed: it cannot be had, or is not what the digest says.
        """
        raw = b"".join(self._pieces(f"manifests/{reference}", _MANIFEST))
        digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        if ":" in reference and digest != reference:
            raise self._other(reference, origin)
        return digest, _object(raw)

    def tags(self) -> list[str]:
        """Every tag, of at most the thousand that a registry names at once.

        Raises:
            SourceFailed: they cannot be had.
        """
        found = _object(b"".join(self._pieces("tags/list?n=1000", _MANIFEST))).get("tags") or []
        return [str(tag) for tag in found]

    def document(self, blob: Blob) -> dict[str, Any]:
        """A blob that is a JSON object, as an image's configuration is."""
        digest = hashlib.sha256()
        raw = b"".join(_through(digest.update, self._pieces(f"blobs/{blob.digest}", min(blob.size, _MANIFEST))))
        self._verify(blob, digest.hexdigest())
        return _object(raw)

    def download(self, blob: Blob, target: Path, progress: Progress) -> None:
        """Write a blob to `target`.

        Raises:
            SourceFailed: it cannot be had, or is not what its digest says.
        """
        digest, now = hashlib.sha256(), 0
        with target.open("wb") as file:
            for piece in _through(digest.update, self._pieces(f"blobs/{blob.digest}", blob.size)):
                file.write(piece)
                now += len(piece)
                progress(now, blob.size)
        self._verify(blob, digest.hexdigest())

    def _verify(self, blob: Blob, sha256: str) -> None:
        if f"sha256:{sha256}" != blob.digest:
            raise self._other(blob.digest, "its manifest")

    def _other(self, digest: str, origin: str) -> SourceFailed:
        return SourceFailed(f"{self.name} has another content than {digest[:19]}…, which {origin} names")

    def _pieces(self, path: str, largest: int) -> Iterator[bytes]:
        """The content at a path of the repository, as it comes."""
        url, size = f"{self._url}/{path}", 0
        try:
            with self._ask(url) as answer:
                if answer.status_code != 200:
                    raise SourceFailed(f"{url} answers {answer.status_code}")
                for piece in answer.iter_content(site.CHUNK):
                    size += len(piece)
                    if self._stop.is_set():
                        raise SourceFailed("stopped")
                    if size > largest:
                        raise SourceFailed(f"{url} has more than the {largest} bytes that it may have")
                    yield piece
        except requests.RequestException as error:
            raise site.failure(url, error) from error

    def _ask(self, url: str) -> requests.Response:
        """One request, with a token where the registry wants one, a new one where it has expired."""
        headers = {"Accept": _ACCEPT, "Accept-Encoding": "identity"}
        ask: Callable[..., requests.Response] = oras.provider.Registry.do_request.__wrapped__  # without its tries
        try:
            answer = ask(self._client, url, headers=dict(headers), stream=True)
            if answer.status_code == 401 and self._client.auth.token:
                answer.close()
                self._client.auth.token = None
                answer = ask(self._client, url, headers=dict(headers), stream=True)
        except (ValueError, AttributeError) as error:  # oras': a challenge that no anonymous token answers
            raise SourceFailed(f"{self.name} is not public: {self.site} wants a login") from error
        return answer


class _Patient(HTTPAdapter):
    """Waits for an answer as long as IACLAB_TIMEOUT says, also for a token."""

    def send(self, *args: Any, **options: Any) -> requests.Response:
        return super().send(*args, **{**options, "timeout": site.timeout()})


def _through(see: Callable[[bytes], None], pieces: Iterator[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        see(piece)
        yield piece


def _object(raw: bytes) -> dict[str, Any]:
    try:
        found = json.loads(raw)
    except ValueError as error:
        raise SourceFailed("its manifest is damaged") from error
    if not isinstance(found, dict):
        raise SourceFailed("its manifest is damaged")
    return found
