"""Variants of the platform: faulty ones that the learner's work must catch, right ones that it must let pass.

They are data: those that learners see in `cases.yaml`, hidden ones of the same form on the instructor's side. Each
differs from the platform in `right/`: a module by its files, a plan by what is set, added or deleted, manifests
altogether.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from iaclab.mlplatform import accelerators

Object = dict[str, Any]
HERE = Path(__file__).parent
BASE = "the platform as it should be"
DIGEST = "@sha256:60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"


@dataclass(frozen=True)
class Case:
    """One variant: its files by name. `is_right` says whether it must pass."""

    name: str
    is_right: bool
    files: dict[str, str]


@dataclass(frozen=True)
class Cases:
    """The variants of one kind of thing."""

    all: tuple[Case, ...]

    @property
    def faulty(self) -> tuple[Case, ...]:
        """Those to be caught."""
        return tuple(case for case in self.all if not case.is_right)

    @property
    def right(self) -> tuple[Case, ...]:
        """Those to be let through."""
        return tuple(case for case in self.all if case.is_right)


@cache
def visible() -> Object:
    """The variants that learners see."""
    return dict(yaml.safe_load((HERE / "cases.yaml").read_text()))


def modules(table: Object) -> Cases:
    """Variants of the Terraform module, with the platform's own first."""
    base = {path.name: path.read_text() for path in sorted((HERE / "right" / "infra").glob("*.tf"))}

    def files(change: Object) -> dict[str, str]:
        return base | {name: _edited(base.get(name, ""), what) for name, what in change.items()}

    return _cases(base, table["modules"], files)


def plans(table: Object) -> Cases:
    """Variants of the plan, as `terraform show -json` writes it, with the platform's own first."""
    base = json.loads((HERE / "plan.json").read_text())

    def files(change: Object) -> dict[str, str]:
        return {"plan.json": json.dumps(_planned(base, change), indent=1)}

    return _cases(files({}), table["plans"], files)


def manifests(table: Object) -> Cases:
    """Variants of Kubernetes objects, with the platform's own first."""
    own = "\n---\n".join(path.read_text() for path in sorted((HERE / "right" / "manifests").glob("*.yaml")))
    return _cases({"objects.yaml": own}, table["manifests"], lambda text: {"objects.yaml": with_digests(text)})


def with_digests(text: str) -> str:
    """What the table writes as DIGEST, written out."""
    return text.replace("DIGEST", DIGEST)


def _cases(base: dict[str, str], table: Object, files: Any) -> Cases:
    found = [Case(BASE, True, base)]
    for kind in ("faulty", "right"):
        found += [Case(name, kind == "right", files(change)) for name, change in table[kind].items()]
    return Cases(tuple(found))


def _edited(text: str, change: str | list[list[str]]) -> str:
    if isinstance(change, str):
        return change
    for old, new in change:
        if text.count(old) != 1:
            raise ValueError(f"{old!r} stands there {text.count(old)} times")
        text = text.replace(old, new)
    return text


def _planned(base: Object, change: Object) -> Object:
    """The plan with a change, wherever it speaks of it: its resource changes and its planned values."""
    plan = copy.deepcopy(base)
    if change.get("nothing"):
        plan["planned_values"] = {"root_module": {}}
        del plan["resource_changes"]
        return plan
    for address, values in change.get("add", {}).items():
        _add(plan, address, values)
    for address, values in change.get("set", {}).items():
        for found in _values(plan, address):
            found |= values
            _derive(address, found)
    for address, values in change.get("delete", {}).items():
        entry = _copied(plan, address, values)
        entry["change"] |= {"actions": ["delete"], "before": entry["change"]["after"], "after": None}
        plan["resource_changes"].append(entry)
    for address, actions in change.get("actions", {}).items():
        entry = next(e for e in plan["resource_changes"] if e["address"] == address)
        before = copy.deepcopy(entry["change"]["after"])
        if actions != ["no-op"]:
            before = copy.deepcopy(
                next(e for e in base["resource_changes"] if e["address"] == address)["change"]["after"]
            )
        entry["change"] |= {"actions": actions, "before": before}
    return plan


def _add(plan: Object, address: str, values: Object) -> None:
    entry = _copied(plan, address, values)
    plan["resource_changes"].append(entry)
    module = plan["planned_values"]["root_module"]
    inside = ""
    for part in re.findall(r'module\.\w+(?:\["[^"]*"\])?', address):
        inside = f"{inside}.{part}".lstrip(".")
        children = module.setdefault("child_modules", [])
        module = next((child for child in children if child["address"] == inside), None) or {"address": inside}
        if module not in children:
            children.append(module)
    planned = {key: entry[key] for key in ("address", "mode", "type", "name", "provider_name")}
    module.setdefault("resources", []).append(planned | {"schema_version": 1, "values": entry["change"]["after"]})


def _copied(plan: Object, address: str, values: Object) -> Object:
    """An entry for a resource that is not there yet, like another one of its type."""
    kind, name = re.sub(r'^(?:module\.\w+(?:\["[^"]*"\])?\.)*', "", address).split(".", 1)
    like: Object = next((e for e in plan["resource_changes"] if e["type"] == kind), plan["resource_changes"][0])
    entry: Object = copy.deepcopy(like)
    entry |= {"address": address, "type": kind, "name": re.sub(r"\[.*", "", name)}
    entry["change"] |= {"actions": ["create"], "before": None}
    if like["type"] != kind:
        entry["provider_name"] = "terraform.io/builtin/terraform"
        entry["change"]["after"] = {}
    entry["change"]["after"] |= values
    _derive(address, entry["change"]["after"])
    return entry


def _values(plan: Object, address: str) -> Iterator[Object]:
    yield next(e["change"]["after"] for e in plan["resource_changes"] if e["address"] == address)
    resources = plan["planned_values"]["root_module"]["resources"]
    yield next(r["values"] for r in resources if r["address"] == address)


def _derive(address: str, values: Object) -> None:
    """What the provider computes of a pool."""
    if "mlplatform_gpu_node_pool" in address:
        nodes, gpus = values["node_count"], values["node_count"] * values["gpus_per_node"]
        values["id"], values["total_gpus"] = values["name"], gpus
        values["node_names"] = [f"{values['name']}-{number + 1}" for number in range(nodes)]
        values["hourly_cost"] = accelerators.gpu_hours_cost(values["accelerator"], gpus, 1)
