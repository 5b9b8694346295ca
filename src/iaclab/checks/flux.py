"""Checks of the Flux lecture."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path
from typing import Any

import yaml

from iaclab.checks.record import Check
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, oci

_ARGOCD = "/apis/argoproj.io/v1alpha1/namespaces/argocd"
_GROUPS = {
    "gitrepositories": "source.toolkit.fluxcd.io/v1",
    "externalartifacts": "source.toolkit.fluxcd.io/v1",
    "kustomizations": "kustomize.toolkit.fluxcd.io/v1",
    "helmreleases": "helm.toolkit.fluxcd.io/v2",
}


def _flux(profile: Profile, plural: str, name: str) -> dict[str, Any]:
    """An object of Flux in flux-system; empty where there is none."""
    return cluster.kube(profile).get(f"/apis/{_GROUPS[plural]}/namespaces/flux-system/{plural}/{name}") or {}


def _data(profile: Profile, namespace: str, name: str, kind: str = "configmaps") -> dict[str, str]:
    """What a ConfigMap (or a Secret) holds; empty where there is none."""
    return (cluster.kube(profile).get(f"/api/v1/namespaces/{namespace}/{kind}/{name}") or {}).get("data") or {}


def _revision(item: dict[str, Any]) -> str:
    return str((item.get("status", {}).get("artifact") or {}).get("revision", "none"))


def _deployment(profile: Profile, namespace: str, name: str) -> dict[str, Any]:
    return cluster.kube(profile).get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}") or {}


def _git(profile: Profile, repository: str, *arguments: str) -> str:
    """What git prints about a repository on the server; empty where it fails."""
    place = profile.root / "git" / "repositories" / f"{repository}.git"
    done = subprocess.run(["git", f"--git-dir={place}", *arguments], capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else ""


def _one_x(profile: Profile) -> dict[str, Any]:
    source = _flux(profile, "gitrepositories", "features")
    return {
        "ref": source.get("spec", {}).get("ref", {}).get("semver", "no semver"),
        "revision": _revision(source).split("@")[0],
        "window": _data(profile, "features", "store").get("window", "absent"),
    }


def _own_source(profile: Profile) -> dict[str, Any]:
    artifact, user = _flux(profile, "externalartifacts", "flags"), _flux(profile, "kustomizations", "flags")
    return {
        "threshold": _data(profile, "features", "flags").get("threshold", "absent"),
        "applied": user.get("status", {}).get("lastAppliedRevision", "none") == _revision(artifact),
    }


def _settings(profile: Profile) -> dict[str, Any]:
    ranker = _deployment(profile, "ranking", "ranker")
    managers = {
        entry.get("manager") for entry in ranker.get("metadata", {}).get("managedFields", []) if _sets_replicas(entry)
    }
    return {
        "replicas": ranker.get("spec", {}).get("replicas", "absent"),
        "set by": sorted(map(str, managers)),
        "settings": _data(profile, "flux-system", "cluster-settings").get("ranker_replicas", "no ranker_replicas"),
        "variable in Git": "${ranker_replicas" in _git(profile, "ranking", "show", "main:apps/ranker.yaml"),
    }


def _sets_replicas(entry: dict[str, Any]) -> bool:
    return "f:replicas" in entry.get("fieldsV1", {}).get("f:spec", {}) and not entry.get("subresource")


def _sealed(profile: Profile) -> dict[str, Any]:
    password = base64.b64decode(_data(profile, "ranking", "feature-db", "secrets").get("password", "")).decode()
    history = _git(profile, "ranking", "log", "-p", "--all")
    return {
        "password in the cluster": bool(password) and not password.startswith("ENC["),
        "encrypted in Git": any(map(_is_sealed, _secrets(profile))),
        "readable in a commit": bool(password) and (password in history or _encoded(password) in history),
    }


def _secrets(profile: Profile) -> list[dict[str, Any]]:
    """Every manifest of the Secret feature-db that is on main."""
    names = _git(profile, "ranking", "ls-tree", "-r", "--name-only", "main", "apps").split()
    texts = [_git(profile, "ranking", "show", f"main:{name}") for name in names if name.endswith((".yaml", ".yml"))]
    found = [item for text in texts if "feature-db" in text for item in yaml.safe_load_all(text) if item]
    return [item for item in found if item.get("kind") == "Secret" and item["metadata"]["name"] == "feature-db"]


def _is_sealed(manifest: dict[str, Any]) -> bool:
    values = {**manifest.get("data", {}), **manifest.get("stringData", {})}
    return "sops" in manifest and str(values.get("password", "")).startswith("ENC[")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _owned_by(item: dict[str, Any]) -> str:
    """The Kustomization that applied an object."""
    return str(item.get("metadata", {}).get("labels", {}).get("kustomize.toolkit.fluxcd.io/name", "nobody"))


def _by_commit(profile: Profile) -> dict[str, Any]:
    user, made = _flux(profile, "kustomizations", "fraud"), _deployment(profile, "fraud", "fraud")
    return {
        "Kustomization fraud applied by": _owned_by(user),
        "Deployment fraud applied by": _owned_by(made),
        "available": made.get("status", {}).get("availableReplicas", 0),
    }


def _promoted(profile: Profile) -> dict[str, Any]:
    made = {env: _deployment(profile, f"vision-{env}", "vision-api") for env in ("dev", "staging", "prod")}
    overlay = _git(profile, "serving", "show", "main:overlays/prod/kustomization.yaml")
    base = _git(profile, "serving", "show", "main:base/kustomization.yaml")
    return {
        **{env: _tag(item) for env, item in made.items()},
        "replicas in prod": made["prod"].get("spec", {}).get("replicas", 0),
        "in the overlay": "1.1.0" in overlay and "1.1.0" not in base,
    }


def _tag(deployment: dict[str, Any]) -> str:
    """Of the image of its first container, without a digest."""
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [{}])
    return str(containers[0].get("image", "absent")).partition("@")[0].rpartition(":")[2]


def _next_version(profile: Profile) -> dict[str, Any]:
    policy = cluster.kube(profile).get(
        "/apis/image.toolkit.fluxcd.io/v1/namespaces/flux-system/imagepolicies/churn-next"
    )
    manifest = _git(profile, "inference", "show", "main:deploy/churn-next.yaml")
    stable, following = (_deployment(profile, "inference", name) for name in ("churn", "churn-next"))
    return {
        "policy chose": ((policy or {}).get("status", {}).get("latestRef") or {}).get("tag", "nothing"),
        "committed by": _git(profile, "inference", "log", "-1", "--format=%an", "--", "deploy/churn-next.yaml").strip(),
        "marker": '"flux-system:churn-next' in manifest,
        "churn-next": _tag(following),
        "churn": _tag(stable),
    }


def _own_values(profile: Profile) -> dict[str, Any]:
    release = _flux(profile, "helmreleases", "churn-model")
    latest = (release.get("status", {}).get("history") or [{}])[0]
    return {
        "replicas": _deployment(profile, "models", "churn-model").get("spec", {}).get("replicas", "absent"),
        "release": latest.get("status", "none"),
        "values from": [ref["name"] for ref in release.get("spec", {}).get("valuesFrom", [])],
        "replicas in spec.values": "replicas" in release.get("spec", {}).get("values", {}),
    }


def _best_run(profile: Profile) -> dict[str, Any]:
    listed = cluster.kube(profile).get("/api/v1/namespaces/experiments/configmaps?labelSelector=experiment%3Dchurn")
    runs = sorted((listed or {}).get("items", []), key=lambda run: float(run["data"]["auc"]))
    models = {
        run["metadata"]["annotations"]["course.local/model"].partition("@")[2]: run["metadata"]["name"] for run in runs
    }
    released = _digest(profile, "models/churn-lr", "1.0.0")
    return {
        "best": runs[-1]["metadata"]["name"] if runs else "no runs",
        "1.0.0 is": models.get(released, "another model" if released else "not in the registry"),
    }


def _digest(profile: Profile, repository: str, tag: str) -> str:
    """What a tag of the registry names; empty where there is none."""
    with oci.client(profile) as api:
        answer = api.head(
            f"{repository}/manifests/{tag}", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}
        )
    return str(answer.headers.get("Docker-Content-Digest", "")) if answer.status_code == 200 else ""


def _gone_back(profile: Profile) -> dict[str, Any]:
    rollout = cluster.kube(profile).get("/apis/argoproj.io/v1alpha1/namespaces/recommender/rollouts/recommender") or {}
    return {
        "release": _revision(_flux(profile, "gitrepositories", "recommender")).partition("@")[0],
        "image": _tag(rollout),
        "rollout": rollout.get("status", {}).get("phase", "absent"),
        "Kustomization ready": _ready(_flux(profile, "kustomizations", "recommender")),
    }


def _event(profile: Profile) -> dict[str, Any]:
    job = cluster.kube(profile).get("/apis/batch/v1/namespaces/events/jobs/train-2026-12") or {}
    containers = job.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [{}])
    return {
        "started by": job.get("metadata", {}).get("labels", {}).get("started-by", "nobody"),
        "arguments": " ".join(containers[0].get("args", [])),
        "succeeded": job.get("status", {}).get("succeeded", 0),
    }


def _alerted(profile: Profile) -> dict[str, Any]:
    alert = cluster.kube(profile).get(
        "/apis/notification.toolkit.fluxcd.io/v1beta3/namespaces/flux-system/alerts/practice"
    )
    spec = (alert or {}).get("spec", {})
    user = _flux(profile, "kustomizations", "practice")
    return {
        "alert on": sorted(source["name"] for source in spec.get("eventSources", [])),
        "severity": spec.get("eventSeverity", "info") if spec else "no alert",
        "Kustomization ready": _ready(user),
        "version": _data(profile, "practice", "settings").get("version", "absent"),
    }


def _ready(item: dict[str, Any]) -> str:
    conditions = {c["type"]: c["status"] for c in item.get("status", {}).get("conditions", [])}
    return str(conditions.get("Ready", "Unknown"))


def _handed_over(profile: Profile) -> dict[str, Any]:
    api = cluster.kube(profile)
    made = _deployment(profile, "compare-argocd", "api")
    user = _flux(profile, "kustomizations", "handed-over")
    return {
        "Application": "there" if api.get(f"{_ARGOCD}/applications/compare") else "gone",
        "applied by": _owned_by(made),
        "older than its Kustomization": _born(made) < _born(user),
    }


def _born(item: dict[str, Any]) -> str:
    """When an object was made; what is not there sorts last."""
    return str(item.get("metadata", {}).get("creationTimestamp", "~"))


def _unstuck(profile: Profile) -> dict[str, Any]:
    model = _deployment(profile, "stuck", "model")
    annotations = model.get("metadata", {}).get("annotations", {})
    return {
        "image": _tag(model),
        "left alone by Flux": annotations.get("kustomize.toolkit.fluxcd.io/reconcile") == "disabled",
        "applied by": _owned_by(model),
    }


CHECKS = {
    "controllers": Check(
        title="the two controllers without which nothing reaches the cluster",
        needs=(),
        probe=lambda profile: sorted(Path("controllers.txt").read_text().split()),
        expect=lambda seen: seen == ["kustomize", "source"],
        hints=(
            "One fetches, one applies.",
            "Polling needs no webhook, and plain manifests need no chart.",
            'answer = {"source", "kustomize"}',
        ),
    ),
    "one-x": Check(
        title="the source follows versions 1 only, and 1.1.0 is applied",
        needs=("flux",),
        probe=_one_x,
        expect=lambda seen: (
            seen["ref"] not in ("no semver", "") and seen["revision"] == "v1.1.0" and seen["window"] == "6h"
        ),
        within=60,
        hints=(
            "A tag would be a pin that never moves. What else does spec.ref take?",
            "`semver` takes a range; `1.x` is every version 1.",
            "kubectl -n flux-system patch gitrepository features --type json "
            '-p \'[{"op": "replace", "path": "/spec/ref", "value": {"semver": "1.x"}}]\'',
        ),
    ),
    "own-source": Check(
        title="the second version of your own artifact is applied: threshold 0.7",
        needs=("flux",),
        probe=_own_source,
        expect=lambda seen: seen == {"threshold": "0.7", "applied": True},
        within=60,
        hints=(
            "A new version is a new file, a new digest and a new revision.",
            "`publish` does all three.",
            'publish(threshold="0.7", revision="v2")',
        ),
    ),
    "settings": Check(
        title="three rankers, by the cluster's settings and not by a commit",
        needs=("flux", "git"),
        probe=_settings,
        expect=lambda seen: (
            seen
            == {
                "replicas": 3,
                "set by": ["kustomize-controller"],
                "settings": "3",
                "variable in Git": True,
            }
        ),
        within=60,
        hints=(
            "Which variable does the manifest have, and where does its value come from?",
            "Add a key ranker_replicas to the ConfigMap cluster-settings in flux-system, then reconcile.",
            "kubectl -n flux-system patch configmap cluster-settings --type merge "
            '-p \'{"data": {"ranker_replicas": "3"}}\' && flux reconcile kustomization ranking-apps',
        ),
    ),
    "sealed": Check(
        title="the password of feature-db is in the cluster, and in no commit",
        needs=("flux", "git"),
        probe=_sealed,
        expect=lambda seen: (
            seen == {"password in the cluster": True, "encrypted in Git": True, "readable in a commit": False}
        ),
        within=60,
        hints=(
            "Encrypt before you commit: a commit is for ever.",
            "Write apps/secret-feature-db.yaml like apps/secret-registry.yaml, then sops encrypt --in-place.",
            "cd ranking && sops encrypt --in-place apps/secret-feature-db.yaml && git add . && git commit -m … && "
            'git push "$GIT_URL/ranking.git" HEAD:main',
        ),
    ),
    "by-commit": Check(
        title="the cluster runs fraud, and Flux brought it",
        needs=("flux", "git"),
        probe=_by_commit,
        expect=lambda seen: list(seen.values())[:2] == ["flux-system", "fraud"] and seen["available"] >= 1,
        within=60,
        hints=(
            "What did `embeddings` need? A folder in apps, and a file that names it.",
            "Copy apps/embeddings and clusters/local/embeddings.yaml, change the names, commit, push.",
            "sed 's/embeddings/fraud/g' clusters/local/embeddings.yaml > clusters/local/fraud.yaml; the same for apps",
        ),
    ),
    "promoted": Check(
        title="prod runs 1.1.0 on three replicas, and its overlay says so",
        needs=("flux", "git"),
        probe=_promoted,
        expect=lambda seen: (
            seen == {"dev": "1.1.0", "staging": "1.1.0", "prod": "1.1.0", "replicas in prod": 3, "in the overlay": True}
        ),
        within=60,
        hints=(
            "Which file does only prod use?",
            "overlays/prod/kustomization.yaml needs the `images` entry that staging has.",
            "printf 'images:\\n  - {name: registry.course.local/vision-api, newTag: 1.1.0}\\n' "
            ">> overlays/prod/kustomization.yaml",
        ),
    ),
    "next-version": Check(
        title="churn-next runs 2.1.0-rc.1, committed by Flux; churn stays on 1.1.0",
        needs=("flux", "git", "oci"),
        probe=_next_version,
        expect=lambda seen: (
            seen
            == {
                "policy chose": "2.1.0-rc.1",
                "committed by": "Flux",
                "marker": True,
                "churn-next": "2.1.0-rc.1",
                "churn": "1.1.0",
            }
        ),
        within=60,
        hints=(
            "A range takes pre-releases only where it names one.",
            'The range ">=2.0.0-0 <3.0.0" does; the marker must name the new policy.',
            "Copy image-policy.yaml and deploy/churn.yaml under the new names, push both the manifest and "
            "./release 2.1.0-rc.1, then automate()",
        ),
    ),
    "own-values": Check(
        title="three replicas, from the ConfigMap churn-values",
        needs=("flux",),
        probe=_own_values,
        expect=lambda seen: (
            seen
            == {
                "replicas": 3,
                "release": "deployed",
                "values from": ["churn-values"],
                "replicas in spec.values": False,
            }
        ),
        within=60,
        hints=(
            "A HelmRelease has two places for values: `values` and `valuesFrom`.",
            "valuesFrom: [{kind: ConfigMap, name: churn-values}], and no `replicas` under values.",
            "kubectl -n flux-system create configmap churn-values --from-literal=values.yaml='replicas: 3', "
            "then edit release.yaml and apply it",
        ),
    ),
    "best-run": Check(
        title="the model of the best run is 1.0.0",
        needs=("flux", "oci"),
        probe=_best_run,
        expect=lambda seen: seen["best"] == seen["1.0.0 is"],
        hints=(
            "Which run has the highest AUC, and which annotation names its model?",
            "`crane tag` gives a second name to what is in the registry: IMAGE@DIGEST, then the tag.",
            'crane tag "$OCI_REGISTRY/models/churn-lr:run-2" 1.0.0   # if run-2 is the best',
        ),
    ),
    "gone-back": Check(
        title="release 1.2.1 is deployed and healthy, with the image 1.1.0",
        needs=("flux", "git", "rollouts"),
        probe=_gone_back,
        expect=lambda seen: (
            seen == {"release": "v1.2.1", "image": "1.1.0", "rollout": "Healthy", "Kustomization ready": "True"}
        ),
        within=90,
        hints=(
            "The source takes the highest tag. Which one would be higher than 1.2.0?",
            "`./tag RELEASE IMAGE_VERSION` commits, tags and pushes.",
            "./tag 1.2.1 1.1.0",
        ),
    ),
    "event": Check(
        title="a run for the dataset 2026-12 was started by the receiver, and succeeded",
        needs=("cluster",),
        probe=_event,
        expect=lambda seen: seen == {"started by": "receiver", "arguments": "--dataset 2026-12", "succeeded": 1},
        within=60,
        hints=(
            "The receiver takes a body like the one above.",
            "`./send BODY` signs and sends.",
            './send \'{"dataset": "2026-12"}\'',
        ),
    ),
    "alerted": Check(
        title="the alert is about practice, at every severity, and practice is Ready again",
        needs=("flux", "git"),
        probe=_alerted,
        expect=lambda seen: (
            seen == {"alert on": ["practice"], "severity": "info", "Kustomization ready": "True", "version": "2"}
        ),
        within=60,
        hints=(
            "Two fields of the Alert: which events, and of which objects. And the last commit was a mistake.",
            "eventSources[0].name and eventSeverity in alerts.yaml; git revert HEAD in practice.",
            "sed 's/eventSeverity: error/eventSeverity: info/; s/name: \"\\*\"/name: practice/' alerts.yaml "
            "| kubectl apply -f -",
        ),
    ),
    "handed-over": Check(
        title="Flux deploys compare-argocd, and nothing in it was made anew",
        needs=("flux", "argocd"),
        probe=_handed_over,
        expect=lambda seen: (
            seen == {"Application": "gone", "applied by": "handed-over", "older than its Kustomization": True}
        ),
        within=60,
        hints=(
            "Deleting an Application deletes its objects, unless it is told not to cascade.",
            "argocd app delete --cascade=false, then a Kustomization with targetNamespace compare-argocd.",
            "argocd app delete compare --cascade=false --yes && flux create kustomization handed-over "
            "--source GitRepository/compare --path ./deploy --target-namespace compare-argocd --prune --interval 10m",
        ),
    ),
    "unstuck": Check(
        title="version 2 runs, and Flux takes care of the Deployment again",
        needs=("flux",),
        probe=_unstuck,
        expect=lambda seen: seen == {"image": "2", "left alone by Flux": False, "applied by": "stuck"},
        within=60,
        hints=(
            "Flux applied the commit, and left one object out. What on that object says so?",
            "Look at the annotations: kubectl -n stuck get deployment model -o yaml",
            "kubectl -n stuck annotate deployment model kustomize.toolkit.fluxcd.io/reconcile- "
            "&& flux reconcile kustomization stuck",
        ),
    ),
}
