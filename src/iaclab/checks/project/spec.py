"""What the final project asks for, as its text gives it."""

from __future__ import annotations

from dataclasses import dataclass

TEAMS = ("fraud", "vision")
REGISTRY = "registry.course.local"
VERSION = "1.0.0"
GPU_QUOTA = "requests.nvidia.com/gpu"
POOL = "serving"
STATE_BUCKET = "iac-state"
REPOSITORY = "platform"
SECRET = "model-registry"  # in the home region, in fraud's namespace
COLLEAGUE = "colleague@course.local"  # who commits what goes wrong


@dataclass(frozen=True)
class Region:
    """One region.

    Args:
        name: its label, and the last part of the names of buckets and Applications.
        cluster: the service that is its cluster.
        pool_gpus: GPUs of its node pool.
        quota: GPUs that each team's namespace may request.
        pods: ready pods of each team's API.
    """

    name: str
    cluster: str
    pool_gpus: int
    quota: int
    pods: int

    def application(self, team: str) -> str:
        """The Application that brings a team's work here."""
        return f"{team}-{self.name}"

    def bucket(self, team: str) -> str:
        """The bucket of a team's models here."""
        return f"{team}-models-{self.name}"


WEST = Region("eu-west", "cluster", 4, 4, 2)
NORTH = Region("eu-north", "cluster-b", 2, 2, 1)
REGIONS = (WEST, NORTH)


def image(team: str, version: str = VERSION) -> str:
    """The image of a team's API."""
    return f"{REGISTRY}/{team}-api:{version}"
