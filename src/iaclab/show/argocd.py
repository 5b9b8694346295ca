"""An Argo CD Application and everything below it, as a tree that updates while a sync runs."""

from __future__ import annotations

import time
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.show.picture import Picture

Object = dict[str, Any]
_HEALTH = {"Healthy": "♥", "Progressing": "◌", "Degraded": "✖", "Suspended": "❚❚", "Missing": "∅", "Unknown": "?"}
_SYNC = {"Synced": "✔", "OutOfSync": "≠", "Unknown": "?"}
_SHADE = {"Healthy": "#3fb950", "Progressing": "#58a6ff", "Degraded": "#f85149", "Missing": "#d29922"}
_W, _H, _GAP_X, _GAP_Y = 216, 46, 34, 10


def argocd_tree(app: str, *, until: str = "Healthy", timeout: float = 30, profile: Profile | None = None) -> None:
    """Draw the tree of an Application, again and again until it is synced and `until`, or `timeout` seconds are over.

    The last drawing stays in the notebook.

    Raises:
        LabError: Argo CD has no such Application.
    """
    from IPython.display import display

    from iaclab.platform.services import argocd

    deadline = time.monotonic() + timeout
    handle = None
    with argocd.client(profile) as http:
        while True:
            answer = http.get(f"/api/v1/applications/{app}")
            if answer.status_code != 200:
                raise LabError(
                    f"Argo CD has no Application '{app}'.",
                    why=f"It answers {answer.status_code}.",
                    mend="argocd app list",
                )
            status = answer.json().get("status", {})
            tree = http.get(f"/api/v1/applications/{app}/resource-tree").json()
            picture = draw_tree(answer.json(), tree)
            if handle is None:
                handle = display(picture, display_id=True)
            else:
                handle.update(picture)
            done = status.get("sync", {}).get("status") == "Synced" and status.get("health", {}).get("status") == until
            if done or time.monotonic() > deadline:
                return
            time.sleep(0.4)


def draw_tree(app: Object, tree: Object) -> Picture:
    """The picture for an Application object and its resource tree, as Argo CD's API gives them."""
    status = app.get("status", {})
    synced = {_key(r): r.get("status", "") for r in status.get("resources", [])}
    nodes = {n["uid"]: n for n in tree.get("nodes") or [] if n.get("uid")}
    children: dict[str, list[Object]] = {}
    for node in nodes.values():
        parents = [p["uid"] for p in node.get("parentRefs") or [] if p.get("uid") in nodes]
        children.setdefault(parents[0] if parents else "", []).append(node)
    picture = Picture(f"Application {app['metadata']['name']}", "", 10, 10)
    lines: list[str] = []
    widest = 0

    def place(
        label: str, kind: str, health: str, sync: str, depth: int, y: float, kids: list[Object]
    ) -> tuple[float, float]:
        """Draw a subtree from `y` on; returns (its own middle, where the next one may begin)."""
        nonlocal widest
        widest = max(widest, depth)
        x = 10 + depth * (_W + _GAP_X)
        lines.append("  " * depth + " ".join(filter(None, [kind, label, sync, health])))
        middles, below = [], y
        for kid in sorted(kids, key=lambda n: (n["kind"], n["name"])):
            middle, below = place(
                kid["name"],
                kid["kind"],
                (kid.get("health") or {}).get("status", ""),
                synced.get(_key(kid), ""),
                depth + 1,
                below,
                children.get(kid["uid"], []),
            )
            middles.append(middle)
        top = (middles[0] + middles[-1]) / 2 - _H / 2 if middles else y
        picture.box(x, top, _W, _H, fill=_SHADE.get(health, "none"), dash="" if sync != "OutOfSync" else "5 3")
        picture.words(x + 8, top + 18, _cut(label, 28), bold=True)
        marks = [
            f"{_SYNC.get(sync, '')} {sync}" if sync else "",
            f"{_HEALTH.get(health, '')} {health}" if health else "",
        ]
        picture.words(x + 8, top + 35, "  ".join(filter(None, [kind, *marks])), size=11, fade=True)
        for middle in middles:
            picture.line(x + _W, top + _H / 2, x + _W + _GAP_X, middle)
        return top + _H / 2, max(below, top + _H + _GAP_Y)

    _, bottom = place(
        app["metadata"]["name"],
        "Application",
        status.get("health", {}).get("status", "Unknown"),
        status.get("sync", {}).get("status", "Unknown"),
        0,
        10,
        children.get("", []),
    )
    picture.width = 20 + (widest + 1) * _W + widest * _GAP_X
    picture.height = int(bottom)
    picture.text = "\n".join(lines)
    return picture


def _key(resource: Object) -> tuple[str, str, str, str]:
    return (resource.get("group", ""), resource["kind"], resource.get("namespace", ""), resource["name"])


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
