"""`mlplatform_gpu_node_pool`: machines with GPUs, as Node objects that pods are scheduled on."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from tf.blocks import SetNestedBlock
from tf.iface import CreateContext, DeleteContext, ImportContext, PlanContext, ReadContext, Resource, UpdateContext
from tf.schema import Attribute, Block, Schema
from tf.types import Bool, List, Map, Number, String, Unknown
from tf.utils import Diagnostics

from iaclab.errors import LabError
from iaclab.mlplatform import accelerators
from iaclab.terraform_provider.fields import (
    Price,
    State,
    check_name,
    check_timeouts,
    check_whole,
    known,
    nothing,
    or_null,
    seconds,
    tell,
    timeouts,
    told,
    unchanged,
)

if TYPE_CHECKING:
    from iaclab.mlplatform.node_pools import NodePool, Taint
    from iaclab.terraform_provider.provider import MlPlatform

ZONES = ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
MAX_NODES = 100
_ZONE = re.compile(r"[a-z]{2}(-[a-z]+)+-\d[a-z]")
_CREATE = _DELETE = "60s"


class GpuNodePool(Resource):  # type: ignore[misc]
    """A pool of equal GPU nodes."""

    def __init__(self, provider: MlPlatform) -> None:
        self.provider = provider

    @classmethod
    def get_name(cls) -> str:
        return "gpu_node_pool"

    @classmethod
    def get_schema(cls) -> Schema:
        return Schema(
            version=1,
            description="Equal machines with GPUs, named `<pool>-1`, `<pool>-2` …: real Node objects, whose kubelets"
            " KWOK plays. A node that goes is cordoned and drained first, through the eviction API, so that"
            " PodDisruptionBudgets hold.",
            attributes=[
                Attribute("name", String(), "The pool's name, a DNS label.", required=True, requires_replace=True),
                Attribute(
                    "accelerator",
                    String(),
                    "The kind of GPU, one of " + ", ".join(f"`{n}`" for n in accelerators.accelerators()) + ".",
                    required=True,
                    requires_replace=True,
                ),
                Attribute(
                    "node_count",
                    Number(),
                    f"How many nodes, 0 to {MAX_NODES}. Scaling down takes the highest numbers.",
                    required=True,
                ),
                Attribute(
                    "gpus_per_node",
                    Number(),
                    f"GPUs of one node, 1 to {accelerators.MAX_PER_NODE}; CPU and memory follow from them.",
                    optional=True,
                    computed=True,
                    default=accelerators.MAX_PER_NODE,
                    requires_replace=True,
                ),
                Attribute(
                    "zones",
                    List(String()),
                    "The nodes are spread over these zones in turn.",
                    optional=True,
                    computed=True,
                    default=ZONES,
                    requires_replace=True,
                ),
                Attribute(
                    "gpu_taint",
                    Bool(),
                    "Keep pods off that do not tolerate `nvidia.com/gpu`, as managed clusters do.",
                    optional=True,
                    computed=True,
                    default=True,
                ),
                Attribute("labels", Map(String()), "Labels of every node.", optional=True),
                Attribute("id", String(), "The pool's name.", computed=True),
                Attribute(
                    "in_sync",
                    Bool(),
                    "Whether all nodes have the same labels, taints and GPUs. Changed by hand on some of them, they do"
                    " not, and the next apply mends it.",
                    computed=True,
                ),
                Attribute("node_names", List(String()), "The names of the nodes.", computed=True),
                Attribute("total_gpus", Number(), "GPUs of all nodes together.", computed=True),
                Attribute("hourly_cost", Price(), "Example price of the pool for one hour, US dollars.", computed=True),
            ],
            block_types=[
                SetNestedBlock(
                    "taint",
                    Block(
                        [
                            Attribute("key", String(), "The taint's key.", required=True),
                            Attribute("value", String(), "The taint's value.", optional=True),
                            Attribute("effect", String(), "One of " + ", ".join(EFFECTS) + ".", required=True),
                        ]
                    ),
                ),
                timeouts(create=_CREATE, update=_CREATE, delete=_DELETE),
            ],
        )

    def validate(self, diags: Diagnostics, type_name: str, config: State) -> None:
        super().validate(diags, type_name, config)
        check_name(diags, config, "name", "The pool's name")
        check_whole(diags, config, "node_count", 0, MAX_NODES)
        check_whole(diags, config, "gpus_per_node", 1, accelerators.MAX_PER_NODE)
        check_timeouts(diags, config)
        if known(config.get("accelerator")):
            try:
                accelerators.accelerator(config["accelerator"])
            except LabError as error:
                tell(diags, error, ["accelerator"])
        zones = config.get("zones")
        if zones == []:
            diags.add_error("zones is empty", "Nodes need one zone at least.", path=["zones"])
        for index, zone in enumerate(zones if known(zones) else []):
            if known(zone) and not _ZONE.fullmatch(zone):
                diags.add_error(f"'{zone}' is not a zone", "A zone reads like eu-west-1a.", path=["zones", (index,)])
        for taint in config["taint"] if known(config.get("taint")) else []:
            _check_taint(diags, taint)

    def plan(self, ctx: PlanContext, current: State | None, planned: State) -> State:
        planned |= {"id": planned["name"], "in_sync": True}
        needed = ("name", "accelerator", "node_count", "gpus_per_node")
        if all(known(planned[field]) for field in needed):
            planned |= _derived(_pool({**planned, "zones": ZONES, "labels": None, "taint": [], "gpu_taint": True}))
        else:
            planned |= dict.fromkeys(("node_names", "total_gpus", "hourly_cost"), Unknown)
        return planned

    @told(nothing)
    def create(self, ctx: CreateContext, planned: State) -> State | None:
        from iaclab.mlplatform import node_pools

        api, pool = self.provider.api(), _pool(planned)
        node_pools.refuse_foreign(api, pool)
        if node_pools.names_of(api, pool.name):
            ctx.diagnostics.add_warning(
                f"The pool {pool.name} existed already",
                "Its nodes carry this pool's label, as after an apply that was interrupted; they were taken over.",
            )
        state = {**planned, **_derived(pool)}
        try:
            node_pools.put(api, pool, seconds(planned, "create", _CREATE), seconds(planned, "delete", _DELETE))
        except LabError as error:
            tell(ctx.diagnostics, error)
            return state if node_pools.names_of(api, pool.name) else None
        return state

    @told(unchanged)
    def read(self, ctx: ReadContext, current: State) -> State | None:
        return self._there(current["name"], current)

    @told(nothing)
    def update(self, ctx: UpdateContext, current: State, planned: State) -> State | None:
        from iaclab.mlplatform import node_pools

        pool = _pool(planned)
        create, drain = seconds(planned, "update", _CREATE), seconds(planned, "delete", _DELETE)
        node_pools.put(self.provider.api(), pool, create, drain)
        return {**planned, **_derived(pool)}

    @told(unchanged)
    def delete(self, ctx: DeleteContext, current: State) -> State | None:
        from iaclab.mlplatform import node_pools

        node_pools.delete(self.provider.api(), current["name"], seconds(current, "delete", _DELETE))
        return None

    @told(nothing)
    def import_(self, ctx: ImportContext, id: str) -> State | None:
        state = self._there(id, None)
        if state is None:
            raise LabError(
                f"There is no node pool '{id}'.", "No node carries its label.", "kubectl get nodes --show-labels"
            )
        return state

    def upgrade(self, ctx: Any, version: int, old: State) -> State:
        return old

    def _there(self, name: str, current: State | None) -> State | None:
        """The state as the cluster holds it. A pool without nodes is there as long as it is meant to have none."""
        from iaclab.mlplatform import node_pools

        api = self.provider.api()
        expected = _pool(current) if current else None
        pool = node_pools.get(api, name, expected)
        if pool is None:
            return {**current, "node_count": 0, "node_names": [], **_no_gpus()} if current else None
        before = current or {}
        gpu_taint = node_pools.GPU_TAINT in pool.taints
        same_taints = expected is not None and pool.taints == expected.taints
        taints = before["taint"] if same_taints else _blocks(pool.taints - {node_pools.GPU_TAINT})
        return {
            "name": name,
            "accelerator": pool.accelerator,
            "node_count": pool.node_count,
            "gpus_per_node": pool.gpus_per_node,
            "zones": list(pool.zones),
            "gpu_taint": gpu_taint,
            "labels": or_null(pool.labels, before.get("labels")),
            "taint": taints,
            "timeouts": before.get("timeouts") or [],
            **_derived(pool),
            "in_sync": pool.alike,
            "node_names": node_pools.names_of(api, name),
        }


def _check_taint(diags: Diagnostics, taint: Any) -> None:
    if not known(taint):
        return
    effect, key = taint.get("effect"), taint.get("key")
    if known(effect) and effect not in EFFECTS:
        diags.add_error(f"'{effect}' is not an effect of a taint", f"Effects: {', '.join(EFFECTS)}.", path=["taint"])
    if key == "nvidia.com/gpu":
        diags.add_error("The taint nvidia.com/gpu is not set by a block", "Use gpu_taint.", path=["taint"])


def _no_gpus() -> State:
    return {"total_gpus": 0, "hourly_cost": 0.0}


def _derived(pool: NodePool) -> State:
    """What follows from the configuration, and is known before apply."""
    return {
        "id": pool.name,
        "in_sync": True,
        "node_names": pool.node_names,
        "total_gpus": pool.total_gpus,
        "hourly_cost": pool.hourly_cost,
    }


def _pool(state: State) -> NodePool:
    from iaclab.mlplatform.node_pools import GPU_TAINT, NodePool, Taint

    taints = {Taint(t["key"], t["value"] or "", t["effect"]) for t in state["taint"]}
    return NodePool(
        name=state["name"],
        accelerator=state["accelerator"],
        node_count=int(state["node_count"]),
        gpus_per_node=int(state["gpus_per_node"]),
        zones=tuple(state["zones"]),
        taints=frozenset(taints | ({GPU_TAINT} if state["gpu_taint"] else set())),
        labels=state["labels"] or {},
    )


def _blocks(taints: frozenset[Taint]) -> list[State]:
    return [{"key": t.key, "value": t.value or None, "effect": t.effect} for t in sorted(taints)]
