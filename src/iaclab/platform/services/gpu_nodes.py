"""GPUs to schedule on. The local cluster has them; of an existing one it is asked."""

from __future__ import annotations

import httpx

from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.service import Service
from iaclab.platform.services import cluster
from iaclab.platform.supervise import Program


def _ready(profile: Profile) -> str | None:
    try:
        nodes = (cluster.kube(profile).get("/api/v1/nodes") or {"items": []})["items"]
    except httpx.HTTPError as error:
        return f"the API server does not answer ({type(error).__name__})"
    return None if any(cluster.GPU in node["status"].get("allocatable", {}) for node in nodes) else "no node has a GPU"


def _programs(profile: Profile) -> list[Program]:
    return []


def _prepare(profile: Profile) -> None:
    if cluster.external() and (missing := _ready(profile)):
        raise LabError(
            "The existing cluster (IACLAB_KUBECONFIG) has no GPU nodes.",
            why=f"Pods here ask for {cluster.GPU}, and {missing}.",
            mend="unset IACLAB_KUBECONFIG   # the local cluster has GPU nodes",
        )


SERVICES = [
    Service(
        name="gpu-nodes",
        title="nodes with GPUs",
        needs=("cluster",),
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
    )
]
