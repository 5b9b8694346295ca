"""Push against pull, and the four principles."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from iaclab.checks.gitops import look
from iaclab.checks.gitops.look import Object
from iaclab.checks.record import Check
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

_OWNER = "gitops.course.local/owner"  # the label by which the lecture's reconciler knows what is its own


def _rolled_back(profile: Profile) -> Object:
    release = look.commit_named(profile, "recommender", "Recommender 2.0")
    before, now = (look.git_says(profile, "recommender", "rev-parse", f"{c}:deploy") for c in (f"{release}~", "main"))
    running = look.get(profile, "pull", "deployments", "recommender")
    settings = look.get(profile, "pull", "configmaps", "settings", "v1")
    return {
        "2.0 in the history": "kept" if release else "gone",
        "main": "as before 2.0" if release and before == now else "differs from what was before 2.0",
        "running": look.image(running),
        "available": running.get("status", {}).get("availableReplicas", 0),
        "threshold": settings.get("data", {}).get("THRESHOLD", "absent"),
    }


def _rights(profile: Profile) -> Object:
    """What the service account may do, as the API server's authoriser answers."""
    from kubernetes import client, config

    connect: Any = config.new_client_from_config
    api: Any = client.AuthorizationV1Api(connect(str(cluster.kubeconfig(profile))))

    def may(verb: str, kind: str, namespace: str) -> bool:
        resource, _, group = kind.partition(".")
        asked = {"verb": verb, "resource": resource, "group": group, "namespace": namespace}
        spec: Object = {"user": "system:serviceaccount:pull:reconciler", "resourceAttributes": asked}
        spec["groups"] = ["system:authenticated", "system:serviceaccounts", "system:serviceaccounts:pull"]
        return bool(api.create_subject_access_review({"spec": spec}).status.allowed)

    kinds = ("configmaps", "services", "deployments.apps", "jobs.batch", "cronjobs.batch")
    wanted = [(verb, kind) for kind in kinds for verb in ("get", "list", "create", "patch", "delete")]
    others = [
        ("get", "secrets", "pull"),
        ("create", "pods", "pull"),
        ("create", "rolebindings.rbac.authorization.k8s.io", "pull"),
    ]
    others += [("get", "configmaps", "push"), ("patch", "deployments.apps", "push"), ("delete", "namespaces", "")]
    there = bool(look.get(profile, "pull", "serviceaccounts", "reconciler", "v1"))
    lacks = [f"{verb} {kind}" for verb, kind in wanted if not may(verb, kind, "pull")]
    more = [f"{verb} {kind} in {namespace}" for verb, kind, namespace in others if may(verb, kind, namespace)]
    return {
        "service account": "there" if there else "absent",
        "lacks": lacks or "nothing",
        "too much": more or "nothing",
    }


def _pinned(profile: Profile) -> Object:
    """How our main refers to the other repository, and what of it runs."""
    resources = look.table(look.git_says(profile, "embedder", "show", "main:app/kustomization.yaml")).get(
        "resources", []
    )
    refs = [str(r).rpartition("ref=")[2] for r in resources if "/exporter.git" in str(r)]
    commit = bool(refs and re.fullmatch(r"[0-9a-f]{40}", refs[0]))
    return {
        "refers to": "a commit" if commit else ", ".join(refs) or "nothing of exporter.git",
        "running": look.image(look.get(profile, "embedder", "deployments", "exporter")),
    }


def _reported(profile: Profile) -> Object:
    status = look.get(profile, "embedder", "configmaps", "reconciler-status", "v1")
    wanted, said = (
        look.git_says(profile, "embedder", "rev-parse", "main"),
        status.get("data", {}).get("commit", "nothing"),
    )
    return {
        "reported": "the newest commit of main" if said == wanted else said,
        "pruned with the rest": _OWNER in status.get("metadata", {}).get("labels", {}),
    }


