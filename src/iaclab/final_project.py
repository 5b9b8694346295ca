"""Where a learner begins the final project at a later milestone: what is missing before it, from the model solution."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

from iaclab import lessons
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, git

LESSON = "90-final-project"


def _on_main(path: str) -> Callable[[Profile], bool]:
    return lambda profile: git.head(profile, "platform", f"main:{path}") is not None


def _there(path: str) -> Callable[[Profile], bool]:
    return lambda profile: cluster.kube(profile).get(path) is not None


_BEGUN = {  # by what a milestone is known to be under way, whoever works on it
    1: _on_main("infra"),
    2: _there("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/platform"),
    3: _there("/api/v1/namespaces/fraud/secrets/model-registry"),
    4: _on_main("bin/compliance"),
}


def begin(milestone: int, profile: Profile | None = None) -> None:
    """Build the milestones before this one that nobody has begun, with the model solution; a notebook's cell.

    What is there is left alone, finished or not. Where the work folder has no clone of platform.git, it gets one.

    Args:
        milestone: its number, 2 to 5.

    Raises:
        LabError: a cell of the model solution fails.
    """
    profile = profile or Profile()
    for number in range(1, milestone):
        if _BEGUN[number](profile):
            continue
        print(f"milestone {number} has not been begun: building it from the model solution …", flush=True)
        for code in _solution(number):
            _run(code, number)
    if not Path("platform").exists() and _BEGUN[1](profile):
        url = f"{git.url(profile)}/platform.git"
        subprocess.run(["git", "clone", "--quiet", url, "platform"], env={**os.environ, **profile.env()}, check=True)
    print(f"ready for milestone {milestone}")


def _solution(number: int) -> list[str]:
    """The code of a milestone's model solution, cell by cell."""
    from iaclab.build.text import parse

    text = parse(lessons.lesson(LESSON).source.read_text())
    inside = False
    found = []
    for section in text.sections:
        if section.level == 2:
            inside = section.title.startswith(f"Milestone {number}:")
        if inside:
            found += [cell.code for cell in section.cells if "solution" in cell.tags]
    return found


def _run(code: str, number: int) -> None:
    from IPython.core.getipython import get_ipython
    from IPython.utils.capture import capture_output

    shell = get_ipython()
    if shell is None:
        raise LabError("This is a notebook's cell.", mend="iaclab lab   # and open notebooks/90-final-project.ipynb")
    with capture_output() as said:
        result = shell.run_cell(code)
    if not result.success:
        raise LabError(
            f"The model solution of milestone {number} does not get through.",
            why=" ".join((said.stdout + said.stderr).split())[-300:],
            mend="iaclab reset   # and begin again",
        )
