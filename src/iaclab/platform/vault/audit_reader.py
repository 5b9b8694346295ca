"""Serves an audit log to who has the token: `python -m iaclab.platform.vault.audit_reader LOG PORT TOKEN-FILE`.

At work the log is shipped to another place, and read there.
"""

from __future__ import annotations

import hmac
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from iaclab.platform.profile import HOST


def handler(log: Path, token: str) -> type[BaseHTTPRequestHandler]:
    """What answers requests for this log."""

    class Reader(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "").removeprefix("Bearer ")
            if not hmac.compare_digest(given.encode(), token.encode()):
                self._answer(401, b"")
            elif self.path != "/audit.log" or not log.exists():
                self._answer(404, b"")
            else:
                self._answer(200, log.read_bytes())

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/x-ndjson")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: who reads the log is no news."""

    return Reader


if __name__ == "__main__":
    place, port, secret = sys.argv[1:]
    ThreadingHTTPServer((HOST, int(port)), handler(Path(place), Path(secret).read_text().strip())).serve_forever()