def _handed_over(profile: Profile) -> Object:
    """Who owns the replicas, and whether two pods have lived since before the commit that let go."""
    deployment = look.get(profile, "embedder", "deployments", "embedder")
    managed = deployment.get("metadata", {}).get("managedFields", [])
    owners = sorted({m["manager"] for m in managed if "f:replicas" in m.get("fieldsV1", {}).get("f:spec", {})})
    since = int(look.git_says(profile, "embedder", "log", "-1", "--format=%ct", "main") or 0)
    found = cluster.kube(profile).get("/api/v1/namespaces/embedder/pods?labelSelector=app%3Dembedder") or {"items": []}
    made = [datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp() for pod in found["items"]]
    return {
        "replicas": deployment.get("spec", {}).get("replicas"),
        "owners of the field": owners,
        "pods from before the newest commit": sum(at <= since for at in made),
    }


CHECKS = {
    "rolled-back": Check(
        title="pull runs 1.0 again by a new commit, and the history still tells of 2.0",
        needs=("cluster", "git"),
        probe=_rolled_back,
        expect=lambda seen: (
            seen
            == {
                "2.0 in the history": "kept",
                "main": "as before 2.0",
                "running": "recommender:1.0",
                "available": 2,
                "threshold": "0.50",
            }
        ),
        within=30,
        hints=(
            "What must the newest commit of main say, so that the reconciler does the rest?",
            "`git revert HEAD` undoes the last commit with a new one; then push.",
            'cd recommender && git revert --no-edit HEAD && git push "$GIT_URL/recommender.git" HEAD:main',
        ),
    ),
    "least-privilege": Check(
        title="the service account pull/reconciler may do what the loop needs, and no more",
        probe=_rights,
        expect=lambda seen: seen == {"service account": "there", "lacks": "nothing", "too much": "nothing"},
        hints=(
            "Which verbs does the loop use (get, apply, delete), on which kinds?",
            "A Role with get, list, create, patch, delete on five kinds, and a RoleBinding to the service account.",
            "kubectl -n pull create role reconciler --verb=get,list,create,patch,delete "
            "--resource=configmaps,services,deployments.apps,jobs.batch,cronjobs.batch; kubectl -n pull create "
            "rolebinding reconciler --role=reconciler --serviceaccount=pull:reconciler",
        ),
    ),
    "pinned": Check(
        title="the exporter is 1.0, by a reference that cannot move",
        needs=("cluster", "git"),
        probe=_pinned,
        expect=lambda seen: seen == {"refers to": "a commit", "running": "exporter:1.0"},
        within=30,
        hints=(
            "What names one state of a repository for ever?",
            "`ref=` takes a commit's full hash; `git -C exporter log` shows the one of 1.0.",
            "sed -i \"s/ref=main/ref=$(git -C exporter log --format=%H --grep='Exporter 1.0' main)/\" "
            "embedder/app/kustomization.yaml, then commit and push",
        ),
    ),
    "reported": Check(
        title="the reconciler says in the cluster that it has reached the newest commit",
        needs=("cluster", "git"),
        probe=_reported,
        expect=lambda seen: seen == {"reported": "the newest commit of main", "pruned with the rest": False},
        within=20,
        hints=(
            "Which program knows the commit, and when is it true that the cluster is there?",
            "At the end of `reconcile`: `git -C CLONE rev-parse HEAD`, and an apply of a ConfigMap without the label.",
            'commit = run("git", "-C", CLONE, "rev-parse", "HEAD").strip(), then kubectl("apply", *APPLY, '
            'text=json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "reconciler-status"}, '
            '"data": {"commit": commit}}))',
        ),
    ),
    "handed-over": Check(
        title="four replicas, owned by the autoscaler alone, and never fewer than two on the way",
        needs=("cluster", "git"),
        probe=_handed_over,
        expect=lambda seen: (
            (seen["replicas"], seen["owners of the field"]) == (4, ["autoscaler"])
            and seen["pods from before the newest commit"] >= 2
        ),
        within=20,
        hints=(
            "A field is removed when its last owner lets go. Who must own it before that?",
            "kubectl apply --server-side --field-manager=autoscaler with replicas: 2; then the commit; then 4. Was "
            "there an outage? Put the line back, push, and begin again.",
            "echo '{apiVersion: apps/v1, kind: Deployment, metadata: {name: embedder}, spec: {replicas: 2}}' | "
            "kubectl -n embedder apply --server-side --field-manager=autoscaler -f -, then sed -i '/replicas: 2/d'",
        ),
    ),
}
