"""Checks of admission: what the API server takes, changes and counts. Nothing that they ask for is kept."""

from __future__ import annotations

import json
from typing import Any

from iaclab.checks.policy import ask
from iaclab.checks.record import Check
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_NEEDS = ("gatekeeper",)
_HEX = "0123456789abcdef" * 4


def pod(namespace: str, name: str, gpus: int = 0, labels: dict[str, str] | None = None) -> ask.Document:
    """A pod of the course's own image, with GPUs."""
    limits = {"limits": {"nvidia.com/gpu": gpus}} if gpus else {}
    container = {"name": "c", "image": f"registry.course.local/check@sha256:{_HEX}", "resources": limits}
    tolerations = [{"key": "nvidia.com/gpu", "operator": "Exists"}]
    about = {"name": name, "namespace": namespace, "labels": labels or {}}
    spec = {"tolerations": tolerations, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": about, "spec": spec}


def _get(profile: Profile, *names: str) -> Any:
    done = ask.kubectl(profile, "get", *names, "-o", "json")
    if done.returncode:
        raise LabError(done.stderr.strip()[:300])
    return json.loads(done.stdout)


def _refuses(profile: Profile, document: ask.Document) -> bool:
    return not ask.admitted(profile, document)[0]


def _audited(profile: Profile) -> dict[str, Any]:
    rule = _get(profile, "gpulimit", "notebooks")
    pods = {item["metadata"]["name"] for item in _get(profile, "-n", "notebooks", "pods")["items"]}
    return {
        "action": rule["spec"].get("enforcementAction"),
        "limit": rule["spec"]["parameters"]["max"],
        "violations": rule.get("status", {}).get("totalViolations"),
        "small is there": "small" in pods,
        "4 GPUs are refused": _refuses(profile, pod("notebooks", "check-four", 4)),
        "2 GPUs are refused": _refuses(profile, pod("notebooks", "check-two", 2)),
    }


def _mutated(profile: Profile) -> dict[str, Any]:
    def center(namespace: str, labels: dict[str, str]) -> str:
        wanted = pod(namespace, "check-label", labels=labels)
        done = ask.kubectl(profile, "create", "--dry-run=server", "-f", "-", "-o", "json", document=wanted)
        if done.returncode:
            raise LabError(done.stderr.strip()[:300])
        return str(json.loads(done.stdout)["metadata"].get("labels", {}).get("cost-center", "none"))

    return {
        "without": center("training", {"app": "x"}),
        "with its own": center("training", {"cost-center": "sales"}),
        "elsewhere": center("default", {"app": "x"}),
    }


def _exempt(profile: Profile) -> dict[str, Any]:
    return {
        "benchmark": _refuses(profile, pod("notebooks", "check-a", 4, {"exempt": "benchmark"})),
        "another label": _refuses(profile, pod("notebooks", "check-b", 4, {"exempt": "holiday"})),
        "no label": _refuses(profile, pod("notebooks", "check-c", 4)),
        "limit": _get(profile, "gpulimit", "notebooks")["spec"]["parameters"]["max"],
    }


def _service(kind: str | None, namespace: str = "serving", approved: bool = False) -> ask.Document:
    spec: dict[str, Any] = {"selector": {"app": "x"}, "ports": [{"port": 80}]}
    notes = {"course.local/public-approved-by": "security"} if approved else {}
    about = {"name": "check-endpoint", "namespace": namespace, "annotations": notes}
    return {"apiVersion": "v1", "kind": "Service", "metadata": about, "spec": spec | ({"type": kind} if kind else {})}


def _cel(profile: Profile) -> dict[str, Any]:
    cases = {
        "LoadBalancer": _service("LoadBalancer"),
        "NodePort": _service("NodePort"),
        "approved": _service("LoadBalancer", approved=True),
        "ClusterIP": _service("ClusterIP"),
        "no type": _service(None),
        "not prod": _service("NodePort", namespace="default"),
    }
    found: dict[str, Any] = {}
    for name, case in cases.items():
        admitted, said = ask.admitted(profile, case)
        by_policy = "ValidatingAdmissionPolicy 'no-public-endpoints'" in said
        found[name] = "admitted" if admitted else "denied" if by_policy else said[:80]
    return found


CHECKS = {
    "audited": Check(
        title="GpuLimit denies more than 2 GPUs in notebooks, the audit finds nothing, and small is there",
        needs=_NEEDS,
        within=60,
        probe=_audited,
        expect=lambda seen: (
            seen
            == {
                "action": "deny",
                "limit": 2,
                "violations": 0,
                "small is there": True,
                "4 GPUs are refused": True,
                "2 GPUs are refused": False,
            }
        ),
        hints=(
            "Two things: the rule's enforcementAction, and the pod that the audit names.",
            "kubectl get gpulimit notebooks -o yaml has the violations in its status.",
            'kubectl patch gpulimit notebooks --type=merge -p \'{"spec":{"enforcementAction":"deny"}}\'; '
            "kubectl -n notebooks delete pod old",
        ),
    ),
    "mutated": Check(
        title="a pod in training without cost-center gets research, one with it keeps its own",
        needs=_NEEDS,
        within=60,
        probe=_mutated,
        expect=lambda seen: seen == {"without": "research", "with its own": "sales", "elsewhere": "none"},
        hints=(
            "AssignMetadata sets labels and annotations, where there are none yet.",
            "spec.match as in the mutators above; location: 'metadata.labels.\"cost-center\"'.",
            "parameters: {assign: {value: research}}   # apiVersion: mutations.gatekeeper.sh/v1, kind: AssignMetadata",
        ),
    ),
    "exempt": Check(
        title="pods with exempt: benchmark are exempt from GpuLimit notebooks, and no others",
        needs=_NEEDS,
        within=60,
        probe=_exempt,
        expect=lambda seen: seen == {"benchmark": False, "another label": True, "no label": True, "limit": 2},
        hints=(
            "The constraint's match chooses the objects that it is asked about.",
            "spec.match.labelSelector.matchExpressions with NotIn: an object without the label matches too.",
            '{"spec":{"match":{"labelSelector":{"matchExpressions":'
            '[{"key":"exempt","operator":"NotIn","values":["benchmark"]}]}}}}',
        ),
    ),
    "cel": Check(
        title="public Services are denied in prod by the policy no-public-endpoints, unless approved",
        needs=("cluster",),
        within=60,
        probe=_cel,
        expect=lambda seen: (
            seen
            == {
                "LoadBalancer": "denied",
                "NodePort": "denied",
                "approved": "admitted",
                "ClusterIP": "admitted",
                "no type": "admitted",
                "not prod": "admitted",
            }
        ),
        hints=(
            "A policy and a binding: the binding's namespaceSelector says where.",
            "object.spec.?type.orValue('ClusterIP') in ['LoadBalancer', 'NodePort'] is what must not be, "
            "without the annotation.",
            "expression: !(…) || 'course.local/public-approved-by' in object.metadata.?annotations.orValue({})",
        ),
    ),
}
