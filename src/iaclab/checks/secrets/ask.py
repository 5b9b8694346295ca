"""Questions to the vault, with the profile's administrator token or with one that has a single policy."""

from __future__ import annotations

import subprocess
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services.vault import client_token
from iaclab.platform.vault import api, policies


def read(profile: Profile, path: str, token: str = "") -> dict[str, Any]:
    """The data at a path.

    Raises:
        LabError: the vault refuses it, or there is nothing; with its own words.
    """
    answer = api.ask(profile, "GET", path, token=token or client_token(profile))
    if answer.status_code >= 300:
        what = f"there is nothing at {path}" if answer.status_code == 404 else f"{path}: {api.words(answer)}"
        raise LabError(what)
    body = answer.json()
    return dict(body.get("data") or body)


def write(profile: Profile, path: str, body: dict[str, Any], token: str = "") -> dict[str, Any]:
    """POST, as the administrator unless `token` says otherwise.

    Raises:
        LabError: the vault refuses it.
    """
    return api.write(profile, path, body, token=token or client_token(profile))


def allowed(profile: Profile, policy: str, paths: list[str]) -> dict[str, set[str]]:
    """What a policy alone allows at each path."""
    return policies.allowed(profile, policy, paths, token=client_token(profile))


def capabilities(profile: Profile, of: str, paths: list[str]) -> dict[str, set[str]]:
    """What the token `of` may do at each path."""
    return policies.capabilities(profile, of, paths, token=client_token(profile))


def service_account_token(profile: Profile, namespace: str, name: str, audience: str) -> str:
    """A token of a service account of the profile's cluster, good for ten minutes.

    Raises:
        LabError: the cluster gives none.
    """
    command = ["kubectl", "-n", namespace, "create", "token", name, f"--audience={audience}", "--duration=10m"]
    done = subprocess.run(command, env=profile.env(), capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise LabError(" ".join(done.stderr.split())[:200])
    return done.stdout.strip()
