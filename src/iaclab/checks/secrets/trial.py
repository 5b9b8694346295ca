"""Runs a learner's `careful`: `python -m iaclab.checks.secrets.trial FILE`; what to use comes as JSON on stdin.

Prints what came of each case: a digest of what was read or the error's name, how many logins, how many requests.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import hvac
import requests
from requests.adapters import HTTPAdapter

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: a close that cuts the connection


class Line:
    """A line to the vault that is cut so many times, then passes everything on."""

    def __init__(self, address: str, cut: int) -> None:
        parts = urlsplit(address)
        self._target, self._cut = (str(parts.hostname), int(parts.port or 443)), cut
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._cut > 0:
                    self._cut -= 1
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    client.close()
                    continue
                server = socket.create_connection(self._target)
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=_copy, args=ends, daemon=True).start()

    def close(self) -> None:
        self._listener.close()


class Counted(HTTPAdapter):
    """Counts the requests that are sent."""

    sent = 0

    def send(self, *args: Any, **options: Any) -> requests.Response:
        self.sent += 1
        return super().send(*args, **options)


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


def _load(file: str) -> Callable[..., Any]:
    spec = importlib.util.spec_from_file_location("careful", file)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.careful  # type: ignore[no-any-return]


def _cases(task: dict[str, Any]) -> Iterator[tuple[str, list[str], int, str]]:
    """Name, the tokens of one login after the other (the last one stays), how often the line is cut, and the path."""
    good, over, other = (task["tokens"][name] for name in ("good", "over", "other"))
    yield "first token over", [over, good], 0, task["path"]
    yield "never allowed", [other], 0, task["path"]
    yield "cut twice", [good], 2, task["path"]
    yield "always cut", [good], 1000, task["path"]
    yield "nothing there", [good], 0, task["path"] + "-of-nobody"


def main() -> None:
    """Run every case."""
    task = json.load(sys.stdin)
    careful = _load(sys.argv[1])
    found = {}
    for name, tokens, cut, path in _cases(task):
        line, counted, logins = Line(task["address"], cut), Counted(), 0

        def login(line: Line = line, counted: Counted = counted, tokens: list[str] = tokens) -> hvac.Client:
            nonlocal logins
            token = tokens[min(logins, len(tokens) - 1)]
            logins += 1
            session = requests.Session()
            session.mount("https://", counted)
            session.verify = task["ca"]
            return hvac.Client(line.address, token=token, timeout=10, session=session)

        digest, error = "", ""
        try:
            read = careful(login, path)
            digest = hashlib.sha256(json.dumps(read, sort_keys=True).encode()).hexdigest()
        except requests.ConnectionError:
            error = "ConnectionError"
        except Exception as failed:
            error = type(failed).__name__
        line.close()
        found[name] = {"read": digest, "error": error, "logins": logins, "tries": counted.sent}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
