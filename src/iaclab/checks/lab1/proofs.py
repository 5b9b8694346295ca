"""Puts a learner's tests and policies to the proof: they must pass what is right, and catch what is wrong.

The tests run on this file's own network modules, never on the learner's module: neither its resources nor its
provisioners run here.
"""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from iaclab import tools
from iaclab.checks.lab1 import look
from iaclab.checks.lab1.look import Object
from iaclab.errors import LabError
from iaclab.grading import confined
from iaclab.platform.profile import Profile

_RIGHT = """
variable "cidr" {
  type = string
  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "A /16, please."
  }
}
variable "zones" {
  type = list(string)
}
locals {
  subnets = { for index, zone in var.zones : zone => cidrsubnet(var.cidr, 4, index) }
}
resource "terraform_data" "subnet" {
  for_each = local.subnets
  input    = each.value
}
output "subnets" {
  value = local.subnets
}
"""
_WRONG = {
    "gives all zones the same range": ("cidrsubnet(var.cidr, 4, index)", "cidrsubnet(var.cidr, 4, 0)"),
    "leaves the last zone out": ("in var.zones :", "in slice(var.zones, 0, length(var.zones) - 1) :"),
    "ignores its cidr": ("cidrsubnet(var.cidr, 4, index)", 'cidrsubnet("192.168.0.0/16", 4, index)'),
    "takes a /24": ('endswith(var.cidr, "/16")', 'endswith(var.cidr, "")'),
}
_GAP = r"(?:\s|#[^\n]*\n|//[^\n]*\n|/\*.*?\*/)*"
# Another module could run programs, and a function could read any file of whoever runs the check.
_ELSEWHERE = re.compile(rf"\bsource{_GAP}=|\b(?:file\w*|templatefile){_GAP}\(", re.DOTALL)


def tests(profile: Profile) -> Iterator[str]:
    """What the tests of the network module do not catch, or refuse wrongly."""
    del profile
    root, files = _test_files()
    if elsewhere := [f.name for f in files if _ELSEWHERE.search(f.read_text())]:
        yield f"{elsewhere[0]} names another module or reads a file: these tests stand alone"
        return
    variants = {"": _RIGHT, **{what: _RIGHT.replace(*change) for what, change in _WRONG.items()}}
    with ThreadPoolExecutor(2) as pool:
        said = dict(zip(variants, pool.map(lambda t: _run_tests(root, files, t), variants.values()), strict=True))
    if said[""] is not None:
        yield f"the tests refuse a right network module: {said['']}"
        return
    for what in _WRONG:
        if said[what] is None:
            yield f"the tests pass a network module that {what}"


def _test_files() -> tuple[Path, list[Path]]:
    """The module's folder and its tests: beside its files or in its folder `tests`, as `terraform test` finds them."""
    folders = [f for f in sorted(Path().glob("**/network")) if f.is_dir() and ".terraform" not in f.parts]
    for folder in folders:
        files = sorted([*folder.glob("*.tftest.hcl"), *folder.glob("tests/*.tftest.hcl")])
        if files:
            return folder, files
    raise LabError("no folder called network has a file *.tftest.hcl, nor its folder tests")


def _run_tests(root: Path, files: list[Path], module: str) -> str | None:
    """Run the tests on a module; `None` where all pass, else the first thing that is said."""
    with tempfile.TemporaryDirectory(prefix="iaclab-tests-") as scratch:
        folder = Path(scratch)
        (folder / "main.tf").write_text(module)
        for file in files:
            target = folder / file.relative_to(root)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(file, target)
        lines = _terraform(folder, "test", "-json")
        runs = [line["test_summary"]["passed"] for line in lines if line["type"] == "test_summary"]
        return _say_no(lines) or (None if sum(runs) else "no run block was found")


