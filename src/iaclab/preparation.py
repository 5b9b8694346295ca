"""`iaclab.prepare(LESSON)`: the first cell of every notebook."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from iaclab import lessons, paths, tools
from iaclab.errors import LabError
from iaclab.platform import lifecycle, registry
from iaclab.platform.profile import Profile


def prepare(lesson: str, *, reset: bool = False) -> None:
    """Bring up what a lesson needs, set the shell's environment, and move into its workspace folder.

    Idempotent: run it again at any time. It prints what it changes.

    Args:
        lesson: the lesson's id, e.g. ``04-argocd-deployment``.
        reset: bring the profile back to clean first; files in the workspace stay.

    Raises:
        LabError: no such lesson, a tool that cannot be had, or a service that cannot be brought up.
    """
    started = time.monotonic()
    if graded := paths.graded_folder():  # the grader has brought everything up and set the environment
        os.chdir(graded)
        print("ready: this notebook is being graded")
        return
    entry = lessons.lesson(lesson)
    folder = workspace(lesson)
    os.chdir(folder)  # first: what later cells write must not land beside the notebook when a service fails
    _say_what_comes_before(entry)
    profile = Profile()
    progress = ProgressLines()
    if reset:
        lifecycle.reset(profile=profile, progress=progress)
    tools.ensure(*entry.tools)
    if entry.needs:
        lifecycle.up(*entry.needs, profile=profile, progress=progress)
    wanted = {**profile.env(), **own_git(folder)}
    changed = {key: value for key, value in wanted.items() if os.environ.get(key) != value}
    os.environ.update(changed)
    services = sorted(s.name for s in registry.with_needs(list(entry.needs)))
    print(f"services  {', '.join(services) or 'none'}")
    if changed:
        print(f"set       {', '.join(sorted(k for k in changed if not k.startswith('GIT_C')))}")
    print(f"folder    {_short(folder)}")
    print(f"ready in  {time.monotonic() - started:.1f} s")


def own_git(folder: Path) -> dict[str, str]:
    """Keeps `git` in a folder without a repository from finding, and committing to, the course's own clone above it."""
    return {"GIT_CEILING_DIRECTORIES": str(folder.parent)}


def workspace(lesson: str) -> Path:
    """The visible folder of a lesson: `workspace/<lesson>` in the clone, or where IACLAB_WORKSPACE says."""
    folder = workspace_folder(lesson)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LabError(
            f"The workspace {folder} cannot be made.",
            why=error.strerror or str(error),
            mend="export IACLAB_WORKSPACE=/a/folder/you/own",
        ) from error
    return folder


def workspace_folder(lesson: str) -> Path:
    """As `workspace`, whether it is there or not."""
    root = paths.repo_root() or Path.home() / "iaclab"
    return root / (os.environ.get("IACLAB_WORKSPACE") or "workspace") / lesson  # an absolute one replaces the root


def _say_what_comes_before(entry: lessons.Lesson) -> None:
    """Note that the lesson was opened, and offer those that it builds on where they are not done; nothing stops it."""
    from iaclab import learning_path
    from iaclab.checks import progress

    with contextlib.suppress(LabError):  # a lesson goes on without progress
        progress.record_opened(entry.id)
        if text := progress.news():
            print(text)
        if missing := learning_path.missing_before(entry):
            from iaclab.show.path import offer

            offer(missing)


class ProgressLines:
    """Prints one line for each thing that happens to a service."""

    def __call__(self, service: str, what: str) -> None:
        if what != "ready":
            print(f"{service:<10}{what} …", flush=True)


def _short(path: Path) -> str:
    """The path from the clone's root on: the same on every machine."""
    parts = path.parts
    return "/".join(parts[parts.index("workspace") :]) if "workspace" in parts else str(path)
