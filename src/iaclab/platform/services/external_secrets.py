"""The External Secrets Operator as a plain process: fetches from vaults into Secrets of the cluster, and back."""

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

_TOOLS = ("external-secrets", "external-secrets-crds")
_CONTROLLERS = ("clustersecretstore", "externalsecret", "pushsecret", "secretstore")
_DURATIONS = ("refreshInterval", "refreshTime")
_DURATION = r"^(0|([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+)$"  # what Go's time.ParseDuration reads


def _definitions(folder: Path) -> Iterator[dict[str, Any]]:
    for path in sorted(folder.rglob("*.yaml")):
        for item in manifests.documents(path.read_text()):
            for version in item["spec"]["versions"]:
                _refuse_wrong_durations(version["schema"]["openAPIV3Schema"])
            yield item


def _refuse_wrong_durations(schema: dict[str, Any]) -> None:
    """Let the API server refuse what the operator's webhook would: with one such object stored it can list none."""
    for name, one in schema.get("properties", {}).items():
        if name in _DURATIONS and one.get("type") == "string" and "format" not in one:
            one["pattern"] = _DURATION
        _refuse_wrong_durations(one)


def _prepare(profile: Profile) -> None:
    cluster.kube(profile).apply(_definitions(tools.ensure("external-secrets-crds")["external-secrets-crds"]))


def _programs(profile: Profile) -> list[Program]:
    binary = tools.ensure("external-secrets")["external-secrets"]
    command = [str(binary), f"--metrics-addr={HOST}:{profile.port('external-secrets.metrics')}", "--loglevel=error"]
    env = {"KUBECONFIG": str(cluster.kubeconfig(profile)), "GOGC": "75"}
    return [Program("controller", command, env=env, ports=("external-secrets.metrics",), acts=True)]


def _ready(profile: Profile) -> str | None:
    """Each of its controllers sets this gauge when it starts; a health endpoint it has not."""
    url = f"http://{HOST}:{profile.port('external-secrets.metrics')}/metrics"
    try:
        said = httpx.get(url, timeout=2, trust_env=False).text
    except httpx.HTTPError:
        return "its controller does not answer"
    gauge = 'controller_runtime_max_concurrent_reconciles{controller="%s"}'
    away = [name for name in _CONTROLLERS if gauge % name not in said]
    return f"its controllers have not started: {', '.join(away)}" if away else None


SERVICES = [
    Service(
        name="external-secrets",
        title="External Secrets Operator: Secrets from vaults, and back",
        needs=("cluster",),
        tools=_TOOLS,
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
        timeout=120,
    )
]
