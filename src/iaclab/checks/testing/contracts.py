"""Checks of policies, contracts and manifests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from iaclab.checks.record import Check
from iaclab.checks.testing.bench import mutant, run, verdict
from iaclab.platform.profile import Profile

_ALL_PASS = "passes"


def _budget_test(profile: Profile) -> dict[str, Any]:
    """The learner's test alone, on the policy and on two that are broken."""
    Path("policy/budget_test.rego").read_text()
    rule = ("training.rego", "price > budget", "price > budget * 1000000")
    budget = ("training.rego", "budget := 20", "budget := 2000")
    seen = {}
    for name, change in {"with the rule it": (), "without it it": rule, "with a budget of 2000 it": budget}.items():
        with mutant("policy", *change) as folder:
            (folder / "training_test.rego").unlink(missing_ok=True)
            done = run(profile, folder.parent, "opa", "test", "--fail-on-empty", folder.name)
            seen[name] = verdict(done)
    return seen


def _manifest(profile: Profile) -> dict[str, Any]:
    command = ["conftest", "test", "--no-color", "-p", "manifests/policy.rego", "manifests/ranker.yaml"]
    container = yaml.safe_load(Path("manifests/ranker.yaml").read_text())["spec"]["template"]["spec"]["containers"][0]
    return {
        "conftest": verdict(run(profile, ".", *command)),
        "image": container["image"].rpartition("/")[2],
        "GPUs": int(container.get("resources", {}).get("limits", {}).get("nvidia.com/gpu", 0)),
    }


def _contract(profile: Profile) -> dict[str, Any]:
    outputs = re.findall(r'^output "(\w+)"', Path("module-v2/outputs.tf").read_text(), flags=re.MULTILINE)
    contract = Path("module-v2/tests/serving.tftest.hcl").read_text()
    return {
        "the consumer's contract": verdict(run(profile, "module-v2", "terraform", "test")),
        "the contract reads": "output.bucket" if "output.bucket ==" in contract else "something else",
        "outputs": sorted({"bucket", "checkpoints"} & set(outputs)),
    }


def _nightly(profile: Profile) -> dict[str, Any]:
    where = "schemas/{{.ResourceKind}}{{.KindSuffix}}.json"
    spec = yaml.safe_load(Path("nightly.yaml").read_text())["spec"]
    done = run(profile, ".", "kubeconform", "-schema-location", where, "nightly.yaml")
    return {"kubeconform": verdict(done), "tries again": spec.get("backoffLimit")}


CHECKS = {
    "budget-test": Check(
        title="the test of the budget passes on the policy, and fails without the rule and with another budget",
        needs=(),
        probe=_budget_test,
        expect=lambda seen: (
            seen == {"with the rule it": "passes", "without it it": "fails", "with a budget of 2000 it": "fails"}
        ),
        hints=(
            "It is the test of the bucket with another input: a pool above the budget, and one within.",
            "A pool has node_count, gpus_per_node and accelerator; `with data.prices as {…}` makes prices of your own.",
            'count(main.deny) == 1 with input as pool(8) with data.prices as {"l4": 1}   # 8 × 4 × 1 = 32 > 20',
        ),
    ),
    "manifest": Check(
        title="conftest denies nothing: ranker 1.4, with one GPU",
        needs=(),
        probe=_manifest,
        expect=lambda seen: seen == {"conftest": "passes", "image": "ranker:1.4", "GPUs": 1},
        hints=(
            "Both messages name the container.",
            "The tag is in `image`; the GPU is a limit called nvidia.com/gpu.",
            "image: registry.course.local/ranker:1.4, and resources: {limits: {nvidia.com/gpu: 1}}",
        ),
    ),
    "contract": Check(
        title="version 2 has both outputs, and the contract of serving holds",
        needs=("terraform",),
        probe=_contract,
        expect=lambda seen: (
            seen
            == {
                "the consumer's contract": _ALL_PASS,
                "the contract reads": "output.bucket",
                "outputs": ["bucket", "checkpoints"],
            }
        ),
        hints=(
            "The contract belongs to serving: it is the module that has to change.",
            "A second output with the old name and the same value.",
            'output "bucket" {\n  value = mlplatform_model_bucket.this.name\n}   # at the end of module-v2/outputs.tf',
        ),
    ),
    "nightly": Check(
        title="kubeconform finds nothing, and the job is tried again twice",
        needs=(),
        probe=_nightly,
        expect=lambda seen: seen == {"kubeconform": "passes", "tries again": 2},
        hints=(
            "The message names the field that the schema does not know.",
            "kubectl explain job.spec lists the right names.",
            "sed -i 's/backofLimit/backoffLimit/' nightly.yaml",
        ),
    ),
}
