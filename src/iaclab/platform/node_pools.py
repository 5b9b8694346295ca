"""The node pools of the local clusters: Node objects that KWOK plays the kubelet for."""

from __future__ import annotations

from typing import Any

GPU = "nvidia.com/gpu"


def _node(name: str, pool: str, zone: str, cpu: int, memory: str, gpus: int = 0, model: str = "") -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.course.local/pool": pool,
        "topology.kubernetes.io/zone": zone,
        "topology.kubernetes.io/region": zone[:-1],
    }
    size = {"cpu": str(cpu), "memory": memory, "pods": "110"}
    taints = []
    if gpus:
        labels["nvidia.com/gpu.product"] = model
        size[GPU] = str(gpus)
        taints = [{"key": GPU, "value": "present", "effect": "NoSchedule"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": taints},
        "status": {"allocatable": size, "capacity": size},
    }


NODES = {
    "cluster": [
        _node("cpu-1", "cpu", "eu-west-1a", 16, "64Gi"),
        _node("cpu-2", "cpu", "eu-west-1b", 16, "64Gi"),
        _node("gpu-a100-1", "gpu-a100", "eu-west-1a", 96, "1152Gi", 8, "NVIDIA-A100-SXM4-80GB"),
        _node("gpu-a100-2", "gpu-a100", "eu-west-1b", 96, "1152Gi", 8, "NVIDIA-A100-SXM4-80GB"),
    ],
    "cluster-b": [
        _node("b-cpu-1", "cpu", "eu-north-1a", 8, "32Gi"),
        _node("b-gpu-l4-1", "gpu-l4", "eu-north-1a", 16, "64Gi", 1, "NVIDIA-L4"),
    ],
}
