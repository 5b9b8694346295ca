"""The loopback web server: artifacts (read only, below a path that cannot be guessed), and the webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import httpx

from iaclab.errors import LabError
from iaclab.platform.flux.artifact import Store
from iaclab.platform.flux.receiver import Receiver

TOKEN, SECRET = "IACLAB_FLUX_PATH", "IACLAB_FLUX_WEBHOOK"  # variables of the process
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Web:
    """The WSGI application.

    Args:
        token: the first part of the path of every artifact.
        ready: whether the controller knows its objects.
    """

    def __init__(self, store: Store, token: str, receiver: Receiver, ready: Callable[[], bool]) -> None:
        self.store, self.token, self.receiver, self.ready = store, token, receiver, ready

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if path == "/healthz":
            status, body = ("200 OK", b"ok") if self.ready() else ("503 Service Unavailable", b"no list of objects yet")
        elif path == "/webhook" and method == "POST":
            status, body = self._webhook(environ)
        elif method in ("GET", "HEAD") and path.startswith(f"/{self.token}/"):
            status, body = self._artifact(path.removeprefix(f"/{self.token}/"))
        else:
            status, body = "404 Not Found", b"404 Not Found"
        kind = "application/gzip" if body[:2] == b"\x1f\x8b" else "text/plain"
        start_response(status, [("Content-Type", kind), ("Content-Length", str(len(body)))])
        return [body] if method != "HEAD" else []

    def _artifact(self, path: str) -> tuple[str, bytes]:
        file = self.store.file(path)
        return ("200 OK", file.read_bytes()) if file else ("404 Not Found", b"404 Not Found")

    def _webhook(self, environ: dict[str, Any]) -> tuple[str, bytes]:
        body = environ["wsgi.input"].read()
        if not self.receiver.is_signed(body, environ.get("HTTP_X_HUB_SIGNATURE_256", "")):
            return "403 Forbidden", b"the signature is not that of this profile's Git server"
        try:
            count = self.receiver.push(body)
        except (ValueError, KeyError):
            return "400 Bad Request", b"not a push"
        except (httpx.HTTPError, LabError) as error:
            return "502 Bad Gateway", f"the API server does not answer: {error}".encode()
        return "200 OK", f"{count} GitRepositories requested".encode()
