"""IaC Lab: Infrastructure as Code and GitOps for ML platforms, on the real tools, locally.

The names below load what they need on first use, so that `import iaclab` stays quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from iaclab import show as show
    from iaclab.checks import check as check
    from iaclab.errors import LabError as LabError
    from iaclab.platform.lifecycle import down as down
    from iaclab.platform.lifecycle import reset as reset
    from iaclab.platform.lifecycle import status as status
    from iaclab.platform.lifecycle import up as up
    from iaclab.platform.profile import Profile as Profile
    from iaclab.prepare import prepare as prepare

__version__ = "0.1.0"

_HOMES = {
    "check": "iaclab.checks",
    "LabError": "iaclab.errors",
    "Profile": "iaclab.platform.profile",
    "down": "iaclab.platform.lifecycle",
    "prepare": "iaclab.prepare",
    "reset": "iaclab.platform.lifecycle",
    "show": "iaclab.show",
    "status": "iaclab.platform.lifecycle",
    "up": "iaclab.platform.lifecycle",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'iaclab' has no attribute '{name}'")
    module = importlib.import_module(_HOMES[name])
    value = module if module.__name__ == f"iaclab.{name}" and name == "show" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
