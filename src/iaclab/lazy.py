"""Names of a package that are loaded on first use, so that importing it stays quick."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import Any


def names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package (https://peps.python.org/pep-0562/).

    Args:
        homes: by name, the module that has it; a module of the package itself stands under its own name.
    """

    def load(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        module = importlib.import_module(homes[name])
        value = module if homes[name] == f"{package}.{name}" else getattr(module, name)
        vars(sys.modules[package])[name] = value
        return value

    return load
