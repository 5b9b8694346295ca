"""Where tests are judged: copies of the learner's folders, one of them broken on purpose, and programs run in them."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_TIMEOUT = 240  # seconds; a busy machine may need some


def run(profile: Profile, folder: str | Path, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a folder, with the profile's environment."""
    environment = {**os.environ, **profile.env(), "TF_CLI_ARGS": "-no-color", **env}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_TIMEOUT)


@contextlib.contextmanager
def mutant(folder: str, file: str = "", old: str = "", new: str = "") -> Iterator[Path]:
    """A copy of `folder` without its states, in which `old` has become `new`; a plain copy where no file is named.

    Raises:
        LabError: `old` does not stand in the file.
    """
    with tempfile.TemporaryDirectory(prefix="iaclab-mutant-") as base:
        copy = Path(base) / Path(folder).name
        shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns("*.tfstate*", ".test-data"))
        if file:
            text = (copy / file).read_text()
            if old not in text:
                raise LabError(f"{folder}/{file} is not what this lesson's cell has written: run that cell again")
            (copy / file).write_text(text.replace(old, new))
        yield copy


def verdict(done: subprocess.CompletedProcess[str]) -> str:
    """What a run of tests said, as one word."""
    return "passes" if done.returncode == 0 else "fails"


def plan(profile: Profile, folder: str | Path, *args: str) -> dict[str, Any]:
    """The planned values of a folder's resources, by address.

    Raises:
        LabError: there is no plan.
    """
    import json

    with tempfile.TemporaryDirectory(prefix="iaclab-plan-") as base:
        file = f"{base}/plan"
        made = run(profile, folder, "terraform", "plan", "-lock=false", "-input=false", f"-out={file}", *args)
        if made.returncode:
            raise LabError(next((line for line in made.stderr.splitlines() if "Error" in line), "there is no plan"))
        shown = json.loads(run(profile, folder, "terraform", "show", "-json", file).stdout)
    return {change["address"]: change["change"]["after"] for change in shown.get("resource_changes", [])}
