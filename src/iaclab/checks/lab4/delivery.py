"""What is wrong on the way from the vault into a pod."""

from __future__ import annotations

from collections.abc import Iterator

from iaclab.checks.lab4 import look
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

_KINDS = {"provider": ("key",), look.STORE.split("/")[1]: ("user", "password")}
_UNITS = {"s": 1, "m": 60, "h": 3600}


def store(profile: Profile) -> Iterator[str]:
    """A SecretStore of the namespace that logs in as its account and holds no secret."""
    found = cluster.kube(profile).get(f"{look.ES}/secretstores/vault")
    if not found:
        yield "there is no SecretStore vault in serving"
        return
    vault = found["spec"]["provider"].get("vault") or {}
    login = (vault.get("auth") or {}).get("kubernetes") or {}
    account = login.get("serviceAccountRef") or {}
    if "tokenSecretRef" in (vault.get("auth") or {}) or not login:
        yield "it does not log in by the Kubernetes method"
    elif account.get("name") != "secrets-reader" or look.AUDIENCE not in account.get("audiences", []):
        yield "it does not log in as secrets-reader with the audience vault"
    if not look.is_ready(found):
        yield "the SecretStore is not ready: " + _message(found)


def _message(found: look.Object) -> str:
    conditions = found.get("status", {}).get("conditions") or [{}]
    return str(conditions[0].get("message", "it says nothing yet"))


def synced(profile: Profile) -> Iterator[str]:
    """Both ExternalSecrets are ready, and their Secrets hold what the vault has and no more."""
    for name, keys in _KINDS.items():
        found = cluster.kube(profile).get(f"{look.ES}/externalsecrets/{name}")
        if not found:
            yield f"there is no ExternalSecret {name} in serving"
            continue
        if not look.is_ready(found):
            yield f"the ExternalSecret {name} is not ready: {_message(found)}"
            continue
        if not 0 < _seconds(found["spec"].get("refreshInterval", "1h")) <= 60:
            yield f"the ExternalSecret {name} is not fetched anew every minute"
        values = look.kube_secret(profile, name)
        if extra := sorted(values.keys() - set(keys)):
            yield f"the Secret {name} holds {extra[0]} as well"
        wanted = look.secret(profile, f"prod/{name}")
        if wrong := [key for key in keys if values.get(key) != wanted.get(key)]:
            yield f"{wrong[0]} in the Secret {name} is not what the vault has"


def _seconds(text: str) -> int:
    """A Go duration of whole numbers, such as 1m30s; 0 where it is none."""
    total, number = 0, ""
    for sign in text:
        if sign.isdigit():
            number += sign
        elif number and sign in _UNITS:
            total, number = total + int(number) * _UNITS[sign], ""
    return total


def pod(profile: Profile) -> Iterator[str]:
    """The Deployment mounts the Secret whole and read-only, and has nothing that it does not need."""
    found = cluster.kube(profile).get("/apis/apps/v1/namespaces/serving/deployments/ranker")
    if not found:
        yield "there is no Deployment ranker in serving"
        return
    spec = found["spec"]["template"]["spec"]
    if not found.get("status", {}).get("readyReplicas"):
        yield "no pod of ranker is ready"
    volumes = {
        v["name"]
        for v in spec.get("volumes") or []
        if (v.get("secret") or {}).get("secretName") == "feature-store"
        or any(
            (s.get("secret") or {}).get("name") == "feature-store"
            for s in (v.get("projected") or {}).get("sources", [])
        )
    }
    containers = [*spec["containers"], *(spec.get("initContainers") or [])]
    mounts = [m for c in spec["containers"] for m in c.get("volumeMounts") or [] if m["name"] in volumes]
    if not mounts:
        yield "no container mounts the Secret feature-store"
    elif any(m.get("subPath") or m.get("subPathExpr") for m in mounts):
        yield "a mount by subPath does not follow a rotation"
    elif not all(m.get("readOnly") for m in mounts):
        yield "the mount is not read-only"
    for container in containers:
        refs = [(e.get("valueFrom") or {}).get("secretKeyRef", {}).get("name") for e in container.get("env") or []]
        refs += [(e.get("secretRef") or {}).get("name") for e in container.get("envFrom") or []]
        if "feature-store" in refs:
            yield "an environment variable holds the password as it was at the start"
    if spec.get("automountServiceAccountToken") is not False:
        yield "the pods get a token for the API server"
