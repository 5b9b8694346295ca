"""Snapshots of a running cluster, taken and restored through etcd's JSON gateway.

A snapshot is one read at one revision; a restore is one transaction that writes only what differs. The API server
sees ordinary watch events, so it does not have to be restarted: that is what makes `iaclab reset` fast. Whoever
writes into the cluster meanwhile (controllers) must be stopped first: `Program.acts`.
"""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import httpx

from iaclab.errors import LabError

KeyValues = dict[str, str]  # base64 key -> base64 value
_START, _END = b"/registry/", b"/registry0"
_EVENTS = b"/registry/events/"
_RENEWED = (b"/registry/leases/kube-system/", _EVENTS)  # the API server's own lease, and what nobody keeps


class Etcd:
    """One etcd, by its client URL; `ca`, `cert` and `key` are PEM files. Use it as a context."""

    def __init__(self, url: str, ca: Path, cert: Path, key: Path) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        context.load_cert_chain(cert, key)
        self._http = httpx.Client(base_url=url, verify=context, timeout=30, trust_env=False)

    def __enter__(self) -> Etcd:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def dump(self) -> KeyValues:
        """Every key of the cluster, but events and the leases that renew themselves.

        Raises:
            LabError: etcd does not answer.
        """
        answer = self._post("/v3/kv/range", {"key": _b64(_START), "range_end": _b64(_END)})
        pairs = {pair["key"]: pair.get("value", "") for pair in answer.get("kvs", [])}
        return {key: value for key, value in pairs.items() if not base64.b64decode(key).startswith(_RENEWED)}

    def restore(self, wanted: KeyValues) -> int:
        """Make the keys what `wanted` says, and forget all events; returns how many keys were written or deleted.

        Raises:
            LabError: etcd does not answer, or refuses the transaction; then nothing has changed.
        """
        now = self.dump()
        operations = [{"request_delete_range": {"key": key}} for key in now if key not in wanted]
        operations += [
            {"request_put": {"key": key, "value": value}} for key, value in wanted.items() if now.get(key) != value
        ]
        events = {"request_delete_range": {"key": _b64(_EVENTS), "range_end": _b64(_EVENTS[:-1] + b"0")}}
        self._post("/v3/kv/txn", {"success": [*operations, events]})
        return len(operations)

    def _post(self, path: str, body: dict[str, object]) -> Any:
        try:
            answer = self._http.post(path, json=body)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise LabError(
                "The cluster's etcd does not do what a snapshot needs.",
                why=f"{type(error).__name__}: {error}",
                mend="iaclab up   # then run the command again",
            ) from error
        return answer.json()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
