"""Releases in steps, training runs, and the contract between a feature store and its readers."""

from __future__ import annotations

import time
from collections import Counter
from datetime import datetime

from iaclab.checks.gitops import look
from iaclab.checks.gitops.look import Object
from iaclab.checks.record import Check
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

_NEEDS = "features.course.local/needs"  # the annotation by which a model names its features


def _traffic(profile: Profile) -> Object:
    """The versions of the pods that are ready behind the Service churn, and how many of each."""
    api = cluster.kube(profile)
    slices = api.get(
        "/apis/discovery.k8s.io/v1/namespaces/churn/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dchurn"
    )
    pods = api.get("/api/v1/namespaces/churn/pods?labelSelector=app%3Dchurn") or {"items": []}
    labels = {pod["metadata"]["name"]: pod["metadata"]["labels"] for pod in pods["items"]}
    found: Counter[str] = Counter()
    for endpoint in [e for s in (slices or {"items": []})["items"] for e in s.get("endpoints") or []]:
        if endpoint["conditions"].get("ready"):
            found[labels.get(endpoint["targetRef"]["name"], {}).get("version", "unknown")] += 1
    return dict(sorted(found.items()))


def _aborted(profile: Profile) -> Object:
    canary = look.commit_named(profile, "churn-live", "Canary: 1.2 on a fifth")
    before, now = (look.git_says(profile, "churn-live", "rev-parse", f"{c}:serving") for c in (f"{canary}~", "main"))
    return {
        "traffic": _traffic(profile),
        "the canary's commit": "in the history" if canary else "gone",
        "main": "as before the canary" if canary and now == before else "differs from what was before the canary",
    }


def _progressive(profile: Profile) -> Object:
    """The traffic now, and the largest share below all of it that a commit of main gave to 1.3."""
    commits = look.git_says(profile, "churn-live", "rev-list", "main").split()
    shares = [_share(look.manifests(profile, "churn-live", commit, "serving"), "1.3") for commit in commits[:12]]
    partial = [share for share in shares if 0 < share < 1]
    return {
        "traffic": _traffic(profile),
        "Git gives 1.3": f"{round(100 * shares[0])} %" if shares else "nothing",
        "canary by a commit": f"{round(100 * max(partial))} %" if partial else "none",
    }


def _share(objects: list[Object], version: str) -> float:
    """The share of the replicas behind the Services that have this version, from 0 to 1."""
    pods: Counter[str] = Counter()
    for selector in [o["spec"]["selector"] for o in objects if o["kind"] == "Service"]:
        for deployment in [o["spec"] for o in objects if o["kind"] == "Deployment"]:
            labels = deployment["template"]["metadata"]["labels"]
            if selector.items() <= labels.items():
                pods[labels.get("version", "")] += deployment.get("replicas", 1)
    return pods[version] / pods.total() if pods.total() else 0.0


def _trained_once(profile: Profile) -> Object:
    """The training Jobs in the cluster, and whether what Git says of them deletes itself."""
    jobs = [o for o in look.manifests(profile, "training", "main", "jobs") if o["kind"] == "Job"]
    running = look.get(profile, "training", "jobs", "train-churn-v4", "batch/v1")
    made = running.get("metadata", {}).get("creationTimestamp")
    age = time.time() - datetime.fromisoformat(made).timestamp() if made else 0.0
    return {
        "in Git": sorted(job["metadata"]["name"] for job in jobs),
        "deletes itself": any("ttlSecondsAfterFinished" in job["spec"] for job in jobs),
        "train-churn-v4": "completed" if running.get("status", {}).get("succeeded") else "not completed",
        "has stayed for 4 s": age >= 4,
    }


