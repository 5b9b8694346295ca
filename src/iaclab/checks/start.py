"""Checks of the start page."""

from __future__ import annotations

from iaclab.checks.record import Check
from iaclab.platform.node_pools import GPU
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster


def _gpu_pods(profile: Profile) -> dict[str, str]:
    """Running pods of the default namespace that hold a GPU, with their nodes."""
    pods = (cluster.kube(profile).get("/api/v1/namespaces/default/pods") or {"items": []})["items"]
    return {
        pod["metadata"]["name"]: pod["spec"].get("nodeName", "")
        for pod in pods
        if pod["status"].get("phase") == "Running"
        and any(GPU in c.get("resources", {}).get("limits", {}) for c in pod["spec"]["containers"])
    }


CHECKS = {
    "two-gpus": Check(
        title="the pods train and evaluate run, each with a GPU",
        probe=_gpu_pods,
        expect=lambda seen: {"train", "evaluate"} <= set(seen),
        within=30,
        hints=(
            "The first manifest is nearly right for the second pod too: what must differ?",
            "Copy train.yaml, change metadata.name, keep the toleration and the GPU limit.",
            "sed 's/name: train/name: evaluate/' train.yaml | kubectl apply -f -",
        ),
    ),
}
