"""The cluster's nodes and who uses their GPUs, as a picture."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.node_pools import GPU
from iaclab.show.picture import Picture

_POOLS = ("node.course.local/pool", "eks.amazonaws.com/nodegroup", "cloud.google.com/gke-nodepool")
_WIDTH, _PODS, _ROW = 720, 4, 8  # pixels, pods named on each node, GPUs in a row
Object = dict[str, Any]


def nodes(kubeconfig: str | None = None) -> Picture:
    """Draw the nodes of a cluster; the default is the shell's own (KUBECONFIG).

    Raises:
        LabError: kubectl cannot read them.
    """
    command = ["kubectl", *(["--kubeconfig", kubeconfig] if kubeconfig else [])]
    try:
        done = subprocess.run([*command, "get", "nodes,pods", "-A", "-o", "json"], capture_output=True, text=True)
        why = done.stderr.strip()[-200:] if done.returncode else ""
    except FileNotFoundError:
        why = "kubectl is not on PATH."
    if why:
        raise LabError("The nodes cannot be read.", why=why, mend="iaclab up cluster   # or run the first cell again")
    items = json.loads(done.stdout)["items"]
    return draw_nodes([i for i in items if i["kind"] == "Node"], [i for i in items if i["kind"] == "Pod"])


def draw_nodes(node_list: list[Object], pods: list[Object]) -> Picture:
    """A box for each node, grouped by pool; a square for each GPU, filled where a pod has asked for it."""
    alive = [p for p in pods if p["status"].get("phase") in ("Pending", "Running")]
    found = [_look(node, alive) for node in node_list]
    picture = Picture("Nodes of the cluster and their GPUs", "", _WIDTH, 0)
    heading = f"{len(found)} node{'s' * (len(found) != 1)}"
    picture.words(10, 18, heading, bold=True, size=13, room=_WIDTH - 20)
    lines, y = [heading], 30.0
    for node in sorted(found, key=lambda n: (n.pool, n.name)):
        y = _draw(picture, node, y)
        lines.append(f"{node.name}: {node.about}; {node.gpu_text}pods: {', '.join(node.shown) or 'none'}")
    waiting = [p["metadata"]["name"] for p in alive if not p["spec"].get("nodeName")]
    if waiting:
        more = f" and {len(waiting) - _PODS} more" if len(waiting) > _PODS else ""
        text = f"waiting for a node: {', '.join(waiting[:_PODS])}{more}"
        picture.words(10, y + 14, text, bold=True, room=_WIDTH - 20)
        lines.append(text)
        y += 26
    picture.height, picture.text = int(y), "\n".join(lines)
    return picture


@dataclass(frozen=True)
class _Node:
    """What is drawn of a node: `used` counts the GPUs that pods have asked for, `shown` names some pods."""

    name: str
    pool: str
    about: str
    gpus: int
    used: int
    shown: list[str]

    @property
    def gpu_text(self) -> str:
        return f"GPUs in use {self.used} of {self.gpus}; " if self.gpus else ""


def _look(node: Object, pods: list[Object]) -> _Node:
    name, size = node["metadata"]["name"], node["status"]["capacity"]
    labels = node["metadata"].get("labels") or {}
    mine = [p for p in pods if p["spec"].get("nodeName") == name]
    mine.sort(key=lambda p: (-_gpus(p), p["metadata"]["namespace"], p["metadata"]["name"]))
    shown = [f"{p['metadata']['namespace']}/{p['metadata']['name']}{_wants(p)}" for p in mine[:_PODS]]
    if len(mine) > _PODS:
        shown.append(f"and {len(mine) - _PODS} more")
    pool = next((str(labels[key]) for key in _POOLS if key in labels), "–")
    ready = {c["type"]: c["status"] for c in node["status"].get("conditions") or []}.get("Ready", "True")
    about = [f"pool {pool}", f"{size['cpu']} CPU", _memory(size["memory"]), labels.get("nvidia.com/gpu.product", "")]
    about += ["not ready" if ready != "True" else "", "cordoned" if node["spec"].get("unschedulable") else ""]
    used = sum(map(_gpus, mine))
    return _Node(name, pool, " · ".join(filter(None, about)), int(size.get(GPU, 0)), used, shown)


def _draw(picture: Picture, node: _Node, y: float) -> float:
    """Draw one node from `y` on; returns where the next one begins."""
    rows = -(-node.gpus // _ROW)
    height = 46 + rows * 26 + len(node.shown) * 16 + 6
    picture.box(10, y, _WIDTH - 20, height)
    picture.words(22, y + 20, node.name, size=14, bold=True, room=_WIDTH - 44)
    picture.words(22, y + 37, node.about, fade=True, room=_WIDTH - 44)
    for index in range(node.gpus):
        x, top, taken = 22 + index % _ROW * 84, y + 46 + index // _ROW * 26, index < node.used
        picture.box(x, top, 78, 20, fill="#3fb950" if taken else "none", dash="" if taken else "3 3", radius=4)
        picture.words(x + 6, top + 14, "GPU in use" if taken else "GPU free", size=10.5, room=70)
    for index, pod in enumerate(node.shown):
        below = y + 46 + rows * 26 + index * 16 + 11
        text = pod if pod.startswith("and ") else f"▸ {pod}"
        picture.words(22, below, text, room=_WIDTH - 44, fade=text == pod)
    return y + height + 8


def _gpus(pod: Object) -> int:
    return sum(int((c.get("resources", {}).get("limits") or {}).get(GPU, 0)) for c in pod["spec"]["containers"])


def _wants(pod: Object) -> str:
    count = _gpus(pod)
    return f" ({count} GPU{'s' * (count > 1)})" if count else ""


def _memory(size: str) -> str:
    """Kubelets count in Ki; people read Gi."""
    return f"{int(size.removesuffix('Ki')) / 2**20:.0f}Gi" if size.endswith("Ki") else size
