"""Sealed Secrets as a plain process: opens SealedSecrets of the cluster with a key that only the cluster has."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from iaclab import tools
from iaclab.platform import manifests
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.service import Service
from iaclab.platform.services import cluster
from iaclab.platform.supervise import Program

NAMESPACE = "sealed-secrets"
_TOOLS = ("kubeseal", "sealed-secrets-controller", "sealed-secrets-crds")
_KEYS = f"/api/v1/namespaces/{NAMESPACE}/secrets?labelSelector=sealedsecrets.bitnami.com%2Fsealed-secrets-key"


def certificate_url(profile: Profile) -> str:
    """Where the controller serves the certificate that everybody seals with."""
    return f"http://{HOST}:{profile.port('sealed-secrets')}/v1/cert.pem"


def _objects(folder: Path) -> Iterator[dict[str, Any]]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    for path in sorted(folder.rglob("*.yaml")):
        yield from manifests.documents(path.read_text())


def _prepare(profile: Profile) -> None:
    cluster.kube(profile).apply(_objects(tools.ensure("sealed-secrets-crds")["sealed-secrets-crds"]))


def _programs(profile: Profile) -> list[Program]:
    binary = tools.ensure("sealed-secrets-controller")["sealed-secrets-controller"]
    command = [str(binary), f"--listen-addr={HOST}:{profile.port('sealed-secrets')}"]
    command += [f"--listen-metrics-addr={HOST}:{profile.port('sealed-secrets.metrics')}", "--log-level=ERROR"]
    env = {"KUBECONFIG": str(cluster.kubeconfig(profile)), "POD_NAMESPACE": NAMESPACE, "GOGC": "75"}
    ports = ("sealed-secrets", "sealed-secrets.metrics")
    return [Program("controller", command, env=env, ports=ports, acts=True)]


def _ready(profile: Profile) -> str | None:
    try:
        answer = httpx.get(certificate_url(profile), timeout=2, trust_env=False)
    except httpx.HTTPError:
        return "its controller does not answer"
    if answer.status_code != 200:
        return "its controller has no key yet"
    return None if (cluster.kube(profile).get(_KEYS) or {}).get("items") else "its key is not in the cluster"


def _env(profile: Profile) -> dict[str, str]:
    return {
        "SEALED_SECRETS_CERT": certificate_url(profile),  # kubeseal asks it, as it would ask the Service in a cluster
        "SEALED_SECRETS_CONTROLLER_NAMESPACE": NAMESPACE,
    }


SERVICES = [
    Service(
        name="sealed-secrets",
        title="Sealed Secrets: the controller that opens them",
        needs=("cluster",),
        tools=_TOOLS,
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
        env=_env,
    )
]