def _feature(profile: Profile) -> Object:
    """What the cluster provides and needs, and whether a commit of main broke the contract on the way."""
    view = look.get(profile, "features", "featureviews", "customer", "features.course.local/v1")
    model = look.get(profile, "features", "deployments", "churn")
    commits = look.git_says(profile, "features", "rev-list", "main").split()
    broken = [c[:7] for c in commits[:12] if _unprovided(look.manifests(profile, "features", c, "store"))]
    provided = {f["name"]: f["type"] for f in view.get("spec", {}).get("features", [])}
    return {"provided": provided, "needed": _needs(model), "commits that break the contract": broken or "none"}


def _needs(item: Object) -> list[str]:
    return str(item.get("metadata", {}).get("annotations", {}).get(_NEEDS, "")).split()


def _unprovided(objects: list[Object]) -> list[str]:
    """The features that some object needs and no FeatureView of the same commit provides."""
    views = [o for o in objects if o["kind"] == "FeatureView"]
    provided = {f"{view['metadata']['name']}.{f['name']}" for view in views for f in view["spec"]["features"]}
    return [need for item in objects for need in _needs(item) if need not in provided]


CHECKS = {
    "aborted": Check(
        title="1.1 has all the traffic again, by a revert of the canary",
        needs=("cluster", "git"),
        probe=_aborted,
        expect=lambda seen: (
            seen == {"traffic": {"1.1": 4}, "the canary's commit": "in the history", "main": "as before the canary"}
        ),
        within=30,
        hints=(
            "The last commit brought the canary. What takes it back, and leaves the history?",
            "`git revert HEAD` in the folder live, and a push to churn-live.git.",
            'cd live && git revert --no-edit HEAD && git push "$GIT_URL/churn-live.git" HEAD:main',
        ),
    ),
    "progressive": Check(
        title="1.3 has all the traffic, after a canary with less than half of it",
        needs=("cluster", "git"),
        probe=_progressive,
        expect=lambda seen: (
            list(seen["traffic"]) == ["1.3"]
            and seen["Git gives 1.3"] == "100 %"
            and seen["canary by a commit"] != "none"
            and int(seen["canary by a commit"].split()[0]) < 50
        ),
        within=30,
        hints=(
            "Two states, two commits: some of the traffic, then all of it.",
            "`to=both` gives each version a share by its replicas; `to=blue` or `to=green` gives all to one of them.",
            './serve "Canary: 1.3" blue=1.3:1 green=1.1:4 to=both, then python gate.py 1.3, then '
            './serve "1.3 for all" blue=1.3:4 green=1.1:0 to=blue',
        ),
    ),
    "trained-once": Check(
        title="train-churn-v4 ran once, completed and stays",
        needs=("cluster", "git"),
        probe=_trained_once,
        expect=lambda seen: (
            seen
            == {
                "in Git": ["train-churn-v4"],
                "deletes itself": False,
                "train-churn-v4": "completed",
                "has stayed for 4 s": True,
            }
        ),
        within=30,
        hints=(
            "Which line makes the Job go, although Git says that it exists?",
            "Take ttlSecondsAfterFinished out of jobs/job.yaml, and give the run a new name.",
            "sed -i '/ttlSecondsAfterFinished/d' jobs/job.yaml && sed -i 's/-v3/-v4/' jobs/kustomization.yaml, then "
            "commit and push",
        ),
    ),
    "feature": Check(
        title="customer provides spend_30d, churn needs it, and no commit broke the contract",
        needs=("cluster", "git"),
        probe=_feature,
        expect=lambda seen: (
            seen["provided"].get("spend_30d") == "double"
            and {"tickets", "idle_days"} <= seen["provided"].keys()
            and set(seen["needed"]) == {"customer.tickets", "customer.idle_days", "customer.spend_30d"}
            and seen["commits that break the contract"] == "none"
        ),
        within=30,
        hints=(
            "Two files of the same folder change. In which order, if not in one commit?",
            "A feature in store/customer.yaml, a word in the annotation of store/churn.yaml, ./contract, one commit.",
            'echo "    - {name: spend_30d, type: double}" >> store/customer.yaml; sed -i '
            "'s/customer.idle_days\"/customer.idle_days customer.spend_30d\"/' store/churn.yaml; commit; push",
        ),
    ),
}
