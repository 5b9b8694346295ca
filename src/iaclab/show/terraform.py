"""Terraform's graph by modules, and a plan as what is added, changed, replaced and destroyed."""

from __future__ import annotations

import json
import re
import subprocess
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from iaclab.errors import LabError
from iaclab.show.picture import Picture

Object = dict[str, Any]
Row = tuple[str, str, list[str]]  # what happens to a resource, its address, details
_W, _GAP_X, _GAP_Y, _ROW = 236, 44, 14, 16  # pixels
_WIDE, _ATTRIBUTES = 720, 3  # pixels of a plan; attributes named of each change
_ROOT = "root module"
_LOOKS = {  # by what happens: mark, colour
    "added": ("+", "#3fb950"),
    "changed": ("~", "#d29922"),
    "replaced": ("±", "#db6d28"),
    "destroyed": ("−", "#f85149"),
    "forgotten": ("∅", "#8b949e"),
    "moved": ("→", "#58a6ff"),
    "imported": ("↓", "#58a6ff"),
}
_REASONS = {
    "delete_because_no_resource_config": "it is no longer in the configuration",
    "delete_because_no_module": "its module is no longer in the configuration",
    "delete_because_count_index": "its number is no longer in count",
    "delete_because_each_key": "its key is no longer in for_each",
    "replace_because_tainted": "it is tainted",
    "replace_by_request": "-replace asks for it",
    "replace_by_triggers": "replace_triggered_by asks for it",
}
_ACTIONS = {
    ("create",): "added",
    ("update",): "changed",
    ("delete", "create"): "replaced",
    ("create", "delete"): "replaced",
    ("delete",): "destroyed",
    ("forget",): "forgotten",
}


def terraform_graph(folder: str = ".") -> Picture:
    """Draw the modules of a configuration with their resources, from `terraform graph`.

    Raises:
        LabError: Terraform cannot read the configuration.
    """
    return draw_graph(_run(folder, "graph", "-no-color"))


def terraform_plan(plan: str, folder: str = ".") -> Picture:
    """Draw a saved plan (`terraform plan -out=…`), from `terraform show -json`.

    Raises:
        LabError: Terraform cannot read the plan.
    """
    return draw_plan(json.loads(_run(folder, "show", "-json", "-no-color", plan)))


def _run(folder: str, *args: str) -> str:
    try:
        done = subprocess.run(["terraform", *args], cwd=folder, capture_output=True, text=True)
    except FileNotFoundError as error:
        missing = "terraform is not on PATH." if Path(folder).is_dir() else f"There is no folder {folder}."
        raise LabError("Terraform cannot be asked.", why=missing, mend="iaclab up terraform") from error
    if done.returncode:
        said = " ".join(done.stderr.replace("│", "").split()).rpartition("Error: ")[2]
        mend = "terraform init" if "init" in said else f"terraform -chdir={folder} {args[0]}"
        raise LabError(f"`terraform {args[0]}` failed.", why=said[:300], mend=mend)
    return done.stdout


# --- the graph -------------------------------------------------------------------------------------------


