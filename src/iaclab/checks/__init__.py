"""`iaclab.check("argocd.first-app")`: is it done yet? One record serves the learner, progress and CI."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import os
import pkgutil
from pathlib import Path

from iaclab import paths
from iaclab.checks import progress
from iaclab.checks.record import Check, Result
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

__all__ = ["Check", "CheckFailed", "Result", "check", "checks"]

_OWN = {"private", "progress", "record"}


class CheckFailed(Exception):
    """A check that did not pass where it must (IACLAB_STRICT_CHECKS=1, as in CI; `nbgrader validate`)."""


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
        CheckFailed: it did not pass and IACLAB_STRICT_CHECKS is set, or nbgrader runs the notebook.
    """
    known = checks()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3, cutoff=0.3)
        raise LabError(
            f"There is no check '{name}'.",
            why=f"Near it: {', '.join(near)}." if near else "",
            mend=f'iaclab.check("{near[0] if near else next(iter(known))}")',
        )
    if paths.graded_folder():
        record = known[name]
        later = "the grader looks when the whole notebook has run"
        return Result(record.title, False, later, "nothing to do here", 0, away=True)
    result = known[name].run(profile or Profile(), attempt=progress.attempts(name) + 1, tell=print)
    if not result.away:  # a platform that is down is no attempt of the learner
        progress.record(name, passed=result.passed, points=result.points)
    if text := progress.news():
        print(text)
    if not (result.passed or result.away) and (back := _way_back()):
        result = dataclasses.replace(result, hint=f"{back} {result.hint}")
    if not result.passed and any(map(os.environ.get, ("IACLAB_STRICT_CHECKS", "NBGRADER_EXECUTION"))):
        raise CheckFailed(str(result))
    return result


def _way_back() -> str:
    """What to do where the notebook is not in its lesson's folder, after a restart or a `%cd`: checks look around."""
    from iaclab import lessons, preparation

    here, root, workspace = Path.cwd(), paths.repo_root(), preparation.workspace_folder("").resolve()
    if root and here.parent == root and here.name in lessons.FOLDERS:
        return "Run this notebook's first cell again: it leads into the lesson's folder, where files are looked for."
    if workspace not in here.parent.parents:
        return ""
    lesson = workspace / here.relative_to(workspace).parts[0]
    return f"This notebook has moved to {here.relative_to(lesson)}, and the check looks there: %cd {lesson}"
