"""Argo Rollouts as a plain process: the controller of Rollouts, Experiments and AnalysisRuns.

Its default Prometheus is that of the service `metrics`: an AnalysisTemplate that names no address asks that one.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import httpx

from iaclab import tools
from iaclab.platform import manifests, ownership
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.service import Service
from iaclab.platform.services import cluster, metrics
from iaclab.platform.supervise import Program

TOOLS = ("argo-rollouts", "argo-rollouts-manifests", "kubectl-argo-rollouts")
NAMESPACE = "argo-rollouts"
_IN_CLUSTER = ("ClusterRole", "ConfigMap", "CustomResourceDefinition", "Secret", "ServiceAccount")


@cache
def _upstream(folder: Path) -> list[dict[str, Any]]:
    """The objects of the official installation that belong into the cluster here too."""
    name = f"argo-rollouts-{folder.name}-trimmed"
    return manifests.kept(name, lambda: _trimmed((folder / "install.yaml").read_text()))


def _trimmed(text: str) -> list[dict[str, Any]]:
    objects = [item for item in manifests.documents(text) if item["kind"] in _IN_CLUSTER]
    for manifest in objects:
        ownership.label(manifest)
        if manifest["kind"] == "CustomResourceDefinition":
            _trim(manifest)
    return objects


def _trim(crd: dict[str, Any]) -> None:
    """Leave checking the Jobs of an analysis and the pods of an experiment to the API server, when they are made.

    The schema of a pod stands in all five CRDs: 230 KB each. That of a Rollout stays, people write it by hand.
    """
    for version in crd["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]
        if "metrics" in spec:
            holder = spec["metrics"]["items"]["properties"]["provider"]["properties"]["job"]
        elif crd["spec"]["names"]["kind"] == "Experiment":
            holder = spec["templates"]["items"]["properties"]["template"]
        else:
            continue
        holder["properties"]["spec"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def _prepare(profile: Profile) -> None:
    why = "Two controllers would work on the same Rollouts."
    ownership.refuse_what_is_not_ours(profile, "Argo Rollouts", "rollouts.argoproj.io", why)
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    folder = tools.ensure("argo-rollouts-manifests")["argo-rollouts-manifests"]
    cluster.kube(profile).apply([namespace, *_upstream(folder)], namespace=NAMESPACE)


def _programs(profile: Profile) -> list[Program]:
    bins = tools.ensure(*TOOLS)
    return [
        Program(
            "controller",
            [
                str(bins["argo-rollouts"]),
                f"--kubeconfig={cluster.kubeconfig(profile)}",
                f"--namespace={NAMESPACE}",
                f"--metricsPort={profile.port('rollouts.metrics')}",
                f"--healthzPort={profile.port('rollouts.health')}",
                "--leader-elect=false",
                "--loglevel=warn",
            ],
            env={"GOGC": "75", "ARGO_ROLLOUTS_PROMETHEUS_ADDRESS": metrics.url_with_password(profile)},
            ports=("rollouts.metrics", "rollouts.health"),
            acts=True,
        )
    ]


def _ready(profile: Profile) -> str | None:
    for name, path in {"health": "healthz", "metrics": "metrics"}.items():
        try:
            answer = httpx.get(f"http://{HOST}:{profile.port(f'rollouts.{name}')}/{path}", timeout=2, trust_env=False)
        except httpx.HTTPError as error:
            return f"its /{path} does not answer ({type(error).__name__})"
        if answer.status_code != 200:
            return f"/{path} says {answer.status_code}"
    return None


SERVICES = [
    Service(
        name="rollouts",
        title="Argo Rollouts: canaries, blue-green, analysis",
        needs=("cluster", "metrics"),
        tools=TOOLS,
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
    )
]
