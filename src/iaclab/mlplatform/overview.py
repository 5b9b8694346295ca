"""The cluster at a glance: its version, nodes, zones, and how many of its GPUs are asked for."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from iaclab.mlplatform.api import Api, in_words
from iaclab.mlplatform.node_pools import POOL_LABEL, ZONE_LABEL
from iaclab.platform.kube import Manifest
from iaclab.platform.node_pools import GPU


@dataclass(frozen=True)
class Overview:
    """Counts of nodes and GPUs; `gpus_by_pool` holds the GPUs of each pool that has some."""

    version: str
    server: str
    nodes: int
    zones: tuple[str, ...]
    total_gpus: int
    requested_gpus: int
    gpus_by_pool: dict[str, int]


@in_words
def overview(api: Api) -> Overview:
    """Look at the cluster now."""
    nodes = api.items("/api/v1/nodes")
    by_pool: Counter[str] = Counter()
    for node in nodes:
        gpus = int(node.get("status", {}).get("capacity", {}).get(GPU, 0))
        if gpus:
            by_pool[node["metadata"]["labels"].get(POOL_LABEL, "-")] += gpus
    zones = {n["metadata"].get("labels", {}).get(ZONE_LABEL) for n in nodes} - {None}
    return Overview(
        version=api.version(),
        server=api.server,
        nodes=len(nodes),
        zones=tuple(sorted(zones)),
        total_gpus=sum(by_pool.values()),
        requested_gpus=sum(_requested(pod) for pod in api.items("/api/v1/pods")),
        gpus_by_pool=dict(sorted(by_pool.items())),
    )


def _requested(pod: Manifest) -> int:
    """GPUs that a pod holds on a node: those of its containers, while it has not ended."""
    if pod["status"].get("phase") not in ("Pending", "Running") or not pod["spec"].get("nodeName"):
        return 0
    limits = (c.get("resources", {}).get("limits", {}) for c in pod["spec"]["containers"])
    return sum(int(limit.get(GPU, 0)) for limit in limits)
