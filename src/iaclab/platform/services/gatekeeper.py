"""Gatekeeper as a plain process: webhook, audit and mutation in one, beside a local cluster.

Its Deployments are not installed: one process does the work of both, and the API server calls it by URL. Two settings
differ from its own manifest. A namespace may be made while it is down (`check-ignore-label` does not fail closed), so
that a stopped Gatekeeper stops no other service; and the API server waits 10 s for it, not 1 or 3.
"""

from __future__ import annotations

import base64
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform import manifests
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.services import cluster
from iaclab.platform.supervise import Program

NAMESPACE = "gatekeeper-system"
POD = "gatekeeper"  # a Pod object that owns Gatekeeper's statuses; no kubelet runs it
AUDIT_SECONDS = 5
_TIMEOUT = 10  # seconds that the API server waits for an answer
_TOOLS = ("gatekeeper", "gatekeeper-manifests")
_APPLIED = {"Namespace", "CustomResourceDefinition"}
_WEBHOOKS = {"ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"}
_PORTS = ("gatekeeper.webhook", "gatekeeper.health", "gatekeeper.metrics")


def webhooks(profile: Profile) -> list[dict[str, Any]]:
    """Gatekeeper's webhook configurations, with this profile's address and authority."""
    bundle = base64.b64encode(profile.ca.read_bytes()).decode()
    address = f"https://{HOST}:{profile.port('gatekeeper.webhook')}"
    found = [item for item in _manifests() if item["kind"] in _WEBHOOKS]
    for hook in (hook for item in found for hook in item["webhooks"]):
        path = hook["clientConfig"]["service"]["path"]
        hook |= {"clientConfig": {"url": address + path, "caBundle": bundle}, "timeoutSeconds": _TIMEOUT}
        hook["failurePolicy"] = "Ignore"
    return found


def _manifests() -> list[dict[str, Any]]:
    folder = tools.ensure("gatekeeper-manifests")["gatekeeper-manifests"]
    return list(json.loads(_parsed(folder / "gatekeeper.yaml")))  # a copy for each caller: webhooks are changed


@lru_cache(maxsize=1)
def _parsed(file: Path) -> str:
    return json.dumps(manifests.documents(file.read_text()))


def _pod() -> dict[str, Any]:
    """What Gatekeeper's status objects name as their owner; without it the garbage collector would delete them.

    Its scheduling gate is never lifted: the process is not in it.
    """
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}  # what the namespace asks for
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": POD, "namespace": NAMESPACE, "labels": {"gatekeeper.sh/system": "yes"}},
        "spec": {
            "serviceAccountName": POD,
            "schedulingGates": [{"name": "course.local/runs-as-a-process"}],
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "manager", "image": "openpolicyagent/gatekeeper", "securityContext": closed}],
        },
    }


def _prepare(profile: Profile) -> None:
    if cluster.is_external("cluster"):
        raise LabError(
            "Gatekeeper needs the local cluster.",
            why="Its webhook listens on loopback, where the API server of an existing cluster (IACLAB_KUBECONFIG) "
            "cannot call it.",
            mend="unset IACLAB_KUBECONFIG",
        )
    api = cluster.kube(profile)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": POD, "namespace": NAMESPACE}}
    api.apply([*(item for item in _manifests() if item["kind"] in _APPLIED), account])
    api.apply([_pod(), *webhooks(profile)])  # a Pod is refused before its account is there


def _certificates(profile: Profile) -> Path:
    """The folder with tls.crt and tls.key, as Gatekeeper wants them called."""
    folder = profile.folder("gatekeeper", "certs")
    for name, file in zip(("tls.crt", "tls.key"), profile.certificate("gatekeeper", HOST), strict=True):
        write_private(folder / name, file.read_text())
    return folder


def _programs(profile: Profile) -> list[Program]:
    binary = tools.ensure(*_TOOLS)["gatekeeper"]
    webhook, health, metrics = (profile.port(name) for name in _PORTS)
    command = [
        str(binary),
        f"--host={HOST}",
        f"--port={webhook}",
        f"--cert-dir={_certificates(profile)}",
        "--disable-cert-rotation",
        f"--health-addr={HOST}:{health}",
        f"--prometheus-port={metrics}",
        f"--audit-interval={AUDIT_SECONDS}",
        "--audit-match-kind-only",  # lists only kinds that some constraint names
        f"--api-cache-dir={profile.folder('gatekeeper', 'audit')}",
        f"--exempt-namespace={NAMESPACE}",
        "--disable-opa-builtin=http.send",
        "--default-wait-for-vapb-generation=1",
        "--log-denies",
        "--shutdown-delay=0",
    ]
    env = {
        "KUBECONFIG": str(cluster.kubeconfig(profile)),
        "POD_NAME": POD,
        "POD_NAMESPACE": NAMESPACE,
        "GOGC": "75",
    }
    return [Program("manager", command, env=env, ports=_PORTS, acts=True)]


def _ready(profile: Profile) -> str | None:
    try:
        answer = httpx.get(f"http://{HOST}:{profile.port('gatekeeper.health')}/readyz", timeout=5, trust_env=False)
    except httpx.HTTPError as error:
        return f"its manager does not answer ({type(error).__name__})"
    return None if answer.status_code == 200 else f"its manager says {answer.status_code}: {answer.text.strip()[:120]}"


def _env(profile: Profile) -> dict[str, str]:
    return {"GATEKEEPER_METRICS": f"http://{HOST}:{profile.port('gatekeeper.metrics')}/metrics"}


SERVICES = [
    Service(
        name="gatekeeper",
        title="Gatekeeper: admission webhook, audit and mutation",
        needs=("cluster",),
        tools=_TOOLS,
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
        env=_env,
        timeout=120,
    )
]
