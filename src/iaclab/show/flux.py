"""A Flux Kustomization: its source, and everything in its inventory, as a tree that updates while it is reconciled.

What an object is doing is said in the words of kstatus, by which Flux judges health: Current, InProgress, Failed,
Terminating, NotFound.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.show.picture import Picture

Object = dict[str, Any]
_MARK = {
    "Ready": "✔", "Current": "✔", "InProgress": "◌", "Reconciling": "◌", "Failed": "✖", "NotFound": "∅",
    "Terminating": "∅", "Suspended": "❚❚",
}  # fmt: skip
_SHADE = {
    "Ready": "#3fb950", "Current": "#3fb950", "InProgress": "#58a6ff", "Reconciling": "#58a6ff", "Failed": "#f85149",
    "NotFound": "#d29922", "Terminating": "#d29922",
}  # fmt: skip
_W, _H, _GAP_X, _GAP_Y = 250, 54, 28, 10  # pixels
_POLL = 0.4  # seconds between two looks
_DEEPEST = 3  # Kustomizations within Kustomizations


@dataclass
class Branch:
    """One box of the tree and what comes to its right; `note` is what else is known (a revision, a message)."""

    kind: str
    name: str
    state: str
    note: str = ""
    below: list[Branch] = field(default_factory=list)


def flux_tree(
    name: str,
    namespace: str = "flux-system",
    *,
    until: str = "Ready",
    timeout: float = 30,
    profile: Profile | None = None,
) -> None:
    """Draw a Kustomization, again and again until it is `until`, or `timeout` seconds are over.

    Args:
        until: Ready, Reconciling, Failed or Suspended.

    Raises:
        LabError: there is no such Kustomization.
    """
    from IPython.display import display

    from iaclab.platform.services import cluster

    api = cluster.kube(profile or Profile())
    deadline = time.monotonic() + timeout
    handle, shown = None, ""
    while True:
        tree = look(Discovery(api), name, namespace)
        picture = draw_flux(tree)
        if handle is None:
            handle = display(picture, display_id=True)
        elif picture.svg() != shown:
            handle.update(picture)
        shown = picture.svg()
        if tree.below[0].state == until or time.monotonic() > deadline:
            return
        time.sleep(_POLL)


class Discovery:
    """Reads any object by group, version and kind: the API server says where it lies."""

    def __init__(self, api: Any) -> None:
        self.api = api
        self._known: dict[str, dict[str, Object]] = {}

    def read(self, group: str, version: str, kind: str, namespace: str, name: str) -> Object | None:
        """The object, `None` where there is none, or no such kind."""
        base = f"/apis/{group}/{version}" if group else f"/api/{version}"
        if base not in self._known:
            listed = (self.api.get(base) or {"resources": []})["resources"]
            self._known[base] = {r["kind"]: r for r in listed if "/" not in r["name"]}
        resource = self._known[base].get(kind)
        if resource is None:
            return None
        within = f"/namespaces/{namespace}" if resource["namespaced"] else ""
        found: Object | None = self.api.get(f"{base}{within}/{resource['name']}/{name}")
        return found


def look(cluster: Discovery, name: str, namespace: str) -> Branch:
    """The tree of a Kustomization as it is now; its root is the source."""
    item = cluster.read("kustomize.toolkit.fluxcd.io", "v1", "Kustomization", namespace, name)
    if item is None:
        raise LabError(f"There is no Kustomization '{name}' in {namespace}.", mend="flux get kustomizations -A")
    ref = item["spec"]["sourceRef"]
    place = ref.get("namespace", namespace)
    source = cluster.read("source.toolkit.fluxcd.io", "v1", ref["kind"], place, ref["name"])
    revision = ((source or {}).get("status", {}).get("artifact") or {}).get("revision", "")
    state = _own_state(source) if source else "NotFound"
    return Branch(ref["kind"], ref["name"], state, _short(revision), [_kustomization(cluster, item, 1)])


def _kustomization(cluster: Discovery, item: Object, depth: int) -> Branch:
    status, meta = item.get("status", {}), item["metadata"]
    branch = Branch("Kustomization", meta["name"], _own_state(item), _short(status.get("lastAppliedRevision", "")))
    for namespace, name, group, kind, version in _inventory(status):
        found = cluster.read(group, version, kind, namespace, name)
        if found and kind == "Kustomization" and "toolkit.fluxcd.io" in group and depth < _DEEPEST:
            # One that manages itself stands in its own inventory: it is not drawn again and again.
            itself = (name, namespace) == (meta["name"], meta["namespace"])
            branch.below.append(
                Branch(kind, name, _own_state(found), "itself") if itself else _kustomization(cluster, found, depth + 1)
            )
        else:
            branch.below.append(Branch(kind, name, _state(found), namespace))
    return branch


def _inventory(status: Object) -> Iterator[tuple[str, str, str, str, str]]:
    """Namespace, name, group, kind and version of each object; Flux writes a colon in a name as two underscores."""
    for entry in (status.get("inventory") or {}).get("entries") or []:
        namespace, rest = entry["id"].split("_", 1)
        name, group, kind = rest.rsplit("_", 2)
        yield namespace, name.replace("__", ":"), group, kind, entry["v"]


def _own_state(item: Object) -> str:
    """Of an object of Flux itself."""
    if item["spec"].get("suspend"):
        return "Suspended"
    ready = _conditions(item).get("Ready", "Unknown")
    return {"True": "Ready", "False": "Failed"}.get(ready, "Reconciling")


def _state(item: Object | None) -> str:
    """Of any object, as kstatus judges it."""
    if item is None:
        return "NotFound"
    if item["metadata"].get("deletionTimestamp"):
        return "Terminating"
    status, conditions = item.get("status", {}), _conditions(item)
    if conditions.get("Failed") == "True" or conditions.get("Stalled") == "True":
        return "Failed"
    generation = item["metadata"].get("generation")
    if str(status.get("observedGeneration", generation)) != str(generation):  # a Rollout writes it as a text
        return "InProgress"
    if item["kind"] == "Rollout":
        return {"Healthy": "Current", "Degraded": "Failed"}.get(status.get("phase", ""), "InProgress")
    if item["kind"] in ("Deployment", "ReplicaSet", "StatefulSet"):
        wanted = item["spec"].get("replicas", 1)
        return "Current" if status.get("availableReplicas", 0) >= wanted else "InProgress"
    if item["kind"] == "Job":
        return "Current" if conditions.get("Complete") == "True" else "InProgress"
    return "Current" if conditions.get("Ready", "True") == "True" else "InProgress"


def _conditions(item: Object) -> dict[str, str]:
    return {c["type"]: c["status"] for c in item.get("status", {}).get("conditions") or []}


def _short(revision: str) -> str:
    """`main@sha1:0123456789…` with seven digits of the digest."""
    name, colon, digest = revision.rpartition(":")
    return f"{name}{colon}{digest[:7]}"


def draw_flux(tree: Branch) -> Picture:
    """The picture for a tree."""
    inner = tree.below[0]
    picture = Picture(f"Kustomization {inner.name}", "", 10, 10)
    lines: list[str] = []
    widest = 0

    def place(branch: Branch, depth: int, y: float) -> tuple[float, float]:
        """Draw a subtree from `y` on; returns (its own middle, where the next one may begin)."""
        nonlocal widest
        widest = max(widest, depth)
        lines.append("  " * depth + " ".join(filter(None, [branch.kind, branch.name, branch.state, branch.note])))
        middles, bottom = [], y
        for kid in sorted(branch.below, key=lambda b: (b.kind, b.name)):
            middle, bottom = place(kid, depth + 1, bottom)
            middles.append(middle)
        centre = max((middles[0] + middles[-1]) / 2 if middles else 0, y + _H / 2)
        x = 10 + depth * (_W + _GAP_X)
        _draw_box(picture, x, centre - _H / 2, branch)
        for middle in middles:
            picture.line(x + _W, centre, x + _W + _GAP_X, middle)
        return centre, max(bottom, centre + _H / 2 + _GAP_Y)

    _, bottom = place(tree, 0, 10)
    picture.width = 20 + (widest + 1) * _W + widest * _GAP_X
    picture.height = int(bottom)
    picture.text = "\n".join(lines)
    return picture


def _draw_box(picture: Picture, x: float, y: float, branch: Branch) -> None:
    room = _W - 16
    picture.box(x, y, _W, _H, fill=_SHADE.get(branch.state, "none"), dash="5 3" if branch.state == "NotFound" else "")
    picture.words(x + 8, y + 15, branch.kind, size=10.5, fade=True, room=room)
    picture.words(x + 8, y + 31, branch.name, bold=True, room=room)
    marks = f"{_MARK.get(branch.state, '?')} {branch.state}"
    picture.words(x + 8, y + 47, " · ".join(filter(None, [marks, branch.note])), size=11, room=room)
