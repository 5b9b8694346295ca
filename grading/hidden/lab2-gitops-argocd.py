"""What is looked at after lab 2 was handed in: whether the fences hold and drift is undone, by trying both."""

from __future__ import annotations

import time
from collections.abc import Iterator

from iaclab.checks.lab2 import rights
from iaclab.checks.lab2.settled import record
from iaclab.checks.lab2.spec import DEV
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

_UNDONE = 20  # seconds within which drift must be gone
_NONE = ("", "", "")


def drift(profile: Profile) -> Iterator[str]:
    """One pod more, by hand: Argo CD takes it back. Where it does not, this does."""
    namespace = DEV.namespace("vision")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/detector"
    api = cluster.kube(profile)
    api.patch(path, {"spec": {"replicas": DEV.detector_pods + 1}})
    deadline = time.monotonic() + _UNDONE
    while (api.get(path) or {"spec": {}})["spec"].get("replicas") != DEV.detector_pods:
        if time.monotonic() > deadline:
            api.patch(path, {"spec": {"replicas": DEV.detector_pods}})
            yield f"detector in {namespace} was scaled by hand, and stays so"
            return
        time.sleep(0.2)


CHECKS = {
    "tokens.act": record(
        3, "requests with a team's token to the other team's Applications are refused", rights.acts, _NONE, within=0
    ),
    "environments.drift": record(3, "drift in a team's namespace is undone", drift, _NONE, within=0),
}
