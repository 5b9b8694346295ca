"""Room for the GPUs that somebody's values ask for: nodes are added where there are too few, and nowhere else."""

from __future__ import annotations

import json

import pytest
from running import kubectl

from iaclab.course import parameters
from iaclab.platform.node_pools import GPU
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform


def nodes(profile: Profile) -> dict[str, list[str]]:
    """The GPUs of each pool's nodes."""
    found: dict[str, list[str]] = {}
    for node in json.loads(kubectl(profile, "get", "nodes", "-o", "json"))["items"]:
        pool = node["metadata"]["labels"]["node.course.local/pool"]
        found.setdefault(pool, []).append(node["status"]["allocatable"].get(GPU, "0"))
    return found


def test_nodes_are_added_where_there_are_too_few(platform: Profile, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", platform.env()["KUBECONFIG"])
    own = nodes(platform)
    assert own["gpu-a100"] == ["8", "8"]
    assert parameters.room_for(None, 2) == ""
    assert parameters.room_for("a100-80gb", 8) == "NVIDIA-A100-SXM4-80GB"
    assert nodes(platform) == own, "what was there is enough"
    assert parameters.room_for("l4", 12) == "NVIDIA-L4"
    assert nodes(platform)["more-l4"] == ["8", "8", "8"]
    parameters.room_for("l4", 3)
    assert nodes(platform)["more-l4"] == ["8", "8"], "the same call with less takes nodes away"
    parameters.room_for("a100-80gb", 20)
    assert nodes(platform)["more-a100-80gb"] == ["8", "8"], "beside the sixteen GPUs of the cluster"
    kubectl(platform, "delete", "nodes", "-l", "node.course.local/pool in (more-l4, more-a100-80gb)")
    assert nodes(platform) == own
