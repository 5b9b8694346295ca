"""Components: what a team asks for, made of the provider's resources."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pulumi

from iaclab.pulumi_platform import NAME
from iaclab.pulumi_platform.resources import Cluster, GpuNodePool, ModelBucket, Options


@dataclass(frozen=True)
class Pool:
    """The machines of a workload: a name from the accelerator catalogue, how many nodes, how many GPUs in each."""

    accelerator: str
    nodes: int
    gpus_per_node: int = 8
    zones: tuple[str, ...] = ("eu-west-1a", "eu-west-1b")


@dataclass(frozen=True)
class WorkloadArgs:
    """What a workload needs.

    Args:
        pool: its machines.
        buckets: days to keep objects, by the bucket's purpose; `None` keeps them for ever.
        max_hourly_cost: US dollars an hour that the machines may cost.
    """

    pool: Pool
    buckets: Mapping[str, int | None] = field(default_factory=dict)
    max_hourly_cost: float = 100.0


class Workload(pulumi.ComponentResource):
    """Machines and buckets of one workload; buckets with a limit are deleted with what is in them.

    Attributes:
        gpus: GPUs of all its machines.
        hourly_cost: example price of its machines for an hour, US dollars.
        urls: of the buckets, by purpose.
    """

    gpus: pulumi.Output[int]
    hourly_cost: pulumi.Output[float]
    urls: dict[str, pulumi.Output[str]]

    def __init__(self, name: str, args: WorkloadArgs, opts: Options = None) -> None:
        super().__init__(f"{NAME}:components:Workload", name, {}, opts)
        _refuse_dear(name, args)
        mine = pulumi.ResourceOptions(parent=self)
        pool = GpuNodePool(
            name,
            accelerator=args.pool.accelerator,
            node_count=args.pool.nodes,
            gpus_per_node=args.pool.gpus_per_node,
            zones=list(args.pool.zones),
            labels={"workload": name},
            opts=mine,
        )
        self.urls = {}
        for purpose, days in args.buckets.items():
            rules = [{"id": "expire", "expirationDays": days}] if days is not None else None
            bucket = ModelBucket(f"{name}-{purpose}", force_destroy=days is not None, lifecycle_rules=rules, opts=mine)
            self.urls[purpose] = bucket.url
        self.gpus, self.hourly_cost = pool.total_gpus, pool.hourly_cost
        self.register_outputs({"gpus": self.gpus, "hourlyCost": self.hourly_cost, "urls": self.urls})


class TeamPlatform(pulumi.ComponentResource):
    """A team's whole platform: its workloads, and namespaces whose GPU quota is the sum of their GPUs."""

    gpus: pulumi.Output[int]

    def __init__(self, name: str, workloads: Mapping[str, WorkloadArgs], opts: Options = None) -> None:
        super().__init__(f"{NAME}:components:TeamPlatform", name, {}, opts)
        mine = pulumi.ResourceOptions(parent=self)
        made = [Workload(f"{name}-{key}", args, mine) for key, args in workloads.items()]
        self.gpus = pulumi.Output.all(*(workload.gpus for workload in made)).apply(lambda gpus: int(sum(gpus)))
        self.team = Cluster(name, namespaces=[name], gpu_quota=self.gpus, opts=mine)
        self.register_outputs({"gpus": self.gpus})


def _refuse_dear(name: str, args: WorkloadArgs) -> None:
    """Before anything is registered: a preview fails too.

    Raises:
        ValueError: the machines cost more than they may.
        LabError: an unknown accelerator.
    """
    from iaclab.mlplatform.accelerators import gpu_hours_cost

    cost = gpu_hours_cost(args.pool.accelerator, args.pool.nodes * args.pool.gpus_per_node, 1)
    if cost > args.max_hourly_cost:
        raise ValueError(f"{name} would cost {cost:g} dollars an hour; {args.max_hourly_cost:g} are allowed")
