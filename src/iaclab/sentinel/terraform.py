"""Terraform's imports, made from what `terraform show -json` says of a plan or a state.

The generation of imports that is called v2: resources are maps by address, modules are flat.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

Document = dict[str, Any]
_RESOURCE = ("address", "type", "name", "index", "provider_name", "values", "depends_on", "tainted", "deposed_key")


def imports(plan: Document, run: Document | None = None) -> dict[str, Document]:
    """Each import by its name; `run` is what the server knows of the run, for `tfrun`."""
    plan = copy.deepcopy(plan)
    found = {"tfplan/v2": tfplan(plan), "tfconfig/v2": tfconfig(plan.get("configuration") or {})}
    found["tfstate/v2"] = tfstate(plan.get("prior_state") or plan)
    return found | ({"tfrun": copy.deepcopy(run)} if run is not None else {})


def tfplan(plan: Document) -> Document:
    """What a plan will change, and what there will be."""
    return {
        "terraform_version": plan.get("terraform_version"),
        "variables": {name: {"name": name, **v} for name, v in plan.get("variables", {}).items()},
        "planned_values": _values(plan.get("planned_values") or {}),
        "resource_changes": _changes(plan.get("resource_changes", [])),
        "resource_drift": _changes(plan.get("resource_drift", [])),
        "output_changes": {n: {"name": n, "change": c} for n, c in plan.get("output_changes", {}).items()},
        "raw": plan,
    }


def tfstate(state: Document) -> Document:
    """What there is, by the state."""
    return {"terraform_version": state.get("terraform_version"), **_values(state.get("values") or {})}


def tfconfig(configuration: Document) -> Document:
    """What the configuration says, module by module."""
    root = configuration.get("root_module") or {}
    modules = list(_modules(root, ""))
    resources = {}
    for prefix, module in modules:
        for resource in module.get("resources", []):
            address = _join(prefix, resource["address"])
            resources[address] = {
                "address": address,
                "module_address": prefix,
                "mode": resource["mode"],
                "type": resource["type"],
                "name": resource["name"],
                "provider_config_key": resource.get("provider_config_key", ""),
                "provisioners": resource.get("provisioners", []),
                "config": resource.get("expressions", {}),
                "count": resource.get("count_expression", {}),
                "for_each": resource.get("for_each_expression", {}),
                "depends_on": resource.get("depends_on", []),
            }
    return {
        "resources": resources,
        "providers": configuration.get("provider_config", {}),
        "variables": _named(modules, "variables", lambda v: {"default": v.get("default"), **v}),
        "outputs": _named(modules, "outputs", lambda output: output),
        "module_calls": _named(modules, "module_calls", _call),
    }


def _call(call: Document) -> Document:
    kept = ("source", "version_constraint", "depends_on")
    return {key: call[key] for key in kept if key in call} | {"config": call.get("expressions", {})}


def _changes(changes: list[Document]) -> Document:
    found = {}
    for change in changes:
        key = f"{change['address']}:{change['deposed']}" if change.get("deposed") else change["address"]
        found[key] = {"module_address": "", "index": None, "deposed": "", **change}
    return found


def _values(values: Document) -> Document:
    outputs = {name: {"name": name, **output} for name, output in values.get("outputs", {}).items()}
    return {"outputs": outputs, "resources": dict(_resources(values.get("root_module") or {}))}


def _resources(module: Document) -> Iterator[tuple[str, Document]]:
    prefix = module.get("address", "")
    for resource in module.get("resources", []):
        kept = {key: resource.get(key) for key in _RESOURCE if key in resource}
        yield resource["address"], {"module_address": prefix, "mode": resource["mode"], "index": None, **kept}
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _modules(module: Document, prefix: str) -> Iterator[tuple[str, Document]]:
    yield prefix, module
    for name, call in module.get("module_calls", {}).items():
        yield from _modules(call.get("module") or {}, _join(prefix, f"module.{name}"))


def _join(prefix: str, name: str) -> str:
    return f"{prefix}.{name}" if prefix else name


def _named(modules: list[tuple[str, Document]], kind: str, form: Callable[[Document], Document]) -> Document:
    """Things that have a name in their module: the key is `module.address:name`, in the root only the name."""
    return {
        f"{prefix}:{name}" if prefix else name: {"name": name, "module_address": prefix, **form(thing)}
        for prefix, module in modules
        for name, thing in module.get(kind, {}).items()
    }
