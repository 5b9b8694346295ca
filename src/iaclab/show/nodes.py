"""The cluster's nodes and who uses their GPUs, as a picture."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from iaclab.errors import LabError
from iaclab.show.picture import Picture

GPU = "nvidia.com/gpu"
_POOL = "node.course.local/pool"
Object = dict[str, Any]


def nodes(context: str | None = None) -> Picture:
    """Draw the nodes of the current kubeconfig's cluster.

    Raises:
        LabError: kubectl cannot read them.
    """
    command = ["kubectl", *(["--kubeconfig", context] if context else []), "get", "nodes,pods", "-A", "-o", "json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LabError("The nodes cannot be read.", why=done.stderr.strip()[:200], mend="iaclab up cluster")
    items = json.loads(done.stdout)["items"]
    return draw_nodes([i for i in items if i["kind"] == "Node"], [i for i in items if i["kind"] == "Pod"])


def draw_nodes(node_list: list[Object], pods: list[Object]) -> Picture:
    """A box for each node, grouped by pool; a square for each GPU, filled where a pod has asked for it."""
    by_node: dict[str, list[Object]] = {}
    for pod in pods:
        if pod["status"].get("phase") in ("Pending", "Running") and pod["spec"].get("nodeName"):
            by_node.setdefault(pod["spec"]["nodeName"], []).append(pod)
    ordered = sorted(node_list, key=lambda n: (_pool(n), n["metadata"]["name"]))
    height, lines, y = 30, [], 30
    picture = Picture("Nodes of the cluster and their GPUs", "", 720, 0)
    for node in ordered:
        name, size = node["metadata"]["name"], node["status"]["capacity"]
        mine = by_node.get(name, [])
        gpus, used = int(size.get(GPU, 0)), [p for p in mine for _ in range(_gpus(p))]
        rows = min(len(mine), 4) + (len(mine) > 4)
        box = 44 + (26 if gpus else 0) + rows * 16
        picture.box(10, y, 700, box)
        picture.words(22, y + 20, name, size=14, bold=True)
        model = node["metadata"]["labels"].get("nvidia.com/gpu.product", "")
        about = f"pool {_pool(node)} · {size['cpu']} CPU · {size['memory']}" + (f" · {model}" if model else "")
        picture.words(22, y + 36, about, fade=True)
        at = y + 44
        for index in range(gpus):
            taken = index < len(used)
            picture.box(22 + index * 84, at, 78, 20, fill="#3fb950" if taken else "none", dash="" if taken else "3 3")
            picture.words(28 + index * 84, at + 14, "GPU in use" if taken else "GPU free", size=11)
        at += 40 if gpus else 14
        for pod in mine[:4]:
            picture.words(22, at, f"▸ {pod['metadata']['namespace']}/{pod['metadata']['name']}{_wants(pod)}")
            at += 16
        if len(mine) > 4:
            picture.words(22, at, f"and {len(mine) - 4} more pods", fade=True)
        taken_text = f", GPUs in use {len(used)} of {gpus}" if gpus else ""
        lines.append(f"{name}: pool {_pool(node)}{taken_text}, pods {len(mine)}")
        y += box + 8
        height = y
    waiting = [p for p in pods if p["status"].get("phase") == "Pending" and not p["spec"].get("nodeName")]
    if waiting:
        picture.words(
            22, y + 14, f"waiting for a node: {', '.join(p['metadata']['name'] for p in waiting[:4])}", bold=True
        )
        lines.append(f"waiting: {len(waiting)}")
        height += 26
    picture.words(10, 18, f"{len(ordered)} nodes", bold=True, size=13)
    picture.height, picture.text = height, "\n".join(lines)
    return picture


def _pool(node: Object) -> str:
    return str(node["metadata"]["labels"].get(_POOL, "–"))


def _gpus(pod: Object) -> int:
    return sum(int(c.get("resources", {}).get("limits", {}).get(GPU, 0)) for c in pod["spec"]["containers"])


def _wants(pod: Object) -> str:
    count = _gpus(pod)
    return f" ({count} GPU{'s' * (count > 1)})" if count else ""
