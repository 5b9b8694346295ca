"""A release mirror on loopback: files by path, each of which can be told to misbehave."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Behaviour = Callable[["_Handler", bytes], None]


class Mirror:
    """Serves `files` (path → content) and notes every path that was asked for in `asked`.

    `behaves` maps a path to one of the functions below, which answers in place of the usual.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.behaves: dict[str, Behaviour] = {}
        self.asked: list[str] = []
        self.let_go = threading.Event()  # goes on with, or ends, every answer that waits
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.mirror = self  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Mirror:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.let_go.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        mirror: Mirror = self.server.mirror  # type: ignore[attr-defined]
        mirror.asked.append(self.path)
        body = mirror.files.get(self.path)
        behave = mirror.behaves.get(self.path)
        if behave:
            behave(self, body or b"")
        elif body is None:
            self.send_error(404)
        else:
            self.start(len(body))
            self.wfile.write(body)

    def start(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def stall(self) -> None:
        """Say nothing more until the test ends."""
        self.wfile.flush()
        self.server.mirror.let_go.wait(600)  # type: ignore[attr-defined]

    def log_message(self, *_: Any) -> None:
        """Nothing: the test reads `asked`."""


def truncated(handler: _Handler, body: bytes) -> None:
    """Promise all of it, send half, hang up."""
    handler.start(len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.close_connection = True


def silent(handler: _Handler, body: bytes) -> None:
    """Take the request and never answer."""
    handler.stall()


def stalled(handler: _Handler, body: bytes) -> None:
    """Promise all of it, send half, then nothing."""
    handler.start(len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.stall()


def paused(handler: _Handler, body: bytes) -> None:
    """Send half, and the rest when the test says `let_go`."""
    handler.start(len(body))
    handler.wfile.write(body[: len(body) // 2])
    handler.stall()
    handler.wfile.write(body[len(body) // 2 :])


def missing(handler: _Handler, body: bytes) -> None:
    """404, although the file is listed."""
    handler.send_error(404)


def no_page(handler: _Handler, body: bytes) -> None:
    """404 without a word for people, as a mirror of packages says where the site has a page."""
    handler.send_response(404)
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def broken(handler: _Handler, body: bytes) -> None:
    """500."""
    handler.send_error(500)


def moved_to(path: str) -> Behaviour:
    """A redirect to another path of this mirror."""

    def behave(handler: _Handler, body: bytes) -> None:
        handler.send_response(302)
        handler.send_header("Location", path)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave
