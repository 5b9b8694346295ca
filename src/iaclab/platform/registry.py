"""Finds the services: every module of `iaclab.platform.services` holds one or more as SERVICES."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from functools import cache

from iaclab.errors import LabError
from iaclab.platform.service import Service


@cache
def services() -> dict[str, Service]:
    """Every service by its name."""
    from iaclab.platform import services as package

    found: dict[str, Service] = {}
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        for service in importlib.import_module(module.name).SERVICES:
            found[service.name] = service
    return found


def service(name: str) -> Service:
    """The service called `name`.

    Raises:
        LabError: there is none; the message names the nearest ones.
    """
    known = services()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise LabError(
            f"There is no service '{name}'.",
            why="Services: " + ", ".join(sorted(known)) + ".",
            mend=f"iaclab up {near[0] if near else 'cluster'}",
        )
    return known[name]


def with_needs(names: list[str]) -> list[Service]:
    """`names` and everything they need, dependencies first."""
    ordered: dict[str, Service] = {}

    def visit(name: str) -> None:
        if name not in ordered:
            for need in service(name).needs:
                visit(need)
            ordered[name] = service(name)

    for name in names:
        visit(name)
    return list(ordered.values())
