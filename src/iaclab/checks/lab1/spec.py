"""What lab 1 asks for: three environments, as its text gives them."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

STATE_BUCKET = "ml-platform-tfstate"
HOURS = 730  # of a month
TAGS = ("environment", "owner")


@dataclass(frozen=True)
class Pool:
    """A pool of `nodes` machines with `gpus` GPUs each."""

    accelerator: str
    nodes: int
    gpus: int


@dataclass(frozen=True)
class Environment:
    """One environment; `cidr` is a /16, of which each zone gets a /20 in turn."""

    name: str
    cidr: str
    zones: tuple[str, ...]
    gpu_quota: int
    pools: dict[str, Pool]

    @property
    def subnets(self) -> dict[str, str]:
        """The range of each zone."""
        parts = IPv4Network(self.cidr).subnets(new_prefix=20)
        return {zone: str(part) for zone, part in zip(self.zones, parts, strict=False)}


_A, _B, _C = "eu-west-1a", "eu-west-1b", "eu-west-1c"
ENVIRONMENTS = {
    e.name: e
    for e in (
        Environment("dev", "10.10.0.0/16", (_A, _B), 4, {"train": Pool("t4", 2, 2), "serve": Pool("l4", 1, 1)}),
        Environment("staging", "10.20.0.0/16", (_A, _B), 8, {"train": Pool("a10g", 2, 4), "serve": Pool("l4", 2, 2)}),
        Environment(
            "prod", "10.30.0.0/16", (_A, _B, _C), 24, {"train": Pool("a100-80gb", 3, 8), "serve": Pool("l4", 3, 4)}
        ),
    )
}
