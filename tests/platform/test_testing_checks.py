"""Each check of the testing lecture passes on what its exercise asks for, and on nothing that only looks like it.

The files are those that the lecture's cells write: its text is where they stand.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import jupytext
import psutil
import pytest
from checked import Checked
from running import kubectl, wait_until

from iaclab import paths, terratest, tools
from iaclab.checks.testing import CHECKS
from iaclab.mlplatform.node_pools import POOL_LABEL
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws, cluster
from iaclab.platform.supervise import Supervisor

pytestmark = pytest.mark.platform
ROOT = paths.repo_root()
assert ROOT is not None
LECTURE = jupytext.read(ROOT / "content" / "lectures" / "06-infrastructure-testing.md")
CELLS = [cell for cell in LECTURE.cells if cell.cell_type == "code"]


class World(Checked):
    """A running platform, and the lecture's folder."""

    checks = CHECKS

    def cell(self, words: str) -> None:
        """Run the first bash cell, or write the first file, whose text has these words."""
        source = next(cell.source for cell in CELLS if words in cell.source and "%%" in cell.source[:12])
        first, _, rest = source.partition("\n")
        if first.startswith("%%writefile"):
            self.file(first.split()[1], rest + "\n")
            return
        env = {**os.environ, **self.profile.env(), "TF_CLI_ARGS": "-no-color"}
        done = subprocess.run(["bash", "-e", "-c", rest], cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def file(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text
        self.file(name, text.replace(old, new))


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("testing", state=tmp_path_factory.mktemp("testing"))
    tools.ensure("tflint", "kubeconform", "opa", "conftest", "pytest-infra")
    lifecycle.up("cluster", "aws", "terraform", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture
def world(running: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(running, tmp_path)


def test_a_test_of_the_limit(world: World) -> None:
    world.cell("rm -rf training && mkdir -p training/tests")
    assert not world.passes("limits")
    world.cell("%%writefile training/tests/limits.tftest.hcl")
    assert world.passes("limits"), world.seen("limits")
    world.change("training/tests/limits.tftest.hcl", "nodes = 9", "nodes = 0")
    assert world.seen("limits")["without the limit it"] == "passes", "a test of the lower limit lets the mutant live"
    world.change("training/tests/limits.tftest.hcl", "  expect_failures = [var.nodes]\n", "")
    assert world.seen("limits")["on the module it"] == "fails"


def test_static_faults(world: World) -> None:
    world.cell("rm -rf training && mkdir -p training/tests")
    world.cell("rm -rf faults && mkdir faults")
    assert not world.passes("static")
    world.cell("%%writefile faults/main.tf")
    assert world.passes("static"), world.seen("static")
    world.change("faults/main.tf", "= 2", "= 3")
    assert not world.passes("static")
    world.file("faults/main.tf", "")
    assert not world.passes("static"), "an empty file has no faults"


@pytest.fixture(params=["itself", "stand-in"])
def go_tests(request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch) -> str:
    """The lecture's module and Go tests, without the exercise, on Terratest or on its stand-in."""
    if request.param == "stand-in":
        monkeypatch.setenv("IACLAB_TERRATEST", "stand-in")
    for name, value in terratest.environment().items():
        monkeypatch.setenv(name, value)
    which = terratest.module("terratest")
    if request.param == "itself" and "stand-in" in which:
        pytest.skip(which)
    world.cell("rm -rf training && mkdir -p training/tests")
    for file in ("training", "copy", "bucket", "serving", "table", "stages"):
        world.cell(f"%%writefile terratest/{file}_test.go")
    return which


def test_a_go_test_of_the_versions(world: World, go_tests: str) -> None:
    assert not world.passes("versions-test"), "there is no such test yet"
    world.cell("%%writefile terratest/versions_test.go")
    assert world.passes("versions-test"), world.seen("versions-test")
    world.change("terratest/versions_test.go", "aws.AssertS3BucketVersioningExists", "aws.AssertS3BucketExists")
    assert world.seen("versions-test") == {"on the module it": "passes", "without versions it": "passes"}
    world.change("terratest/versions_test.go", "aws.AssertS3BucketExists(", "aws.AssertS3BucketExists")
    assert world.seen("versions-test")["the tests"] == "do not compile"


def test_what_was_set_up_is_torn_down(world: World) -> None:
    assert not world.passes("torn-down"), "nothing was set up"
    world.file("terratest/stages/.test-data/TerraformOptions.json", json.dumps({"TerraformDir": "../copy"}))
    world.file("copy/terraform.tfstate", json.dumps({"resources": []}))
    assert world.passes("torn-down"), world.seen("torn-down")
    world.file("copy/terraform.tfstate", json.dumps({"resources": [{"type": "mlplatform_model_bucket"}]}))
    assert not world.passes("torn-down")
    world.file("copy/terraform.tfstate", json.dumps({"resources": []}))
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "stages-1", "labels": {POOL_LABEL: "stages"}}}
    cluster.kube(world.profile).apply([node])
    try:
        assert not world.passes("torn-down"), "the node is still there"
    finally:
        kubectl(world.profile, "delete", "node", "stages-1")


def test_a_branch_that_the_pipeline_lets_through(world: World) -> None:
    world.cell("rm -rf training && mkdir -p training/tests")
    world.cell("rm -rf infra && mkdir -p infra/ci")

    def git(*words: str) -> None:
        names = ["-c", "user.name=Learner", "-c", "user.email=learner@course.local"]
        subprocess.run(["git", "-C", "infra", *names, *words], check=True, capture_output=True)

    def commit(file: str, text: str) -> None:
        git("switch", "-q", "bad-policy")
        world.file(file, text)
        git("commit", "-qam", "A change")
        git("switch", "-q", "main")

    git("switch", "-q", "-c", "bad-policy")
    commit("infra/terraform.tfvars", 'team  = "ci"\nnodes = 8\n')
    assert world.seen("green")["policy"] == "fails"
    commit("infra/terraform.tfvars", 'team  = "ci"\nnodes = 4\n')
    assert world.passes("green"), world.seen("green")
    policy = (world.folder / "infra/policy/pool.rego").read_text()
    commit("infra/policy/pool.rego", policy.replace("> 16", "> 32"))
    assert not world.passes("green"), "the policy was changed"


def test_the_twin_of_a_control(world: World) -> None:
    s3 = aws.s3(world.profile)
    place = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="twin-checkpoints", CreateBucketConfiguration=place)
    s3.put_bucket_versioning(Bucket="twin-checkpoints", VersioningConfiguration={"Status": "Enabled"})
    world.file("kitchen/outputs.json", json.dumps({"bucket": {"value": "twin-checkpoints"}}))
    cell = next(cell.source for cell in CELLS if "cat > conftest.py" in cell.source)
    world.file("kitchen/conftest.py", cell.split("cat > conftest.py <<'EOF'\n")[1].split("\nEOF")[0])
    world.file("kitchen/test_controls.py", "")
    assert not world.passes("twin")
    world.cell("def test_the_bucket_keeps_versions")
    assert world.passes("twin"), world.seen("twin")
    world.file("kitchen/test_controls.py", "def test_versions(s3, outputs):\n    assert outputs['bucket']\n")
    assert world.seen("twin")["without versions it"] == "passes"
    assert not world.passes("twin")


def test_a_test_of_the_budget(world: World) -> None:
    cell = next(cell.source for cell in CELLS if "policy/training.rego" in cell.source)
    world.file("policy/training.rego", cell.split("<<'EOF'\n")[1].split("\nEOF")[0] + "\n")
    assert not world.passes("budget-test")
    world.cell("%%writefile policy/budget_test.rego")
    assert world.passes("budget-test"), world.seen("budget-test")
    only_within = re.sub(
        r"test_too_dear if \{.*?\n\}\n", "", (world.folder / "policy/budget_test.rego").read_text(), flags=re.S
    )
    world.file("policy/budget_test.rego", only_within)
    assert not world.passes("budget-test")


def test_a_manifest_that_conftest_accepts(world: World) -> None:
    cell = next(cell.source for cell in CELLS if "manifests/policy.rego" in cell.source)
    parts = cell.split("<<'EOF'\n")
    world.file("manifests/policy.rego", parts[1].split("\nEOF")[0] + "\n")
    world.file("manifests/ranker.yaml", parts[2].split("\nEOF")[0] + "\n")
    assert not world.passes("manifest")
    world.cell("sed -i 's/ranker:latest/ranker:1.4/")
    assert world.passes("manifest"), world.seen("manifest")
    world.change("manifests/ranker.yaml", "nvidia.com/gpu: 1", "nvidia.com/gpu: 8")
    assert not world.passes("manifest")
    world.change("manifests/ranker.yaml", "kind: Deployment", "kind: StatefulSet")
    assert not world.passes("manifest"), "what no rule is about is not denied"


def test_a_contract_that_holds(world: World) -> None:
    world.cell("rm -rf training && mkdir -p training/tests")
    world.cell("rm -rf module-v2")
    assert not world.passes("contract")
    world.cell("Deprecated, use checkpoints")
    assert world.passes("contract"), world.seen("contract")
    world.change("module-v2/tests/serving.tftest.hcl", "output.bucket ==", "output.checkpoints ==")
    assert not world.passes("contract"), "the consumer's contract was changed"
    world.change("module-v2/tests/serving.tftest.hcl", "output.checkpoints ==", "output.bucket ==")
    world.change("module-v2/outputs.tf", 'output "checkpoints"', 'output "other"')
    assert not world.passes("contract"), "version 2 has lost its own output"


def test_a_job_that_the_schema_accepts(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in world.profile.env().items():
        monkeypatch.setenv(name, value)
    exec(next(cell.source for cell in CELLS if "def closed(node)" in cell.source), {})
    world.cell("cat > nightly.yaml")
    assert not world.passes("nightly")
    world.change("nightly.yaml", "backofLimit: 2", "backoffLimit: 2")
    assert world.passes("nightly"), world.seen("nightly")
    world.change("nightly.yaml", "  backoffLimit: 2\n", "")
    assert not world.passes("nightly"), "valid, and not what was asked"


def test_drift_that_is_settled(world: World) -> None:
    world.cell("rm -rf training && mkdir -p training/tests")
    assert not world.passes("drift")
    world.cell("kubectl label node drift-1")
    assert not world.passes("drift")
    world.change("training/main.tf", "{ team = var.team }\n}\n\nresource", '{ team = "someone-else" }\n}\n\nresource')
    assert not world.passes("drift"), "the mistake became the configuration"
    world.change("training/main.tf", '{ team = "someone-else" }', "{ team = var.team }")
    kubectl(world.profile, "label", "node", "drift-1", "team=drift", "--overwrite")
    assert world.passes("drift"), world.seen("drift")


def test_the_culprit(world: World) -> None:
    scheduler = next(p.pid for p in Supervisor(world.profile).processes() if p.name == "scheduler")
    world.file("incident.txt", hashlib.sha256(b"kube-scheduler").hexdigest())
    kubectl(world.profile, "create", "deployment", "probe", "--image=probe:1")
    world.file("culprit.txt", "kube-scheduler\n")
    psutil.Process(scheduler).send_signal(signal.SIGSTOP)
    try:
        assert world.seen("culprit")["hanging"] == ["scheduler"]
        assert not world.passes("culprit")
    finally:
        psutil.Process(scheduler).send_signal(signal.SIGCONT)
    wait_until(lambda: world.passes("culprit"), "the probe is available")
    world.file("culprit.txt", "kwok\n")
    assert not world.passes("culprit")
