"""Snapshots of a running cluster, taken and restored key by key through etcd's JSON gateway.

A restore writes only what differs. The API server and every controller see ordinary watch events, so nothing has
to be restarted: that is what makes `iaclab reset` fast.
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import httpx

KeyValues = dict[str, str]  # base64 key -> base64 value
_BATCH = 100  # etcd takes 128 operations in a transaction
_VOLATILE = ("/registry/events/", "/registry/leases/", "/registry/masterleases/", "/registry/apiserverlease")


class Etcd:
    """One etcd, by its client URL; `ca`, `cert` and `key` are PEM files."""

    def __init__(self, url: str, ca: Path, cert: Path, key: Path) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(cert, key)
        self._http = httpx.Client(base_url=url, verify=context, timeout=30, trust_env=False)

    def dump(self) -> KeyValues:
        """Every key under /registry except events and leases, which renew themselves."""
        found: KeyValues = {}
        start = b"/registry/"
        while True:
            page = self._post("/v3/kv/range", {"key": _b64(start), "range_end": _b64(b"/registry0"), "limit": "500"})
            for pair in page.get("kvs", []):
                if not base64.b64decode(pair["key"]).decode().startswith(_VOLATILE):
                    found[pair["key"]] = pair.get("value", "")
            if not page.get("more"):
                return found
            start = base64.b64decode(page["kvs"][-1]["key"]) + b"\0"

    def restore(self, wanted: KeyValues) -> int:
        """Make the keys what `wanted` says; returns how many were written or deleted."""
        now = self.dump()
        operations = [{"request_delete_range": {"key": key}} for key in now if key not in wanted]
        operations += [
            {"request_put": {"key": key, "value": value}} for key, value in wanted.items() if now.get(key) != value
        ]
        for at in range(0, len(operations), _BATCH):
            self._post("/v3/kv/txn", {"success": operations[at : at + _BATCH]})
        return len(operations)

    def _post(self, path: str, body: dict[str, object]) -> Any:
        answer = self._http.post(path, json=body)
        answer.raise_for_status()
        return answer.json()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
