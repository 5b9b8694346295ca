"""The tools of the course: which exist, at which version, and how one gets here."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iaclab.tools.catalogue import catalogue as catalogue
    from iaclab.tools.catalogue import tool as tool
    from iaclab.tools.found import Installed as Installed
    from iaclab.tools.found import bin_dir as bin_dir
    from iaclab.tools.found import find as find
    from iaclab.tools.install import ensure as ensure

_HOMES = {
    "catalogue": "catalogue",
    "tool": "catalogue",
    "Installed": "found",
    "bin_dir": "found",
    "find": "found",
    "ensure": "install",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'iaclab.tools' has no attribute '{name}'")
    value = getattr(importlib.import_module(f"iaclab.tools.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
