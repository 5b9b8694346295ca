"""Checks of code, and of tests that apply it."""

from __future__ import annotations

import json
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from iaclab import terratest
from iaclab.checks.record import Check
from iaclab.checks.testing.bench import mutant, plan, run, verdict
from iaclab.mlplatform.node_pools import POOL_LABEL
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws, cluster

_LIMIT = ("variables.tf", "var.nodes <= 8", "var.nodes <= 800")
_VERSIONS = ("main.tf", "versioning = true", "versioning = false")
_GO_TEST = "TestBucketKeepsVersions"


def _limits(profile: Profile) -> dict[str, Any]:
    test = "-filter=tests/limits.tftest.hcl"
    Path("training/tests/limits.tftest.hcl").read_text()  # says which file is missing
    seen = {}
    with mutant("training") as good, mutant("training", *_LIMIT) as bad:
        for name, folder in (("on the module it", good), ("without the limit it", bad)):
            seen[name] = verdict(run(profile, folder, "terraform", "test", test))
    return seen


def _static(profile: Profile) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    for name, command in {
        "fmt": ["terraform", "fmt", "-check"],
        "validate": ["terraform", "validate"],
        "tflint": ["tflint"],
    }.items():
        seen[name] = verdict(run(profile, "faults", *command))
    if seen["validate"] == "passes":
        pools = [values for address, values in plan(profile, "faults").items() if "gpu_node_pool" in address]
        seen["nodes"] = sum(values["node_count"] for values in pools)
    return seen


def _versions_test(profile: Profile) -> dict[str, Any]:
    """Both runs side by side: each applies and destroys."""
    Path("terratest/go.mod").read_text()
    with tempfile.TemporaryDirectory(prefix="iaclab-go-") as base:
        program = f"{base}/tests"
        built = run(profile, "terratest", "go", "test", "-c", "-o", program, ".", **terratest.environment())
        if built.returncode:
            return {"the tests": "do not compile", "Go says": built.stderr.strip()[-300:]}
        with mutant("training") as good, mutant("training", *_VERSIONS) as bad, ThreadPoolExecutor(2) as pool:
            runs = {
                name: pool.submit(_go_test, profile, program, folder)
                for name, folder in {"on the module it": good, "without versions it": bad}.items()
            }
            return {name: done.result() for name, done in runs.items()}


def _go_test(profile: Profile, program: str, module: Path) -> str:
    done = run(profile, "terratest", program, "-test.v", "-test.run", f"^{_GO_TEST}$", MODULE=str(module))
    for word, said in (("passes", f"--- PASS: {_GO_TEST}"), ("fails", f"--- FAIL: {_GO_TEST}")):
        if said in done.stdout:
            return word
    return "is not there"


def _torn_down(profile: Profile) -> dict[str, Any]:
    kept = json.loads(Path("terratest/stages/.test-data/TerraformOptions.json").read_text())
    state = json.loads((Path("terratest") / kept["TerraformDir"] / "terraform.tfstate").read_text())
    nodes = cluster.kube(profile).get(f"/api/v1/nodes?labelSelector={POOL_LABEL}%3Dstages") or {}
    return {"nodes": len(nodes.get("items", [])), "resources in the state": len(state["resources"])}


def _twin(profile: Profile) -> dict[str, Any]:
    """Run the learner's file on the bucket of the exercise, and on one that keeps no versions."""
    bucket = "iaclab-twin-without-versions"
    s3 = aws.s3(profile)
    place = {"LocationConstraint": os.environ.get("AWS_REGION", "eu-west-1")}
    if bucket not in [b["Name"] for b in s3.list_buckets()["Buckets"]]:
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=place)
    try:
        old = json.loads(Path("kitchen/outputs.json").read_text())["bucket"]["value"]
        with mutant("kitchen") as good, mutant("kitchen", "outputs.json", f'"{old}"', f'"{bucket}"') as bad:
            words = {"on the bucket it": good, "without versions it": bad}
            return {name: _pytest(profile, folder) for name, folder in words.items()}
    finally:
        s3.delete_bucket(Bucket=bucket)


def _pytest(profile: Profile, folder: Path) -> str:
    done = run(profile, folder, "pytest-infra", "-q", "-p", "no:cacheprovider", "-k", "versions", "test_controls.py")
    return {0: "passes", 1: "fails", 5: "is not there"}.get(done.returncode, "does not run")


CHECKS = {
    "limits": Check(
        title="the test passes on the module, and fails on one that allows 800 nodes",
        needs=("terraform",),
        probe=_limits,
        expect=lambda seen: seen == {"on the module it": "passes", "without the limit it": "fails"},
        hints=(
            "What does the module do with nine nodes? The test has to expect that.",
            "A run with command = plan, nodes = 9, and expect_failures = [the variable that refuses].",
            'mock_provider "mlplatform" {}\nrun "nine" {\n  command = plan\n  variables {\n    team = "limits"\n'
            "    nodes = 9\n  }\n  expect_failures = [var.nodes]\n}",
        ),
    ),
    "static": Check(
        title="fmt, validate and tflint find nothing, and the pool has two nodes",
        needs=("cluster", "terraform"),
        probe=_static,
        expect=lambda seen: seen == {"fmt": "passes", "validate": "passes", "tflint": "passes", "nodes": 2},
        hints=(
            "terraform fmt mends one of the three by itself.",
            "node_count wants a number; a variable that nobody uses can go.",
            "Delete the variable, write node_count = 2, then: terraform -chdir=faults fmt",
        ),
    ),
    "versions-test": Check(
        title=f"{_GO_TEST} passes on the module, and fails where the bucket keeps no versions",
        needs=("cluster", "aws", "terraform"),
        probe=_versions_test,
        expect=lambda seen: seen == {"on the module it": "passes", "without versions it": "fails"},
        hints=(
            "It is TestBucketBelongsToTheTeam with another question at the end.",
            "aws.AssertS3BucketVersioningExists(t, region, bucket) fails the test where versions are off.",
            "Copy bucket_test.go's function, name it " + _GO_TEST + ", and end it with "
            'aws.AssertS3BucketVersioningExists(t, region, terraform.Output(t, opts, "bucket"))',
        ),
    ),
    "torn-down": Check(
        title="the stages were set up, and torn down",
        needs=("cluster",),
        probe=_torn_down,
        expect=lambda seen: seen == {"nodes": 0, "resources in the state": 0},
        hints=(
            "Each stage has a variable SKIP_<its name>; a stage runs where its variable is not set.",
            "The teardown alone: SKIP_setup and SKIP_look are set, SKIP_teardown is not.",
            "cd terratest; SKIP_setup=1 SKIP_look=1 go test -count=1 -run TestInStages .",
        ),
    ),
    "twin": Check(
        title="the pytest control of versions passes on the bucket, and fails on one that keeps none",
        needs=("aws",),
        probe=_twin,
        expect=lambda seen: seen == {"on the bucket it": "passes", "without versions it": "fails"},
        hints=(
            "InSpec asks `should have_versioning_enabled`. What does boto3 ask?",
            "s3.get_bucket_versioning(Bucket=…) has a Status, or none at all where versions were never on.",
            "def test_the_bucket_keeps_versions(s3, outputs):\n"
            '    answer = s3.get_bucket_versioning(Bucket=outputs["bucket"])\n'
            '    assert answer.get("Status") == "Enabled"',
        ),
    ),
}
