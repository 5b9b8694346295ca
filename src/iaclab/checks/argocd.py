"""Checks of the Argo CD lecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iaclab.checks.record import Check
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster


def _application(profile: Profile, name: str) -> dict[str, Any]:
    """An Application as the cluster holds it; empty where there is none."""
    path = f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{name}"
    return cluster.kube(profile).get(path) or {}


def _state(profile: Profile, name: str) -> str:
    status = _application(profile, name).get("status", {})
    return f"{status.get('sync', {}).get('status', 'absent')}/{status.get('health', {}).get('status', 'absent')}"


def _images(profile: Profile, name: str, namespace: str, deployments: tuple[str, ...]) -> dict[str, str]:
    api = cluster.kube(profile, name)
    found = {}
    for deployment in deployments:
        there = api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}")
        found[deployment] = there["spec"]["template"]["spec"]["containers"][0]["image"] if there else "absent"
    return found


def _destinations(profile: Profile) -> list[str]:
    project = cluster.kube(profile).get("/apis/argoproj.io/v1alpha1/namespaces/argocd/appprojects/fraud-team") or {}
    return [d.get("namespace", "") for d in project.get("spec", {}).get("destinations", [])]


def _workers(profile: Profile) -> dict[str, Any]:
    worker = cluster.kube(profile).get("/apis/apps/v1/namespaces/trainer/deployments/worker") or {}
    spec = _application(profile, "trainer").get("spec", {})
    return {
        "replicas": worker.get("spec", {}).get("replicas"),
        "self-heal": spec.get("syncPolicy", {}).get("automated", {}).get("selfHeal", False),
        "state": _state(profile, "trainer"),
    }


def _regions(profile: Profile) -> dict[str, str]:
    return {
        name: _images(profile, name, "inference", ("vision-api",))["vision-api"].rsplit(":", 1)[-1]
        for name in ("cluster", "cluster-b")
    }


def _prod(profile: Profile) -> dict[str, str]:
    return {
        "state": _state(profile, "churn-prod"),
        **_images(profile, "cluster", "churn-prod", ("churn-stable", "churn-canary")),
    }


def _model(profile: Profile) -> str:
    found = cluster.kube(profile).get("/api/v1/namespaces/stuck/configmaps/model") or {}
    return f"version {found.get('data', {}).get('version', 'absent')}"


CHECKS = {
    "components": Check(
        title="the two parts that bring a commit to the cluster",
        needs=(),
        probe=lambda profile: sorted(Path("components.txt").read_text().split()),
        expect=lambda seen: seen == ["controller", "repo-server"],
        hints=(
            "One reads Git, one writes to the cluster.",
            "The API server is for people and webhooks; polling needs neither.",
            'answer = {"repo-server", "controller"}',
        ),
    ),
    "root-vision": Check(
        title="the Application root-vision exists, synced and healthy, and came from the root",
        needs=("argocd",),
        probe=lambda profile: _state(profile, "root-vision"),
        expect=lambda seen: seen == "Synced/Healthy",
        within=60,
        hints=(
            "The root deploys every manifest in its folder. What does the folder lack?",
            "Copy platform/root/churn.yaml, change metadata.name and releaseName, commit and push.",
            "sed 's/root-churn/root-vision/; s/releaseName: churn/releaseName: vision/' "
            "root/churn.yaml > root/vision.yaml",
        ),
    ),
    "project-destination": Check(
        title="the project fraud-team may deploy into ranker*",
        needs=("argocd",),
        probe=_destinations,
        expect=lambda seen: "ranker*" in seen,
        within=5,
        hints=(
            "Which field of the project lists the namespaces?",
            "`argocd proj add-destination PROJECT SERVER NAMESPACE` takes patterns.",
            "argocd proj add-destination fraud-team https://kubernetes.default.svc 'ranker*'",
        ),
    ),
    "ignore-replicas": Check(
        title="four workers, kept although self-heal is on",
        needs=("argocd",),
        probe=_workers,
        expect=lambda seen: seen == {"replicas": 4, "self-heal": True, "state": "Synced/Healthy"},
        within=20,
        hints=(
            "Argo CD must not see a difference in that one field.",
            "spec.ignoreDifferences with a JSON pointer, and the sync option RespectIgnoreDifferences=true.",
            'kubectl -n argocd patch application trainer --type merge -p \'{"spec": {"ignoreDifferences": '
            '[{"group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"]}]}}\'',
        ),
    ),
    "north-only": Check(
        title="the north runs 1.1.0-int8, the west still 1.0.0",
        needs=("argocd", "cluster-b"),
        probe=_regions,
        expect=lambda seen: seen == {"cluster": "1.0.0", "cluster-b": "1.1.0-int8"},
        within=60,
        hints=(
            "Which folder does only the north use?",
            "overlays/eu-north/kustomization.yaml sets the tag; commit and push it.",
            "sed -i 's/newTag: 1.0.0-int8/newTag: 1.1.0-int8/' overlays/eu-north/kustomization.yaml",
        ),
    ),
    "rolled-back": Check(
        title="prod is synced and healthy again, on 1.1",
        needs=("argocd",),
        probe=_prod,
        expect=lambda seen: (
            seen
            == {
                "state": "Synced/Healthy",
                "churn-stable": "registry.course.local/churn:1.1",
                "churn-canary": "registry.course.local/churn:1.1",
            }
        ),
        within=60,
        hints=(
            "Git is the truth: what must the newest commit say?",
            "`git revert HEAD` undoes the last commit with a new one; then push.",
            'git revert --no-edit HEAD && git push "$GIT_URL/serving.git" HEAD:main',
        ),
    ),
    "unstuck": Check(
        title="version 2 is in the cluster",
        needs=("argocd",),
        probe=_model,
        expect=lambda seen: seen == "version 2",
        within=60,
        hints=(
            "Argo CD says Synced. Synced with what?",
            "Compare the Target in `argocd app get stuck` with the branch that was merged to.",
            "argocd app set stuck --revision main",
        ),
    ),
}