def draw_graph(dot: str) -> Picture:
    """The picture for the output of `terraform graph`: a box for each module, to the right of those it waits for."""
    resources = sorted(set(re.findall(r'^\s*"([^"]+)" \[label', dot, re.MULTILINE)))
    edges = re.findall(r'^\s*"([^"]+)" -> "([^"]+)"', dot, re.MULTILINE)
    modules: dict[str, list[str]] = {}
    for address in resources:
        module, name = _split(address)
        modules.setdefault(module, []).append(name)
    waits: dict[str, set[str]] = {module: set() for module in modules}
    for later, first in edges:
        a, b = _split(later)[0], _split(first)[0]
        if a != b and b in modules and a in modules:
            waits[a].add(b)
    columns = _columns(waits)
    direct = {m: {d for d in deps if not _reached(d, deps - {d}, waits)} for m, deps in waits.items()}
    picture = Picture("Modules of the configuration, those made first at the left", "", 10, 10)
    lines, middle = [], {}
    below: dict[int, float] = {}
    for module in sorted(modules, key=lambda m: (columns[m], m)):
        column, height = columns[module], 30 + _ROW * len(modules[module])
        x, y = 10 + column * (_W + _GAP_X), below.get(column, 10.0)
        _draw_module(picture, x, y, height, module, modules[module])
        middle[module] = (x, y + height / 2)
        below[column] = y + height + _GAP_Y
        after = f" (after {', '.join(sorted(direct[module]))})" if direct[module] else ""
        lines.append(f"{module}{after}: {', '.join(modules[module])}")
    for module, deps in direct.items():
        for first in sorted(deps):
            picture.line(middle[first][0] + _W, middle[first][1], *middle[module])
    picture.width = 20 + (max(columns.values(), default=0) + 1) * (_W + _GAP_X) - _GAP_X
    picture.height = int(max(below.values(), default=20.0))
    picture.text = "\n".join(lines) or "no resources"
    return picture


def _split(address: str) -> tuple[str, str]:
    """The module of a resource (`network`, `platform.storage`, or the root) and its address in it."""
    path = re.match(r"(?:module\.[^.]+\.)*", address)
    assert path is not None
    names = re.findall(r"module\.([^.]+)\.", path[0])
    return ".".join(names) or _ROOT, address[path.end() :]


def _in_order(waits: dict[str, set[str]]) -> list[str]:
    """The modules, each after those that it waits for; where some wait for each other, `waits` loses an edge."""
    while True:
        try:
            return list(TopologicalSorter(waits).static_order())
        except CycleError as error:
            first, later = error.args[1][:2]
            waits[later].discard(first)


def _columns(waits: dict[str, set[str]]) -> dict[str, int]:
    """Each module to the right of all that it waits for, and as near as can be to those that wait for it."""
    columns: dict[str, int] = {}
    order = _in_order(waits)
    for module in order:
        columns[module] = max((columns[dep] + 1 for dep in waits[module]), default=0)
    for module in reversed(order):
        users = [columns[user] for user in waits if module in waits[user]]
        columns[module] = min(users, default=columns[module] + 1) - 1
    return columns


def _reached(module: str, others: set[str], waits: dict[str, set[str]]) -> bool:
    """Whether some of `others` waits for `module` itself, so that a line to it would say nothing new."""
    seen, todo = set(others), list(others)
    while todo:
        for dep in waits[todo.pop()] - seen:
            seen.add(dep)
            todo.append(dep)
    return module in seen


def _draw_module(picture: Picture, x: float, y: float, height: int, module: str, resources: list[str]) -> None:
    picture.box(x, y, _W, height)
    picture.words(x + 8, y + 18, module, bold=True, size=13, room=_W - 16)
    for index, name in enumerate(resources):
        top = y + 36 + index * _ROW
        picture.words(x + 8, top, name, size=10.5, room=_W - 16, fade=name.startswith("data."))


# --- the plan --------------------------------------------------------------------------------------------


def draw_plan(plan: Object) -> Picture:
    """The picture for a plan as JSON: a row for each change, and before them what was changed outside Terraform."""
    ours = _written((plan.get("configuration") or {}).get("root_module") or {})
    changes = [row for change in plan.get("resource_changes") or [] if (row := _row(change, ours))]
    drift = [row for change in plan.get("resource_drift") or [] if (row := _row(change, ours)) and row[0] != "moved"]
    picture = Picture("What a plan would do", "", _WIDE, 0)
    lines: list[str] = []
    y = 8.0
    if drift:
        y = _draw_rows(picture, y, "Changed outside Terraform", drift, lines)
    y = _draw_rows(picture, y, _headline([word for word, _, _ in changes]), changes, lines)
    picture.height, picture.text = int(y), "\n".join(lines)
    return picture


