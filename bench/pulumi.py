"""Pulumi beside Terraform, on the same provider: preview, apply and runs without changes of 30 and 300 buckets.

Terraform looks at every resource before a plan, Pulumi when it is told to: runs without changes are taken both ways.
Both engines work on ten resources at once. Buckets and not node pools: KWOK's client makes five nodes Ready a second,
which would be all that is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.table import Row, timed
from bench.terraform import OURS
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

TITLE = "Pulumi"
COUNTS = (30, 300)
TERRAFORM = OURS.replace("bench-", "terraform-")
PULUMI = """
import sys

from pulumi import automation as auto
from iaclab.pulumi_platform.resources import ModelBucket

operation, size = sys.argv[1], int(sys.argv[2])
look = {"refresh": True} if operation == "up-refresh" else {}


def program():
    for index in range(size):
        ModelBucket(f"pulumi-{index}")


stack = auto.create_or_select_stack("dev", project_name="bench", program=program)
getattr(stack, operation.split("-")[0])(parallel=10, **look)
"""
STEPS = (  # (what, Terraform's words, Pulumi's operation)
    ("preview", "plan", "preview"),
    ("apply", "apply -auto-approve", "up"),
    ("apply without changes, without a look,", "apply -auto-approve -refresh=false", "up"),
    ("apply without changes, with a refresh,", "apply -auto-approve", "up-refresh"),
    ("destroy", "destroy -auto-approve", "destroy"),
)


def rows() -> Iterator[Row]:
    """The measurements; a step's two sides run one right after the other."""
    profile = Profile()
    lifecycle.up("aws", "terraform", "pulumi", profile=profile)
    env = {**os.environ, **profile.env()}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "main.tf").write_text(TERRAFORM)
        (folder / "bench.py").write_text(PULUMI)
        _run(["terraform", "init"], folder, env)
        for count in COUNTS:
            for what, words, operation in STEPS:
                terraform = ["terraform", *words.split(), f"-var=size={count}", "-parallelism=10"]
                pulumi = [sys.executable, "bench.py", operation, str(count)]
                base = timed(lambda: _run(terraform, folder, env))  # noqa: B023, it runs at once
                mine = timed(lambda: _run(pulumi, folder, env))  # noqa: B023
                yield Row(f"{what} of {count} buckets, Pulumi", mine, "s", base, "Terraform")
    lifecycle.down(profile=profile)


def _run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
