"""The module's tests: `terraform test` with a mocked provider, on variants of the module."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from iaclab.checks.lab3 import running
from iaclab.checks.lab3.cases import Cases
from iaclab.checks.lab3.proof import Proof
from iaclab.errors import LabError

_PATTERNS = ("infra/tests/*.tftest.hcl", "infra/*.tftest.hcl")


def proof(cases: Cases) -> Proof:
    """What the tests catch.

    Raises:
        LabError: there are no tests.
    """
    tests = running.taken(*_PATTERNS)
    if not tests:
        raise LabError("there is no test infra/tests/*.tftest.hcl")
    return Proof.of(cases, {case.name: _objection(case.files, tests) for case in cases.all})


def _objection(module: dict[str, str], tests: dict[str, bytes]) -> str | None:
    """The first thing that the tests say against a module; `None` where they pass."""
    with tempfile.TemporaryDirectory(prefix="iaclab-tests-") as scratch:
        folder = Path(scratch)
        running.put(folder / "infra", module)
        running.put(folder, tests)
        command = "cd infra && exec terraform test -json"
        done = running.terraform(command, folder, TF_CLI_CONFIG_FILE="/dev/null", CHECKPOINT_DISABLE="1")
    return None if done.returncode == 0 else _said(done.stdout) or running.first_line(done.stderr + done.stdout)


def _said(output: str) -> str:
    """The first error of Terraform's JSON lines, in its own words."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    errors = [line["diagnostic"] for line in lines if line.get("@level") == "error" and "diagnostic" in line]
    return running.first_line(f"{errors[0]['summary']}: {errors[0]['detail']}") if errors else ""
