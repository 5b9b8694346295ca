"""The faults of `tf` that iaclab.terraform_provider.mends mends: each is still there without it, and gone with it."""

from __future__ import annotations

import subprocess
import sys

import msgpack
import pytest
from terraform_cli import Terraform

pytestmark = pytest.mark.platform

# cty's MessagePack of "an unknown string that is not null" (extension 12 with a map of refinements)
REFINED = msgpack.packb(msgpack.ExtType(12, msgpack.packb({1: False})))


def decode(with_mends: bool) -> str:
    """What `tf` makes of a refined unknown, in a process of its own."""
    apply = "from iaclab.terraform_provider import mends; mends.apply()" if with_mends else ""
    code = f"""
{apply}
from tf.gen import tfplugin_pb2 as pb
from tf.utils import read_dynamic_value
print(type(read_dynamic_value(pb.DynamicValue(msgpack={REFINED!r}))).__name__)
"""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_tf_still_does_not_know_refined_unknowns() -> None:
    assert decode(with_mends=False) == "ExtType", "the fault is gone: drop the mend"


def test_a_refined_unknown_is_an_unknown() -> None:
    assert decode(with_mends=True) == "_Unknown"


def test_jsonencode_of_an_unknown_reaches_every_kind_of_attribute(terraform: Terraform) -> None:
    plan = terraform.plan(
        """
resource "terraform_data" "later" { input = "x" }
locals {
  refined = jsonencode({ id = terraform_data.later.id })
  prefix  = "a-${terraform_data.later.id}"
}
resource "mlplatform_model_bucket" "x" {
  name = local.prefix
  tags = { spec = local.refined }
  lifecycle_rule {
    id              = local.prefix
    expiration_days = 7
  }
}
resource "mlplatform_cluster" "x" {
  name       = "refined"
  namespaces = [local.prefix]
  labels     = { spec = local.prefix }
}
"""
    )
    unknown = {c["address"]: c["change"]["after_unknown"] for c in plan["resource_changes"]}
    assert unknown["mlplatform_model_bucket.x"]["tags"] == {"spec": True}
    assert unknown["mlplatform_model_bucket.x"]["arn"] is True


def test_a_refined_unknown_is_applied_once_it_is_known(terraform: Terraform) -> None:
    terraform.apply(
        """
resource "terraform_data" "later" { input = "x" }
resource "mlplatform_model_bucket" "x" {
  name = "refined-models"
  tags = { spec = jsonencode({ value = terraform_data.later.output }) }
}
"""
    )
    assert terraform.state("mlplatform_model_bucket.x")["tags"] == {"spec": '{"value":"x"}'}
    assert terraform.actions() == {}
