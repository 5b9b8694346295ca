"""What needs no platform: quantities, the accelerator catalogue, node pools as data."""

from __future__ import annotations

import pytest
from kubernetes.utils.quantity import parse_quantity

from iaclab.errors import LabError
from iaclab.mlplatform.accelerators import accelerators, gpu_hours_cost
from iaclab.mlplatform.node_pools import NodePool
from iaclab.mlplatform.quantity import quantity


@pytest.mark.parametrize("text", ["0", "16", "0.5", "500m", "1500m", "64Gi", "1024Mi", "1G", "2k", "3Ti", "1Ei", "1e3"])
def test_a_quantity_has_the_value_that_the_official_client_reads(text: str) -> None:
    assert quantity(text) == parse_quantity(text)


@pytest.mark.parametrize(
    "text", ["", "Gi", "64 Gi", "64GB", "64gi", "ten", "1,5", "1.5.2", "1Gi1", "-1", "NaN", "1_000"]
)
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a quantity"):
        quantity(text)


def test_the_catalogue_is_ordered_by_price_and_complete() -> None:
    kinds = list(accelerators().values())
    assert [k.hourly_usd for k in kinds] == sorted(k.hourly_usd for k in kinds)
    assert all(k.memory_gb > 0 and k.cpu > 0 and k.memory_gib > 0 and k.product and k.machine for k in kinds)
    assert len({k.product for k in kinds}) == len(kinds), "two accelerators could not be told apart on a node"


def test_costs_are_rounded_to_cents_and_mistakes_are_named() -> None:
    assert gpu_hours_cost("a100-80gb", 8, 24) == 658.56
    assert gpu_hours_cost("l4", 0, 24) == 0
    with pytest.raises(LabError, match='accelerator = "h100-80gb"'):
        gpu_hours_cost("H100-80GB", 1, 1)
    with pytest.raises(LabError, match="must not be negative"):
        gpu_hours_cost("l4", -1, 1)


def test_a_pool_knows_its_nodes_and_its_price() -> None:
    pool = NodePool("train", "h100-80gb", 2, gpus_per_node=4)
    assert pool.node_names == ["train-1", "train-2"]
    assert (pool.total_gpus, pool.hourly_cost) == (8, 55.04)