def _headline(words: list[str]) -> str:
    counts = [f"{words.count(word)} {word}" for word in _LOOKS if word in words]
    return f"Plan: {', '.join(counts)}" if counts else "Plan: no changes"


def _written(module: Object, path: str = "") -> dict[str, set[str]]:
    """The attributes that the configuration itself sets, by address without keys."""
    found = {f"{path}{r['address']}": set(r.get("expressions") or {}) for r in module.get("resources") or []}
    for name, call in (module.get("module_calls") or {}).items():
        found |= _written(call.get("module") or {}, f"{path}module.{name}.")
    return found


def _row(change: Object, ours: dict[str, set[str]]) -> Row | None:
    """What happens to a resource, its address, and the details; `None` where nothing does."""
    what, address = change["change"], change["address"]
    word = _ACTIONS.get(tuple(what["actions"]), "")
    written = ours.get(re.sub(r'\[(\d+|"[^"]*")\]', "", address), set())
    notes = _differences(what, written) if word in ("changed", "replaced") else []
    if before := change.get("previous_address"):
        word = word or "moved"
        notes.insert(0, f"was {before}")
    if found := what.get("importing"):
        word = "imported" if word in ("", "changed") else word
        notes.insert(0, f"id {found.get('id', '')}")
    if reason := _REASONS.get(change.get("action_reason") or ""):
        notes.append(reason)
    return (word, address, notes) if word else None


def _differences(change: Object, written: set[str]) -> list[str]:
    """The attributes that differ: first those that force a replacement, then those that the configuration sets."""
    before, after = change.get("before") or {}, change.get("after") or {}
    unknown = change.get("after_unknown") or {}
    forcing = {str(path[0]) for path in change.get("replace_paths") or []}
    names = [
        n for n in {**before, **after} if n in forcing or (before.get(n) != after.get(n) and unknown.get(n) is not True)
    ]
    names.sort(key=lambda n: (n not in forcing, n not in written))
    found = [f"{n} {_values(change, n)}{' forces it' if n in forcing else ''}" for n in names[:_ATTRIBUTES]]
    return found + ([f"and {len(names) - _ATTRIBUTES} more"] if len(names) > _ATTRIBUTES else [])


def _values(change: Object, name: str) -> str:
    sides = []
    for side in ("before", "after"):
        hidden = change.get(f"{side}_sensitive") or {}
        if hidden is True or _any_true(hidden.get(name)):
            sides.append("(sensitive)")
        elif side == "after" and _any_true((change.get("after_unknown") or {}).get(name)):
            sides.append("(known after apply)")
        else:
            sides.append(json.dumps((change.get(side) or {}).get(name), ensure_ascii=False))
    return " → ".join(sides)


def _any_true(marks: Any) -> bool:
    """Whether anything in a tree of marks, as plans have them, is true."""
    if isinstance(marks, dict | list):
        return any(map(_any_true, marks.values() if isinstance(marks, dict) else marks))
    return bool(marks)


def _draw_rows(picture: Picture, y: float, heading: str, rows: list[Row], lines: list[str]) -> float:
    """Draw a heading and its rows from `y` on; returns where the next ones begin."""
    room = _WIDE - 44
    picture.words(10, y + 14, heading, bold=True, size=13, room=_WIDE - 20)
    lines.append(heading)
    y += 24
    for word, address, details in sorted(rows, key=lambda row: [*_LOOKS].index(row[0])):
        mark, shade = _LOOKS[word]
        height = 30 + _ROW * len(details)
        picture.box(10, y, _WIDE - 20, height, fill=shade, dash="5 3" if word in ("destroyed", "forgotten") else "")
        picture.words(22, y + 19, f"{mark} {word}", size=11, room=90)
        picture.words(116, y + 19, address, bold=True, room=room - 94)
        for index, detail in enumerate(details):
            picture.words(116, y + 36 + index * _ROW, detail, size=11, room=room - 94, fade=True)
        lines.append(f"  {mark} {word} {address}{': ' if details else ''}{'; '.join(details)}")
        y += height + 6
    return y + 8
