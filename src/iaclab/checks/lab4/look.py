"""What the checks of lab 4 look at: the learner's vault with the learner's administrator, service accounts, secrets."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

from iaclab.checks import private
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, new_vault
from iaclab.platform.vault.api import words

Object = dict[str, Any]
_PATIENCE = 10  # seconds that a quota may hold a login back
AUDIENCE = "vault"
STORE = "prod/feature-store"
ES = "/apis/external-secrets.io/v1/namespaces/serving"


def admin() -> str:
    """The administrator's token."""
    return private.word(Path("keys/admin.token"), "token")


def key_share(number: int) -> str:
    """One of the five shares of the vault's key, from 1 on."""
    return private.word(Path(f"keys/share-{number}"), "share")


def answer(profile: Profile, method: str, path: str, body: Object | None = None, token: str | None = None) -> Object:
    """What the vault answers to the administrator, or to who has `token`.

    Raises:
        LabError: it refuses; with its own words.
    """
    said = new_vault.ask(profile, method, path, body, token=admin() if token is None else token)
    if said.status_code >= 300:
        raise LabError(f"the vault refuses {method} {path}: {words(said)[:160]}")
    return dict(said.json()) if said.content else {}


def secret(profile: Profile, path: str) -> Object:
    """The present version of a secret in the engine `ml`.

    Raises:
        LabError: there is none.
    """
    return dict(answer(profile, "GET", f"ml/data/{path}")["data"]["data"])


def account_token(profile: Profile, account: str, audience: str = AUDIENCE, bound_to: Object | None = None) -> str:
    """A token of a service account, NAMESPACE/NAME, good for ten minutes; an empty audience is the API server's own.

    Args:
        bound_to: the object, a pod, without which the token is worth nothing.

    Raises:
        LabError: there is no such account.
    """
    namespace, name = account.split("/")
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}"
    api = cluster.kube(profile)
    if not api.get(path):
        raise LabError(f"there is no service account {name} in {namespace}")
    spec: Object = {"expirationSeconds": 600}
    if audience:
        spec["audiences"] = [audience]
    if bound_to:
        spec["boundObjectRef"] = bound_to
    wanted = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    return str(api.create(f"{path}/token", wanted)["status"]["token"])


def log_in(profile: Profile, role: str, jwt: str) -> Object | None:
    """What a login gives; `None` where it is refused. A quota is waited for.

    Raises:
        LabError: there is no Kubernetes method.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        said = new_vault.ask(profile, "POST", "auth/kubernetes/login", {"role": role, "jwt": jwt})
        if said.status_code != 429:
            break
        if time.monotonic() > deadline:
            raise LabError("a quota lets nobody log in")
        time.sleep(0.2)
    if said.status_code == 404:
        raise LabError("the method kubernetes is not enabled")
    return dict(said.json()["auth"]) if said.status_code == 200 else None


def kube_secret(profile: Profile, name: str) -> dict[str, str]:
    """The values of a Secret in `serving`.

    Raises:
        LabError: there is none.
    """
    found = cluster.kube(profile).get(f"/api/v1/namespaces/serving/secrets/{name}")
    if not found:
        raise LabError(f"there is no Secret {name} in serving")
    return {key: base64.b64decode(value).decode(errors="replace") for key, value in (found.get("data") or {}).items()}


def is_ready(found: Object) -> bool:
    """Whether an object of External Secrets says that it is ready."""
    conditions = found.get("status", {}).get("conditions") or []
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
