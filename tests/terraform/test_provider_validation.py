"""Wrong configurations: a plan says what is wrong, at the right line, before anything is made."""

from __future__ import annotations

import pytest
from terraform_cli import Terraform

pytestmark = pytest.mark.platform

CLUSTER = """resource "mlplatform_cluster" "x" {
  name       = "vision"
  namespaces = ["vision-a"]
  %s
}"""
POOL = """resource "mlplatform_gpu_node_pool" "x" {
  name        = "%s"
  accelerator = "%s"
  node_count  = %s
  %s
}"""
BUCKET = """resource "mlplatform_model_bucket" "x" {
  name = "%s"
  %s
}"""
WRONG = {
    "a name that Kubernetes refuses": (
        CLUSTER.replace('"vision"', '"Vision"') % "",
        [("The team's name 'Vision' is not a valid name", 2, 'name       = "Vision"')],
    ),
    "no namespace": (
        CLUSTER.replace('["vision-a"]', "[]") % "",
        [("namespaces is empty", 3, "namespaces = []")],
    ),
    "a quota that is no quantity": (
        CLUSTER % 'memory_quota = "64 GB"',
        [("memory_quota is not a quantity", 4, 'memory_quota = "64 GB"')],
    ),
    "half a GPU": (
        CLUSTER % "gpu_quota = 0.5",
        [("gpu_quota must be a whole number from 0 to 100000", 4, "gpu_quota = 0.5")],
    ),
    "a computed attribute that is set": (
        CLUSTER % 'token = "mine"',
        [("Field mlplatform_cluster.token is read-only and should not be set", 4, 'token = "mine"')],
    ),
    "an accelerator that nobody has": (
        POOL % ("train", "a100", "2", ""),
        [("There is no accelerator 'a100'.", 3, 'accelerator = "a100"')],
    ),
    "two mistakes at once": (
        POOL % ("train_gpu", "l4", "-1", ""),
        [
            ("The pool's name 'train_gpu' is not a valid name", 2, 'name        = "train_gpu"'),
            ("node_count must be a whole number from 0 to 100", 4, "node_count  = -1"),
        ],
    ),
    "more GPUs than a machine has": (
        POOL % ("train", "l4", "1", "gpus_per_node = 16"),
        [("gpus_per_node must be a whole number from 1 to 8", 5, "gpus_per_node = 16")],
    ),
    "a region in place of a zone": (
        POOL % ("train", "l4", "1", 'zones = ["eu-west-1a", "eu-west-1"]'),
        [("'eu-west-1' is not a zone", 5, 'zones = ["eu-west-1a", "eu-west-1"]')],
    ),
    "a bucket name with capitals": (
        BUCKET % ("Models", ""),
        [("'Models' is not the name of a bucket", 2, 'name = "Models"')],
    ),
    "an encryption that S3 does not have": (
        BUCKET % ("models-x", 'encryption = "rot13"'),
        [("There is no encryption 'rot13'", 3, 'encryption = "rot13"')],
    ),
    "a reserved tag": (
        BUCKET % ("models-x", 'tags = { "aws:x" = "1" }'),
        [("The tag aws:x is reserved", 3, 'tags = { "aws:x" = "1" }')],
    ),
}
# In a block, `tf` cannot say which attribute: the diagnostic stands at the resource, and names it.
WRONG_IN_BLOCKS = {
    "a taint without a known effect": (
        POOL % ("train", "l4", "1", 'taint {\n key = "a"\n effect = "Never"\n}'),
        "'Never' is not an effect of a taint",
    ),
    "a timeout in words": (
        POOL % ("train", "l4", "1", 'timeouts {\n delete = "soon"\n}'),
        "timeouts.delete is not a duration",
    ),
    "a rule that does nothing": (
        BUCKET % ("models-x", 'lifecycle_rule {\n id = "idle"\n}'),
        "The lifecycle rule 'idle' does nothing",
    ),
    "a rule for half a day": (
        BUCKET % ("models-x", 'lifecycle_rule {\n id = "half"\n expiration_days = 0.5\n}'),
        "lifecycle_rule.expiration_days must be a whole number from 1 to 100000",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_plan_points_at(terraform: Terraform, what: str) -> None:
    hcl, expected = WRONG[what]
    assert sorted(terraform.problems(hcl)) == sorted(expected)


@pytest.mark.parametrize("what", WRONG_IN_BLOCKS)
def test_a_plan_names(terraform: Terraform, what: str) -> None:
    hcl, expected = WRONG_IN_BLOCKS[what]
    assert [(summary, line) for summary, line, _ in terraform.problems(hcl)] == [(expected, 1)]


def test_values_that_are_not_known_yet_are_not_judged(terraform: Terraform) -> None:
    terraform.plan(
        """
resource "terraform_data" "x" { input = "later" }
resource "mlplatform_gpu_node_pool" "x" {
  name        = terraform_data.x.id
  accelerator = terraform_data.x.id
  node_count  = length(terraform_data.x.id)
  zones       = [terraform_data.x.id]
}
resource "mlplatform_cluster" "x" {
  name         = terraform_data.x.id
  namespaces   = [terraform_data.x.id, "known"]
  memory_quota = terraform_data.x.id
}
"""
    )