def _terraform(folder: Path, *args: str) -> list[Object]:
    """What Terraform says, without credentials and with no provider: the modules above need none."""
    env = {"PATH": os.defpath, "HOME": str(folder), "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
    done = confined.run([str(_tool("terraform")), *args], folder=folder, env=env, timeout=120)
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def _say_no(lines: list[Object]) -> str | None:
    """The first error, in its own words."""
    errors = [line["diagnostic"] for line in lines if line["@level"] == "error" and "diagnostic" in line]
    if errors:
        return f"{errors[0]['summary']}: {errors[0]['detail']}"
    failed = [
        line for line in lines if line["type"] == "test_run" and line["test_run"].get("status") in ("fail", "error")
    ]
    return f"the run {failed[0]['test_run']['run']} fails" if failed else None


def policies(profile: Profile) -> Iterator[str]:
    """What the policies let pass, or refuse wrongly. A plan is read, nothing is made."""
    del profile
    good = {name: look.plan(name) for name in ("dev", "staging", "prod")}
    cases = dict(good)
    cases["dev-destroyable"] = _changed(good["dev"], "mlplatform_model_bucket", force_destroy=True)
    for what, (kind, change) in _BREACHES.items():
        cases[what] = _changed(good["prod"], kind, **change)
    if not list(Path("policy").glob("**/*.rego")):
        yield "the folder policy has no .rego file"
        return
    refused = _conftest(cases)
    for name in good:
        if refused[name]:
            yield f"the policies refuse plans/{name}.json: {refused[name][0]}"
    if refused["dev-destroyable"] and not refused["dev"]:
        yield "the policies refuse force_destroy in dev too, where it is allowed"
    for what in _BREACHES:
        if not refused[what]:
            yield f"the policies let pass: {what}"


_BREACHES: dict[str, tuple[str, Object]] = {
    "a bucket without versions": ("mlplatform_model_bucket", {"versioning": False}),
    "a bucket without the tag owner": ("mlplatform_model_bucket", {"tags": {"environment": "prod"}}),
    "a bucket without tags": ("mlplatform_model_bucket", {"tags": None}),
    "force_destroy in prod": ("mlplatform_model_bucket", {"force_destroy": True}),
    "a node pool without the GPU taint": ("mlplatform_gpu_node_pool", {"gpu_taint": False}),
    "a team without a GPU quota": ("mlplatform_cluster", {"gpu_quota": None}),
}


def _changed(plan: Object, kind: str, **change: Any) -> Object:
    """A copy of a plan in which the first resource of a kind is another, wherever the plan speaks of it."""
    plan = copy.deepcopy(plan)
    address = min((c["address"] for c in plan.get("resource_changes", []) if c["type"] == kind), default=None)
    if address is None:
        raise LabError(f"a plan that the policies are tried on has no {kind}")
    for entry in plan["resource_changes"]:
        if entry["address"] == address:
            entry["change"]["after"] |= change
    for resource in look.planned(plan["planned_values"]["root_module"]):
        if resource["address"] == address:
            resource["values"] |= change
    return plan


def _conftest(cases: dict[str, Object]) -> dict[str, list[str]]:
    """What the policies of the work folder say to each document."""
    names = {f"case-{number}.json": name for number, name in enumerate(cases)}
    with tempfile.TemporaryDirectory(prefix="iaclab-policy-") as scratch:
        for file, name in names.items():
            Path(scratch, file).write_text(json.dumps(cases[name]))
        command = [str(_tool("conftest")), "test", "--policy", str(Path("policy").absolute()), "--all-namespaces"]
        command += ["--output", "json", "--no-color", *names]
        env = {"PATH": os.defpath, "HOME": scratch}
        done = confined.run(command, folder=Path(scratch), env=env, timeout=60)
    try:
        answers = json.loads(done.stdout)
    except ValueError:
        raise LabError(f"conftest says: {' '.join((done.stderr or done.stdout).split())}") from None
    said: dict[str, list[str]] = {name: [] for name in cases}
    for answer in answers:
        said[names[Path(answer["filename"]).name]] += [f["msg"] for f in answer.get("failures") or []]
    return said


def _tool(name: str) -> Path:
    found = tools.find(name)
    if found is None:
        raise LabError(f"{name} is not installed", mend=f"iaclab tools install {name}")
    return found.path
