"""The tools of the course: which exist, at which version, and how one gets here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from iaclab import lazy

if TYPE_CHECKING:
    from iaclab.tools.found import Installed as Installed
    from iaclab.tools.found import bin_dir as bin_dir
    from iaclab.tools.found import find as find
    from iaclab.tools.install import attempt as attempt
    from iaclab.tools.install import ensure as ensure

_HOMES = {
    "Installed": "iaclab.tools.found",
    "bin_dir": "iaclab.tools.found",
    "find": "iaclab.tools.found",
    "attempt": "iaclab.tools.install",
    "ensure": "iaclab.tools.install",
}

__getattr__ = lazy.names(__name__, _HOMES)
