"""The few calls the platform itself makes to the vault; lessons use the command line and hvac."""

from __future__ import annotations

import ssl
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.vault.nodes import address

Answer = dict[str, Any]
_UPGRADING = "Upgrading from non-versioned to versioned data"  # what a KV engine says while it is a moment old
_PATIENCE = 15  # seconds for that moment


@lru_cache(maxsize=8)
def _client(ca: Path, changed: int) -> httpx.Client:
    return httpx.Client(verify=ssl.create_default_context(cafile=str(ca)), timeout=15, trust_env=False)


def ask(
    profile: Profile,
    method: str,
    path: str,
    body: Answer | None = None,
    *,
    token: str = "",
    node: str | None = None,
    timeout: float = 15,
) -> httpx.Response:
    """One request; `path` is below /v1/. Without `node` the balancer passes it on to the active one."""
    return _client(profile.ca, profile.ca.stat().st_mtime_ns).request(
        method,
        f"{address(profile, node)}/v1/{path}",
        json=body,
        headers={"X-Vault-Token": token} if token else {},
        timeout=timeout,
    )


def write(
    profile: Profile, path: str, body: Answer | None = None, *, token: str = "", node: str | None = None
) -> Answer:
    """POST, and the answer's JSON (empty for 204).

    Raises:
        LabError: the vault refuses it; with its own words.
    """
    began = time.monotonic()
    while _UPGRADING in words(answer := ask(profile, "POST", path, body, token=token, node=node)):
        if time.monotonic() - began > _PATIENCE:
            break
        time.sleep(0.1)
    if answer.status_code >= 300:
        raise LabError(f"The vault refuses {path}.", why=words(answer), mend="iaclab logs vault")
    return dict(answer.json()) if answer.content else {}


def words(answer: httpx.Response) -> str:
    """The vault's own error messages in one line."""
    try:
        return "; ".join(" ".join(str(error).split()) for error in answer.json()["errors"])[:300] or "no reason given"
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def seal_status(profile: Profile, node: str) -> Answer | None:
    """A node's own account of its seal (`initialized`, `sealed`, `t`, `n`, `progress`); `None`: it does not answer."""
    try:
        answer = ask(profile, "GET", "sys/seal-status", node=node, timeout=2)
        return dict(answer.json()) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def leader(profile: Profile, node: str) -> str:
    """The address of the active node as `node` knows it, empty where there is none."""
    try:
        return str(ask(profile, "GET", "sys/leader", node=node, timeout=2).json().get("leader_address", ""))
    except (httpx.HTTPError, ValueError):
        return ""
