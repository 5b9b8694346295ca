"""`iaclab.check("argocd.first-app")`: is it done yet? One record serves the learner, progress and CI."""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil

from iaclab.checks import progress
from iaclab.checks.record import Check, Result
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

__all__ = ["Check", "CheckFailed", "Result", "check", "checks"]

_OWN = {"record", "progress"}


class CheckFailed(Exception):
    """A check that did not pass where it must (IACLAB_STRICT_CHECKS=1, as in CI)."""


def checks() -> dict[str, Check]:
    """Every check by its name `topic.name`."""
    found: dict[str, Check] = {}
    for module in pkgutil.iter_modules(__path__):
        if module.name not in _OWN:
            table = importlib.import_module(f"{__name__}.{module.name}").CHECKS
            found |= {f"{module.name}.{name}": record for name, record in table.items()}
    return found


def check(name: str, profile: Profile | None = None) -> Result:
    """Run the check called `name` (`topic.name`), note the result, and say what is next.

    Raises:
        LabError: there is no such check.
        CheckFailed: it did not pass and IACLAB_STRICT_CHECKS is set.
    """
    known = checks()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3)
        raise LabError(
            f"There is no check '{name}'.",
            why=f"Near it: {', '.join(near)}." if near else "",
            mend=f'iaclab.check("{near[0] if near else next(iter(known))}")',
        )
    result = known[name].run(profile or Profile(), attempt=progress.attempts(name) + 1)
    progress.record(name, passed=result.passed, points=result.points)
    if not result.passed and os.environ.get("IACLAB_STRICT_CHECKS"):
        raise CheckFailed(str(result))
    return result
