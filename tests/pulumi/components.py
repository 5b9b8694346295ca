"""The components with a mock in the provider's place: their own decisions. Run by test_components.py."""

from __future__ import annotations

import unittest
from collections.abc import Callable
from typing import Any

import pulumi
import pytest

from iaclab.errors import LabError
from iaclab.pulumi_platform.components import Pool, TeamPlatform, Workload, WorkloadArgs


class Provider(pulumi.runtime.Mocks):
    """Answers as the provider would, and keeps what it was asked for."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}

    def new_resource(self, args: pulumi.runtime.MockResourceArgs) -> tuple[str | None, dict[Any, Any]]:
        self.asked[args.name] = args.inputs
        outputs = dict(args.inputs)
        if args.typ.endswith(":GpuNodePool"):
            outputs["totalGpus"] = args.inputs["nodeCount"] * args.inputs["gpusPerNode"]
        return args.name, outputs

    def call(self, args: pulumi.runtime.MockCallArgs) -> dict[Any, Any]:
        return {}


class Components(unittest.TestCase):
    def setUp(self) -> None:
        self.provider = Provider()
        pulumi.runtime.set_mocks(self.provider)

    def later(self, output: pulumi.Output[Any], look: Callable[[Any], None]) -> pulumi.Output[Any]:
        return output.apply(look)

    @pulumi.runtime.test
    def test_the_quota_is_the_sum_of_the_gpus(self) -> pulumi.Output[Any]:
        two = {"train": WorkloadArgs(Pool("l4", 2, 4)), "serve": WorkloadArgs(Pool("l4", 1, 1))}
        team = TeamPlatform("vision", two).team
        return self.later(team.urn, lambda _: self.assertEqual(self.provider.asked["vision"]["gpuQuota"], 9))

    @pulumi.runtime.test
    def test_only_what_expires_may_be_destroyed_with_its_contents(self) -> pulumi.Output[Any]:
        made = Workload("ocr", WorkloadArgs(Pool("l4", 1, 1), {"models": None, "scratch": 7}))

        def look(_: Any) -> None:
            scratch, models = self.provider.asked["ocr-scratch"], self.provider.asked["ocr-models"]
            self.assertTrue(scratch["forceDestroy"])
            self.assertEqual(scratch["lifecycleRules"][0]["expirationDays"], 7)
            self.assertFalse(models["forceDestroy"])
            self.assertNotIn("lifecycleRules", models)

        return self.later(pulumi.Output.all(*made.urls.values()), look)

    def test_dear_machines_are_refused_before_anything_is_registered(self) -> None:
        with pytest.raises(ValueError, match=r"440\.32 dollars an hour; 100 are allowed"):
            Workload("dear", WorkloadArgs(Pool("h100-80gb", 8, 8)))
        with pytest.raises(LabError, match="no accelerator"):
            Workload("odd", WorkloadArgs(Pool("h100", 1, 1)))
        assert "dear" not in self.provider.asked and "odd" not in self.provider.asked
