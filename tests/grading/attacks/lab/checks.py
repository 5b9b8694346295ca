"""Checks of the lab that the attack suite attacks: two files, and a learner's program that a check runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from iaclab.checks.record import Check
from iaclab.grading import confined
from iaclab.platform.profile import Profile


def _region(profile: Profile) -> str:
    del profile
    return Path("region.txt").read_text().strip()


def _nodes(profile: Profile) -> list[str]:
    """The names. On the way `git` is asked for something: it is a program that reads settings from its user's home."""
    del profile
    subprocess.run(["git", "diff", "--no-index", os.devnull, "nodes.json"], capture_output=True, timeout=15)
    return list(json.loads(Path("nodes.json").read_text()))


def _gpus(profile: Profile) -> str:
    """What the learner's program says."""
    del profile
    env = {"PATH": os.defpath}
    with tempfile.TemporaryDirectory() as scratch:
        argv = [sys.executable, str(Path("gpus.py").absolute()), "8", "8", "4"]
        return confined.run(argv, folder=Path(scratch), env=env, timeout=15).stdout.strip()


CHECKS = {
    "region": Check(
        title="region.txt names the region",
        probe=_region,
        expect=lambda seen: seen == "eu-west-1",
        hints=("Which region?", "It stands in the task.", "echo eu-west-1 > region.txt"),
        points=30,
        needs=(),
    ),
    "gpus": Check(
        title="gpus.py adds its arguments",
        probe=_gpus,
        expect=lambda seen: seen == "20",
        hints=("What does it print?", "sys.argv has the numbers.", "print(sum(map(int, sys.argv[1:])))"),
        points=20,
        needs=(),
    ),
    "nodes": Check(
        title="nodes.json lists three names",
        probe=_nodes,
        expect=lambda seen: len(seen) == 3,
        hints=("How many?", "A list in JSON.", 'json.dump(["a", "b", "c"], file)'),
        points=20,
        needs=(),
    ),
}
