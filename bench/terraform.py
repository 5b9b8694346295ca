"""The provider: plan, apply and a plan without changes of 30 and 300 buckets, beside as many `terraform_data`.

Buckets and not node pools: KWOK's client makes five nodes Ready a second, which would be all that is measured.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.table import Row, median, timed
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

TITLE = "Terraform"
COUNTS = (30, 300)
OURS = """
terraform {
  required_providers {
    mlplatform = { source = "course.local/iaclab/mlplatform" }
  }
}

variable "size" { type = number }

resource "mlplatform_model_bucket" "bench" {
  count = var.size
  name  = "bench-${count.index}"
}
"""
THEIRS = """
variable "size" { type = number }

resource "terraform_data" "bench" {
  count = var.size
  input = { name = "bench-${count.index}" }
}
"""


def rows() -> Iterator[Row]:
    """The measurements; a step's two sides run one right after the other."""
    profile = Profile()
    lifecycle.up("aws", "terraform", profile=profile)
    env = {**os.environ, **profile.env()}
    start = [sys.executable, "-m", "iaclab.terraform_provider"]
    plain = median([timed(lambda: subprocess.run([sys.executable, "-c", "pass"])) for _ in range(5)])
    yield Row(
        "start of the provider, beyond Python's", median([_start(start, env) for _ in range(5)]) - plain, at_most=0.3
    )
    with tempfile.TemporaryDirectory() as scratch:
        ours, theirs = _folder(scratch, "ours", OURS, env), _folder(scratch, "theirs", THEIRS, env)
        for count in COUNTS:
            for step in ("plan", "apply -auto-approve", "plan -detailed-exitcode", "destroy -auto-approve"):
                mine = timed(lambda: _terraform(ours, step, count, env))  # noqa: B023, it runs at once
                base = timed(lambda: _terraform(theirs, step, count, env))  # noqa: B023
                name = {"plan -detailed-exitcode": "plan without changes"}.get(step, step.split()[0])
                yield Row(f"{name} of {count} buckets", mine, "s", base, f"{count} terraform_data")
                if count == COUNTS[0] and step != "destroy -auto-approve":
                    yield Row(f"what the provider adds to it: {name} of {count}", mine - base, at_most=2.0)
    lifecycle.down(profile=profile)


def _start(command: list[str], env: dict[str, str]) -> float:
    """Until the provider has written the line that tells Terraform where it listens."""
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        seconds = timed(process.stdout.readline)
        process.kill()
    return seconds


def _folder(scratch: str, name: str, text: str, env: dict[str, str]) -> Path:
    folder = Path(scratch) / name
    folder.mkdir()
    (folder / "main.tf").write_text(text)
    subprocess.run(["terraform", "init"], cwd=folder, env=env, check=True, capture_output=True)
    return folder


def _terraform(folder: Path, step: str, count: int, env: dict[str, str]) -> None:
    command = ["terraform", *step.split(), f"-var=size={count}", "-parallelism=10"]
    subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True)
