"""GPU node pools: Node objects that the real scheduler places pods on (KWOK plays their kubelets)."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from iaclab.errors import LabError
from iaclab.mlplatform.accelerators import accelerator, gpu_hours_cost
from iaclab.mlplatform.api import DOMAIN, MANAGED_BY, POLL, Api, in_words, own_labels, side_by_side, wait_until
from iaclab.platform.kube import Manifest
from iaclab.platform.node_pools import GPU

POOL_LABEL, ACCELERATOR_LABEL = "node.course.local/pool", "node.course.local/accelerator"
ZONE_LABEL = "topology.kubernetes.io/zone"
ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
_ZONES_NOTE = f"{DOMAIN}/zones"  # annotation: all zones of the pool, also those that have no node
_NODES = "/api/v1/nodes"


@dataclass(frozen=True, order=True)
class Taint:
    """Keeps pods off a node that do not tolerate it; `effect` is NoSchedule, PreferNoSchedule or NoExecute."""

    key: str
    value: str = ""
    effect: str = "NoSchedule"


GPU_TAINT = Taint(GPU, "present", "NoSchedule")


@dataclass(frozen=True)
class NodePool:
    """Equal machines with GPUs, named `<pool>-1`, `<pool>-2` …

    Args:
        name: a DNS label.
        accelerator: a name from the catalogue.
        node_count: how many nodes; scaling down removes the highest numbers.
        gpus_per_node: 1 to 8.
        zones: the nodes are spread over them in turn.
        taints: of every node.
        labels: of every node.
        alike: as read, whether all its nodes are the same; otherwise what one is like is reported.
    """

    name: str
    accelerator: str
    node_count: int
    gpus_per_node: int = 8
    zones: tuple[str, ...] = ZONES
    taints: frozenset[Taint] = frozenset({GPU_TAINT})
    labels: dict[str, str] = field(default_factory=dict)
    alike: bool = True

    @property
    def node_names(self) -> list[str]:
        """The names of its nodes, in the order of their numbers."""
        return [f"{self.name}-{number}" for number in range(1, self.node_count + 1)]

    @property
    def total_gpus(self) -> int:
        """GPUs of all nodes together."""
        return self.node_count * self.gpus_per_node

    @property
    def hourly_cost(self) -> float:
        """Example price of the whole pool for one hour, US dollars."""
        return gpu_hours_cost(self.accelerator, self.total_gpus, 1)


@in_words
def put(api: Api, pool: NodePool, create_timeout: float = 60, drain_timeout: float = 60) -> None:
    """Make the cluster hold exactly these nodes; idempotent. Returns when every node is Ready.

    Nodes that are too many are drained and deleted; labels and taints of the others change in place.

    Raises:
        LabError: a node of that name is somebody else's, nodes are not Ready in time, or one cannot be drained.
    """
    refuse_foreign(api, pool)
    there = {_name(n): n for n in _nodes(api, pool.name)}
    new = [name for name in pool.node_names if name not in there]
    api.apply([_manifest(pool, name) for name in new])
    size = _size(pool)
    status = {"capacity": size, "allocatable": size}
    side_by_side(lambda name: api.patch_status(f"{_NODES}/{name}", status), new)
    kept = [there[name] for name in pool.node_names if name in there]
    side_by_side(lambda node: _change_in_place(api, node, pool), kept)
    _remove(api, sorted(set(there) - set(pool.node_names), key=_number), drain_timeout)
    late = wait_until(lambda: _not_ready(api, pool), create_timeout)
    if late:
        raise LabError(
            f"Pool {pool.name} is not ready after {create_timeout:.0f} s.", why=late, mend="kubectl describe nodes"
        )


@in_words
def refuse_foreign(api: Api, pool: NodePool) -> None:
    """Raise a LabError where a node of the pool's names is not the pool's, or is another kind of machine."""
    for node in api.items(_NODES):
        name, labels = _name(node), node["metadata"].get("labels", {})
        if name not in pool.node_names:
            continue
        ours = labels.get(POOL_LABEL) == pool.name and MANAGED_BY.items() <= labels.items()
        if not ours:
            raise LabError(
                f"The node {name} exists already.",
                why="It was not made by a node pool of this name.",
                mend=f"kubectl get node {name} --show-labels   # then choose another name for the pool",
            )
        if (labels.get(ACCELERATOR_LABEL), _gpus(node)) != (pool.accelerator, pool.gpus_per_node):
            raise LabError(
                f"The pool {pool.name} exists already, with other machines.",
                why=f"The node {name} has {_gpus(node)} × {labels.get(ACCELERATOR_LABEL)}.",
                mend="terraform import   # or choose another name for the pool",
            )


@in_words
def get(api: Api, name: str, expected: NodePool | None = None) -> NodePool | None:
    """The pool as the cluster holds it, `None` where it has no node.

    Args:
        expected: what it should be; where nodes differ from each other, the first that differs from this is reported.
    """
    nodes = sorted(_nodes(api, name), key=lambda n: _number(_name(n)))
    if not nodes:
        return None
    labels = expected.labels if expected else {}
    each = [_read_one(node, labels) for node in nodes]
    if expected is None:
        odd = each[0]
    else:
        wanted = {key: getattr(expected, key) for key in each[0]}
        odd = next((settings for settings in each if settings != wanted), each[0])
    alike = all(settings == odd for settings in each)
    return NodePool(name=name, node_count=len(nodes), **odd, alike=alike)


@in_words
def names_of(api: Api, name: str) -> list[str]:
    """The names of the nodes that the pool has now, in the order of their numbers."""
    return sorted((_name(n) for n in _nodes(api, name)), key=_number)


@in_words
def delete(api: Api, name: str, drain_timeout: float = 60) -> None:
    """Drain and delete every node of the pool.

    Raises:
        LabError: a pod is still there after `drain_timeout` seconds; the nodes stay and take pods again.
    """
    _remove(api, names_of(api, name), drain_timeout)


# --- objects -------------------------------------------------------------------------------------------


def _manifest(pool: NodePool, name: str) -> Manifest:
    zone = pool.zones[(_number(name) - 1) % len(pool.zones)]
    size = _size(pool)
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                **pool.labels,
                **MANAGED_BY,
                POOL_LABEL: pool.name,
                ACCELERATOR_LABEL: pool.accelerator,
                "nvidia.com/gpu.product": accelerator(pool.accelerator).product,
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                ZONE_LABEL: zone,
                "topology.kubernetes.io/region": zone[:-1],
            },
            "annotations": {"kwok.x-k8s.io/node": "fake", _ZONES_NOTE: ",".join(pool.zones)},
        },
        "spec": {"taints": _taints(pool)},
        "status": {"capacity": size, "allocatable": size},
    }


def _size(pool: NodePool) -> dict[str, str]:
    kind = accelerator(pool.accelerator)
    return {
        GPU: str(pool.gpus_per_node),
        "cpu": str(kind.cpu * pool.gpus_per_node),
        "memory": f"{kind.memory_gib * pool.gpus_per_node}Gi",
        "pods": "110",
    }


def _taints(pool: NodePool) -> list[dict[str, str]]:
    return [{"key": t.key, "value": t.value, "effect": t.effect} for t in sorted(pool.taints)]


def _change_in_place(api: Api, node: Manifest, pool: NodePool) -> None:
    labels = own_labels(node["metadata"].get("labels"), pool.labels)
    change: dict[str, Any] = {}
    if labels != pool.labels:
        change["metadata"] = {"labels": {**dict.fromkeys(labels), **pool.labels}}
    if _read_taints(node) != pool.taints:
        system = [t for t in node["spec"].get("taints", []) if _is_system(t["key"])]
        change["spec"] = {"taints": [*_taints(pool), *system]}
    if change:
        api.merge(f"{_NODES}/{_name(node)}", change)


# --- reading -------------------------------------------------------------------------------------------


def _nodes(api: Api, pool: str) -> list[Manifest]:
    managed = ",".join(f"{key}={value}" for key, value in MANAGED_BY.items())
    found = api.items(_NODES, labelSelector=f"{POOL_LABEL}={pool},{managed}")
    return [n for n in found if "deletionTimestamp" not in n["metadata"]]


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _number(name: str) -> int:
    return int(name.rsplit("-", 1)[-1])


def _gpus(node: Manifest) -> int:
    return int(node.get("status", {}).get("capacity", {}).get(GPU, 0))


def _is_system(taint_key: str) -> bool:
    """Taints that Kubernetes itself sets: not ready, unschedulable …"""
    return taint_key.startswith("node.kubernetes.io/")


def _read_taints(node: Manifest) -> frozenset[Taint]:
    taints = node["spec"].get("taints", [])
    return frozenset(Taint(t["key"], t.get("value", ""), t["effect"]) for t in taints if not _is_system(t["key"]))


def _read_one(node: Manifest, expected_labels: dict[str, str]) -> dict[str, Any]:
    metadata = node["metadata"]
    labels = metadata.get("labels", {})
    zones = metadata.get("annotations", {}).get(_ZONES_NOTE) or labels.get(ZONE_LABEL, "")
    return {
        "accelerator": labels.get(ACCELERATOR_LABEL, ""),
        "gpus_per_node": _gpus(node),
        "zones": tuple(zones.split(",")),
        "taints": _read_taints(node),
        "labels": own_labels(labels, expected_labels),
    }


def _not_ready(api: Api, pool: NodePool) -> str | None:
    there = {_name(n): n for n in _nodes(api, pool.name)}
    for name in pool.node_names:
        node = there.get(name)
        if node is None:
            return f"node {name} is not there"
        conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", [])}
        if conditions.get("Ready") != "True":
            return f"node {name} is not Ready"
        if any(t["key"] == "node.kubernetes.io/not-ready" for t in node["spec"].get("taints", [])):
            return f"node {name} takes no pods yet"  # the taint goes a moment after the node is Ready
        if node["status"].get("allocatable", {}).get(GPU) != str(pool.gpus_per_node):
            return f"node {name} does not offer its GPUs"
    return None


# --- draining ------------------------------------------------------------------------------------------


def _remove(api: Api, names: list[str], timeout: float) -> None:
    """Cordon, evict every pod, then delete: `kubectl drain` and `kubectl delete node` for several nodes at once."""
    deadline = time.monotonic() + timeout
    _cordon(api, names, True)
    try:
        while (left := [why for name in names for why in _evict_all(api, name)]) and time.monotonic() < deadline:
            time.sleep(POLL)
    except BaseException:
        _cordon(api, names, False)
        raise
    if left:
        _cordon(api, names, False)
        raise LabError(
            f"{names[0] if len(names) == 1 else f'{len(names)} nodes'} cannot be drained in {timeout:.0f} s.",
            why="; ".join(left[:4]),
            mend='kubectl get pods,poddisruptionbudgets -A   # a longer time: timeouts { delete = "5m" }',
        )
    side_by_side(lambda name: api.delete(f"{_NODES}/{name}"), names)


def _cordon(api: Api, names: list[str], on: bool) -> None:
    side_by_side(lambda name: api.merge(f"{_NODES}/{name}", {"spec": {"unschedulable": on or None}}), names)


def _evict_all(api: Api, node: str) -> list[str]:
    """Ask for the eviction of the node's pods; returns those that are still there, and why."""
    left = []
    for pod in api.items("/api/v1/pods", fieldSelector=f"spec.nodeName={node}"):
        metadata = pod["metadata"]
        if any(owner["kind"] == "DaemonSet" for owner in metadata.get("ownerReferences", [])):
            continue  # its controller would put it back at once
        why = None
        if "deletionTimestamp" not in metadata:
            why = api.evict(metadata["namespace"], metadata["name"])
        left.append(f"{metadata['namespace']}/{metadata['name']} {why or 'is ending'}")
    return left
