"""An Argo CD Application and everything below it, as a tree that updates while a sync runs."""

from __future__ import annotations

import time
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.show.picture import Picture

Object = dict[str, Any]
_HEALTH = {"Healthy": "♥", "Progressing": "◌", "Degraded": "✖", "Suspended": "❚❚", "Missing": "∅"}
_SYNC = {"Synced": "✔", "OutOfSync": "≠"}
_SHADE = {"Healthy": "#3fb950", "Progressing": "#58a6ff", "Degraded": "#f85149", "Missing": "#d29922"}
_W, _GAP_X, _GAP_Y = 236, 28, 10  # pixels
_POLL = 0.4  # seconds between two looks


def argocd_tree(app: str, *, until: str = "Healthy", timeout: float = 30, profile: Profile | None = None) -> None:
    """Draw the tree of an Application, again and again until it is synced and `until`, or `timeout` seconds are over.

    The last drawing stays in the notebook.

    Raises:
        LabError: Argo CD has no such Application, or does not answer within `timeout`.
    """
    import httpx
    from IPython.display import display

    from iaclab.platform.services import argocd

    deadline = time.monotonic() + timeout
    handle, shown = None, ""
    with argocd.client(profile) as http:
        while True:
            try:
                state, tree = _ask(http, app)
            except httpx.HTTPError as error:  # its API server may have been killed by a lesson: it comes back
                if time.monotonic() > deadline:
                    why = f"{type(error).__name__}: {error}"
                    raise LabError("Argo CD does not answer.", why=why, mend="iaclab status") from error
                time.sleep(_POLL)
                continue
            picture = draw_tree(state, tree)
            if handle is None:
                handle = display(picture, display_id=True)
            elif picture.svg() != shown:
                handle.update(picture)
            shown = picture.svg()
            if _words(state) == ("Synced", until) or time.monotonic() > deadline:
                return
            time.sleep(_POLL)


def _ask(http: Any, app: str) -> tuple[Object, Object]:
    """The Application and its resource tree, from Argo CD's API."""
    answer = http.get(f"/api/v1/applications/{app}")
    if answer.status_code in (403, 404):
        raise LabError(f"Argo CD has no Application '{app}'.", why=_message(answer), mend="argocd app list")
    tree = http.get(f"/api/v1/applications/{app}/resource-tree")
    answer.raise_for_status()
    return dict(answer.json()), dict(tree.json()) if tree.status_code == 200 else {}


def _message(answer: Any) -> str:
    try:
        return str(answer.json()["message"])[:200]
    except (ValueError, KeyError, TypeError):
        return f"It answers {answer.status_code}."


def _words(app: Object) -> tuple[str, str]:
    """Sync and health of an Application."""
    status = app.get("status") or {}
    return tuple((status.get(part) or {}).get("status") or "Unknown" for part in ("sync", "health"))  # type: ignore[return-value]


def draw_tree(app: Object, tree: Object) -> Picture:
    """The picture for an Application object and its resource tree, as Argo CD's API gives them."""
    synced = {_key(r): r.get("status") or "" for r in (app.get("status") or {}).get("resources") or []}
    nodes = {_id(n): n for n in tree.get("nodes") or []}
    children: dict[str, list[Object]] = {}
    for node in nodes.values():
        parents = [p["uid"] for p in node.get("parentRefs") or [] if p.get("uid") in nodes]
        children.setdefault(parents[0] if parents else "", []).append(node)
    picture = Picture(f"Application {app['metadata']['name']}", "", 10, 10)
    lines: list[str] = []
    widest = 0

    def place(
        kind: str, name: str, sync: str, health: str, depth: int, y: float, kids: list[Object]
    ) -> tuple[float, float]:
        """Draw a subtree from `y` on; returns (its own middle, where the next one may begin)."""
        nonlocal widest
        widest = max(widest, depth)
        sync, health = _clear(sync, "sync"), _clear(health, "health")
        lines.append("  " * depth + " ".join(filter(None, [kind, name, sync, health])))
        x, height = 10 + depth * (_W + _GAP_X), _height(sync, health)
        middles, below = [], y
        if len(kids) == 1:  # a lower box stands at the middle of the one before it
            below += max(0, (height - _height(synced.get(_key(kids[0])), kids[0].get("health"))) / 2)
        for kid in sorted(kids, key=lambda n: (n["kind"], n["name"])):
            own = (kid.get("health") or {}).get("status") or ""
            state = synced.get(_key(kid), "")
            grandkids = children.get(_id(kid), [])
            middle, below = place(kid["kind"], kid["name"], state, own, depth + 1, below, grandkids)
            middles.append(middle)
        centre = (middles[0] + middles[-1]) / 2 if middles else y + height / 2
        centre = max(centre, y + height / 2)
        _draw_box(picture, x, centre - height / 2, height, (kind, name, sync, health))
        for middle in middles:
            picture.line(x + _W, centre, x + _W + _GAP_X, middle)
        return centre, max(below, centre + height / 2 + _GAP_Y)

    _, bottom = place("Application", app["metadata"]["name"], *_words(app), 0, 10, children.get("", []))
    picture.width = 20 + (widest + 1) * _W + widest * _GAP_X
    picture.height = int(bottom)
    picture.text = "\n".join(lines)
    return picture


def _height(sync: object, health: object) -> int:
    """Of a box, in pixels: one with marks has a third line."""
    return 54 if sync or health else 40


def _draw_box(picture: Picture, x: float, y: float, height: int, facts: tuple[str, str, str, str]) -> None:
    kind, name, sync, health = facts
    room = _W - 16
    picture.box(x, y, _W, height, fill=_SHADE.get(health, "none"), dash="5 3" if sync == "OutOfSync" else "")
    picture.words(x + 8, y + 15, kind, size=10.5, fade=True, room=room)
    picture.words(x + 8, y + 31, name, bold=True, room=room)
    marks = [f"{_SYNC.get(sync, '?')} {sync}"] if sync else []
    marks += [f"{_HEALTH.get(health, '?')} {health}"] if health else []
    if marks:
        picture.words(x + 8, y + 47, " · ".join(marks), size=11, room=room)


def _clear(word: str, of: str) -> str:
    """Argo CD says Unknown of both, which side by side would say nothing."""
    return f"{of} unknown" if word == "Unknown" else word


def _id(node: Object) -> str:
    """Argo CD gives no uid to what is in Git and not in the cluster."""
    return str(node.get("uid") or "/".join(_key(node)))


def _key(resource: Object) -> tuple[str, str, str, str]:
    return (resource.get("group", ""), resource["kind"], resource.get("namespace", ""), resource["name"])
