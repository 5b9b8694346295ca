"""Looks at both regions, at the repository, and at what its programs say in a fresh clone."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from iaclab.checks.project.spec import REPOSITORY, Region
from iaclab.errors import LabError
from iaclab.platform.kube import Kube
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

Object = dict[str, Any]
_LONGEST = 120  # seconds that a program of the repository may take
_TRACKING = "argocd.argoproj.io/tracking-id"


def api(profile: Profile, region: Region) -> Kube:
    """The Kubernetes API of a region, for its administrator."""
    return cluster.kube(profile, region.cluster)


def items(profile: Profile, region: Region, path: str) -> list[Object]:
    """The objects of a list in a region; none where the list is not there."""
    return list((api(profile, region).get(path) or {}).get("items", []))


def comes_from(manifest: Object) -> str:
    """The Application that has deployed an object; empty where none has."""
    return str((manifest["metadata"].get("annotations") or {}).get(_TRACKING, "")).split(":")[0]


def git(profile: Profile, *arguments: str, text: bool = True) -> Any:
    """What git says of the repository on the server.

    Raises:
        LabError: it refuses, as where there is no branch main.
    """
    folder = profile.folder("git", "repositories") / f"{REPOSITORY}.git"
    done = subprocess.run(_git("--git-dir", str(folder), *arguments), env=_plain(), capture_output=True, timeout=30)
    if done.returncode:
        raise LabError(f"{REPOSITORY}.git: {done.stderr.decode(errors='replace').strip() or 'there is no such thing'}")
    return done.stdout.decode(errors="replace") if text else done.stdout


def _git(*arguments: str) -> list[str]:
    return ["git", "-c", "safe.directory=*", *arguments]


def _plain() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


def files(profile: Profile) -> dict[str, str]:
    """Every text file of main, by its path."""
    found = {}
    for name in git(profile, "ls-tree", "-r", "-z", "--name-only", "main").split("\0"):
        if name:
            found[name] = str(git(profile, "show", f"main:{name}"))
    return found


def everything(profile: Profile) -> bytes:
    """The contents of every object that was ever pushed, one after the other."""
    return bytes(git(profile, "cat-file", "--batch-all-objects", "--batch", "--unordered", text=False))


@contextmanager
def clone(profile: Profile) -> Iterator[Path]:
    """A fresh clone of main, as a pipeline has it; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="iaclab-") as place:
        source = profile.folder("git", "repositories") / f"{REPOSITORY}.git"
        command = _git("clone", "--quiet", "--branch", "main", str(source), f"{place}/{REPOSITORY}")
        done = subprocess.run(command, env=_plain(), capture_output=True, text=True, timeout=60)
        if done.returncode:
            raise LabError(f"{REPOSITORY}.git has no branch main")
        yield Path(place) / REPOSITORY


def run(profile: Profile, folder: Path, program: str) -> subprocess.CompletedProcess[str]:
    """Run one of the repository's programs in a clone, with a learner's environment.

    Raises:
        LabError: it is not there, cannot be executed, or takes too long.
    """
    path = folder / program
    if not path.is_file():
        raise LabError(f"{program} is not on main")
    if not os.access(path, os.X_OK):
        raise LabError(f"{program} cannot be executed: git update-index --chmod=+x {program}")
    env = {**os.environ, **profile.env(), "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    try:
        command = [str(path)]
        return subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, errors="replace", timeout=_LONGEST
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"{program} takes longer than {_LONGEST} s") from None
    except OSError as error:
        raise LabError(f"{program} does not start: {error.strerror}") from None


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """The end of what a program said."""
    return " ".join((done.stdout + done.stderr).split())[-160:] or "nothing"
