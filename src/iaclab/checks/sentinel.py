"""Checks of the Sentinel section: what a learner's policy says of plans that it has not seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iaclab.checks.record import Check
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.sentinel import policy

_POLICY = Path("sentinel/policies/zones.sentinel")


def _pool(nodes: int, zones: int, *actions: str, type: str = "gpu_node_pool") -> dict[str, Any]:
    names = [f"eu-west-1{letter}" for letter in "abc"[:zones]]
    after = None if actions == ("delete",) else {"node_count": nodes, "zones": names}
    change = {"actions": list(actions or ("create",)), "before": None, "after": after}
    return {"type": f"mlplatform_{type}", "mode": "managed", "change": change}


# What a plan holds, and whether the policy should let it pass.
_PLANS = {
    "2 nodes in 2 zones": ([_pool(2, 2)], True),
    "1 node in 1 zone": ([_pool(1, 1)], True),
    "4 nodes in 1 zone": ([_pool(4, 1)], False),
    "a good and a bad pool": ([_pool(2, 2), _pool(2, 1)], False),
    "a bad update": ([_pool(3, 1, "update")], False),
    "a bad replacement": ([_pool(3, 1, "delete", "create")], False),
    "a pool that goes": ([_pool(4, 1, "delete")], True),
    "no pool": ([_pool(4, 1, type="model_bucket")], True),
}


def _zones(profile: Profile) -> dict[str, str]:
    """Where the policy says something else than it should."""
    wrong = {}
    for name, (pools, passes) in _PLANS.items():
        changes = {f"mlplatform_gpu_node_pool.p{number}": pool for number, pool in enumerate(pools)}
        outcome = policy.run(_POLICY, given={"tfplan/v2": {"resource_changes": changes}})
        if outcome.error:
            raise LabError(str(outcome.error).splitlines()[0])
        if outcome.passed != passes or outcome.undefined:
            wrong[name] = "undefined" if outcome.undefined else "passes" if outcome.passed else "is refused"
    return wrong


CHECKS = {
    "zones": Check(
        title="zones.sentinel refuses a pool with several nodes in one zone, and nothing else",
        needs=(),
        probe=_zones,
        expect=lambda seen: seen == {},
        hints=(
            "Which pools does the rule speak of? One that is deleted has no `after`; a single node has one zone.",
            "filter as in gpu_types.sentinel, then `all pools as _, pool { … }` with length(pool.change.after.zones).",
            "pool.change.after.node_count is 1 or length(pool.change.after.zones) >= 2",
        ),
    ),
}
