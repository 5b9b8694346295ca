"""IaC Lab: Infrastructure as Code and GitOps for ML platforms, on the real tools, locally.

The names below load what they need on first use, so that `import iaclab` stays quick.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from iaclab import lazy

if TYPE_CHECKING:
    from iaclab import quiz as quiz
    from iaclab import show as show
    from iaclab.answering import answer as answer
    from iaclab.checks import check as check
    from iaclab.errors import LabError as LabError
    from iaclab.platform.lifecycle import down as down
    from iaclab.platform.lifecycle import reset as reset
    from iaclab.platform.lifecycle import status as status
    from iaclab.platform.lifecycle import up as up
    from iaclab.platform.profile import Profile as Profile
    from iaclab.preparation import prepare as prepare
    from iaclab.show.path import progress as progress

__version__ = "0.1.0"

_HOMES = {
    "answer": "iaclab.answering",
    "check": "iaclab.checks",
    "LabError": "iaclab.errors",
    "Profile": "iaclab.platform.profile",
    "down": "iaclab.platform.lifecycle",
    "prepare": "iaclab.preparation",
    "progress": "iaclab.show.path",
    "quiz": "iaclab.quiz",
    "reset": "iaclab.platform.lifecycle",
    "show": "iaclab.show",
    "status": "iaclab.platform.lifecycle",
    "up": "iaclab.platform.lifecycle",
}


__getattr__ = lazy.names(__name__, _HOMES)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
