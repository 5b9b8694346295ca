"""`iaclab.prepare(LESSON)`: the first cell of every notebook."""

from __future__ import annotations

import os
import time
from pathlib import Path

from iaclab import lessons
from iaclab.errors import LabError
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile


def prepare(lesson: str, *, reset: bool = False) -> None:
    """Bring up what a lesson needs, set the shell's environment, and move into its workspace folder.

    Idempotent: run it again at any time. It prints what it changes.

    Args:
        lesson: the lesson's id, e.g. ``04-argocd-deployment``.
        reset: bring the profile back to clean first; files in the workspace stay.

    Raises:
        LabError: no such lesson, or a service that cannot be brought up.
    """
    started = time.monotonic()
    entry = lessons.lesson(lesson)
    folder = workspace(lesson)
    os.chdir(folder)  # first: what later cells write must not land beside the notebook when a service fails
    profile = Profile()
    progress = ProgressLines()
    if reset:
        lifecycle.reset(profile=profile, progress=progress)
    lifecycle.up(*entry.needs, profile=profile, progress=progress)
    changed = {key: value for key, value in profile.env().items() if os.environ.get(key) != value}
    os.environ.update(changed)
    ready = ", ".join(s.name for s in lifecycle.status(profile) if s.state == "ready")
    print(f"services  {ready}")
    if changed:
        print(f"set       {', '.join(sorted(k for k in changed if not k.startswith('GIT_CONFIG')))}")
    print(f"folder    {_short(folder)}")
    print(f"ready in  {time.monotonic() - started:.1f} s")


def workspace(lesson: str) -> Path:
    """The visible folder of a lesson: `workspace/<lesson>` beside the notebooks, or where IACLAB_WORKSPACE says."""
    from iaclab import paths

    base = Path(os.environ.get("IACLAB_WORKSPACE") or (paths.repo_root() or Path.home() / "iaclab") / "workspace")
    folder = base / lesson
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"The workspace {folder} cannot be made.",
            why=error.strerror or str(error),
            mend="export IACLAB_WORKSPACE=/a/folder/you/own",
        ) from error
    return folder


class ProgressLines:
    """Prints one line for each thing that happens to a service."""

    def __call__(self, service: str, what: str) -> None:
        if what != "ready":
            print(f"{service:<10}{what} …", flush=True)


def _short(path: Path) -> str:
    """The path from the clone's root on: the same on every machine."""
    parts = path.parts
    return "/".join(parts[parts.index("workspace") :]) if "workspace" in parts else str(path)
