"""Checks of the lab that the tests of grading use: two files."""

from __future__ import annotations

import json
from pathlib import Path

from iaclab.checks.record import Check
from iaclab.platform.profile import Profile


def _region(profile: Profile) -> str:
    del profile
    return Path("region.txt").read_text().strip()


def _nodes(profile: Profile) -> list[str]:
    del profile
    return list(json.loads(Path("nodes.json").read_text()))


CHECKS = {
    "region": Check(
        title="region.txt names the region",
        probe=_region,
        expect=lambda seen: seen == "eu-west-1",
        hints=("Which region?", "It stands in the task.", "echo eu-west-1 > region.txt"),
        points=30,
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
