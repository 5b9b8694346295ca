"""What lab 2 asks for: two teams and their environments, as its text gives them."""

from __future__ import annotations

from dataclasses import dataclass

TEAMS = ("fraud", "vision")
REGISTRY = "registry.course.local"
GPU_QUOTA = "requests.nvidia.com/gpu"
MOST_ERRORS = 0.05  # the error ratio that a canary may have
STRANGER = "docker.io/someone/detector"  # the image of the incident


@dataclass(frozen=True)
class Environment:
    """One environment: the GPU quota of each team's namespace, and the size of what runs in it."""

    name: str
    quota: int
    training_gpus: int
    api_pods: int
    detector_pods: int

    def namespace(self, team: str) -> str:
        """A team's namespace, which is the name of its Application too."""
        return f"{team}-{self.name}"


DEV = Environment("dev", 4, 1, 1, 1)
PROD = Environment("prod", 8, 2, 4, 3)
STAGING = Environment("staging", 4, 1, 2, 2)
FIRST = (DEV, PROD)  # those that the tasks ask for; staging is an exercise
