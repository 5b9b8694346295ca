"""Data sources and the function, through the real terraform."""

from __future__ import annotations

import pytest
from terraform_cli import Terraform

from iaclab.mlplatform.accelerators import accelerators
from iaclab.mlplatform.api import Api

pytestmark = pytest.mark.platform


def test_the_catalogue_is_the_same_in_terraform(terraform: Terraform) -> None:
    terraform.apply(
        """
data "mlplatform_accelerators" "all" {}
data "mlplatform_accelerators" "some" {
  min_memory_gb    = 48
  max_hourly_price = 3.43
}
data "mlplatform_accelerator" "one" { name = "a100-80gb" }
output "all" { value = data.mlplatform_accelerators.all }
output "some" { value = data.mlplatform_accelerators.some.names }
output "one" { value = data.mlplatform_accelerator.one.hourly_price }
"""
    )
    seen, known = terraform.outputs(), accelerators()
    assert seen["all"]["names"] == list(known)
    assert seen["all"]["hourly_prices"] == {name: kind.hourly_usd for name, kind in known.items()}
    assert seen["all"]["products"]["l4"] == "NVIDIA-L4"
    assert seen["some"] == ["l40s", "a100-80gb"]
    assert seen["one"] == 3.43
    changes = terraform.plan()["output_changes"]
    assert {c["actions"][0] for c in changes.values()} == {"no-op"}, "a price is read with other digits each time"


def test_the_cluster_is_described_as_it_is(terraform: Terraform, api: Api) -> None:
    terraform.apply(
        """
resource "mlplatform_gpu_node_pool" "pool" {
  name          = "info"
  accelerator   = "t4"
  node_count    = 2
  gpus_per_node = 4
}
data "mlplatform_cluster_info" "here" { depends_on = [mlplatform_gpu_node_pool.pool] }
output "info" { value = data.mlplatform_cluster_info.here }
"""
    )
    info = terraform.outputs()["info"]
    nodes = api.items("/api/v1/nodes")
    assert info["gpus_by_pool"]["info"] == 8
    assert info["node_count"] == len(nodes)
    assert info["total_gpus"] == sum(int(n["status"]["capacity"].get("nvidia.com/gpu", 0)) for n in nodes)
    assert info["version"] == api.version() and {"eu-west-1a", "eu-west-1b"} <= set(info["zones"])


def test_the_function_computes_costs_and_says_what_is_wrong(terraform: Terraform) -> None:
    call = 'output "cost" {{ value = provider::mlplatform::gpu_hours_cost({}) }}'
    terraform.apply(call.format('"a100-80gb", 8, 0.1'))
    assert terraform.outputs() == {"cost": 2.74}
    said = terraform.write(call.format('"a100", 8, 1')).run("plan", "-no-color", fails=True)
    assert "There is no accelerator 'a100'" in " ".join(said.split())
