"""The checks of the Flux lecture: each passes on what its exercise asks for, and on no state that only looks like it.

Flux does not run here: what it would have written into the cluster is written by hand, so that every state can be had.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from checked import Checked
from fluxcd import commit
from running import kubectl, shell, wait_until

from iaclab.checks.flux import CHECKS
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, oci

pytestmark = pytest.mark.platform
NAMESPACE = "flux-system"
Object = dict[str, Any]
KINDS = {  # kind: (group and version, plural); the API server takes any spec and status of them
    "GitRepository": ("source.toolkit.fluxcd.io/v1", "gitrepositories"),
    "ExternalArtifact": ("source.toolkit.fluxcd.io/v1", "externalartifacts"),
    "Kustomization": ("kustomize.toolkit.fluxcd.io/v1", "kustomizations"),
    "HelmRelease": ("helm.toolkit.fluxcd.io/v2", "helmreleases"),
    "ImagePolicy": ("image.toolkit.fluxcd.io/v1", "imagepolicies"),
    "Alert": ("notification.toolkit.fluxcd.io/v1beta3", "alerts"),
    "Rollout": ("argoproj.io/v1alpha1", "rollouts"),
    "Application": ("argoproj.io/v1alpha1", "applications"),
}
SPACES = (NAMESPACE, "argocd", "compare-argocd", "events", "experiments", "features", "fraud", "inference", "models",
          "practice", "ranking", "recommender", "stuck", "vision-dev", "vision-prod", "vision-staging")  # fmt: skip


class World(Checked):
    """What a test puts into the cluster, the Git server and the registry."""

    checks = CHECKS

    def put(self, *items: Object, by: str = "kustomize-controller") -> None:
        """Server-side apply in one name; a `status` is written too."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": [_without_status(item) for item in items]})
        command = ["kubectl", "apply", "--server-side", "--force-conflicts", f"--field-manager={by}", "-f", "-"]
        env = {**os.environ, **self.profile.env()}
        done = subprocess.run(command, env=env, input=text, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        for item in items:
            if "status" in item:
                version, plural = KINDS[item["kind"]]
                meta = item["metadata"]
                path = f"/apis/{version}/namespaces/{meta['namespace']}/{plural}/{meta['name']}"
                cluster.kube(self.profile).patch_status(path, item["status"])

    def delete(self, *what: str, namespace: str = NAMESPACE) -> None:
        kubectl(self.profile, "-n", namespace, "delete", *what, "--ignore-not-found", "--wait=true")

    def commit(self, repository: str, files: dict[str, str]) -> str:
        return commit(self.profile, self.folder / repository, files, repository)


def _without_status(item: Object) -> Object:
    return {key: value for key, value in item.items() if key != "status"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    profile = Profile("flux-checks", state=tmp_path_factory.mktemp("flux-checks"))
    lifecycle.up("cluster", "git", "oci", profile=profile)
    cluster.kube(profile).apply([_definition(kind) for kind in KINDS])
    cluster.kube(profile).apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": n}} for n in SPACES)
    yield World(profile, tmp_path_factory.mktemp("repositories"))
    lifecycle.down(profile=profile)


def _definition(kind: str) -> Object:
    (group, _, version), plural = KINDS[kind][0].partition("/"), KINDS[kind][1]
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    schema = {"type": "object", "properties": {"spec": anything, "status": anything}}
    served = {"name": version, "served": True, "storage": True, "subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [{**served, "schema": {"openAPIV3Schema": schema}}],
        },
    }


def make(kind: str, name: str, spec: Object | None = None, status: Object | None = None, **meta: Any) -> Object:
    """An object of one of `KINDS`; `meta` may hold namespace, labels and annotations."""
    metadata = {"namespace": NAMESPACE, **meta, "name": name}
    item = {"apiVersion": KINDS[kind][0], "kind": kind, "metadata": metadata, "spec": spec or {}}
    return item if status is None else {**item, "status": status}


def config_map(namespace: str, name: str, data: dict[str, str], **meta: Any) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": namespace, "name": name, **meta},
        "data": data,
    }


def secret(namespace: str, name: str, **values: str) -> Object:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"namespace": namespace, "name": name}, "data": data}


def deployment(
    namespace: str, name: str, tag: str = "1", replicas: int = 1, owner: str = "", **annotations: str
) -> Object:
    labels = {"kustomize.toolkit.fluxcd.io/name": owner} if owner else {}
    pod = {"containers": [{"name": "main", "image": f"registry.course.local/{name}:{tag}"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": namespace, "name": name, "labels": labels, "annotations": annotations},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": pod},
        },
    }


def artifact(revision: str) -> Object:
    return {"artifact": {"revision": revision}}


def ready(word: str) -> Object:
    return {"conditions": [{"type": "Ready", "status": word}]}


State = Callable[[World], object]


def one_x(world: World) -> None:
    source = make("GitRepository", "features", {"ref": {"semver": "1.x"}}, artifact("v1.1.0@sha1:1"))
    world.put(source, config_map("features", "store", {"window": "6h"}))


def own_source(world: World) -> None:
    world.put(
        make("ExternalArtifact", "flags", status=artifact("v2@sha256:2")),
        make("Kustomization", "flags", status={"lastAppliedRevision": "v2@sha256:2"}),
        config_map("features", "flags", {"threshold": "0.7"}),
    )


def settings(world: World) -> None:
    world.commit("ranking", {"apps/ranker.yaml": "replicas: ${ranker_replicas:=1}\n"})
    world.delete("deployment/ranker", namespace="ranking")
    world.put(
        deployment("ranking", "ranker", replicas=3), config_map(NAMESPACE, "cluster-settings", {"ranker_replicas": "3"})
    )


SEALED = (
    "kind: Secret\nmetadata: {name: feature-db}\nstringData: {password: 'ENC[AES256_GCM,data:x]'}\nsops: {version: 3}\n"
)


def sealed(world: World) -> None:
    _forget(world, "ranking")
    world.commit("ranking", {"apps/secret-feature-db.yaml": SEALED})
    world.put(secret("ranking", "feature-db", password="a-real-password"))


def readable(world: World) -> None:
    """Encrypted today, in clear in the commit before."""
    open_text = SEALED.replace("ENC[AES256_GCM,data:x]", "a-real-password")
    world.commit("ranking", {"apps/secret-feature-db.yaml": open_text})
    world.commit("ranking", {"apps/secret-feature-db.yaml": SEALED})


def _forget(world: World, repository: str) -> None:
    """A repository without a past."""
    for folder in (world.folder / repository, world.profile.root / "git" / "repositories" / f"{repository}.git"):
        subprocess.run(["rm", "-rf", str(folder)], check=True)


def own_values(world: World) -> None:
    spec = {"valuesFrom": [{"kind": "ConfigMap", "name": "churn-values"}], "values": {"gpus": 1}}
    world.delete("helmrelease/churn-model")
    world.put(make("HelmRelease", "churn-model", spec, {"history": [{"status": "deployed"}]}))
    world.put(deployment("models", "churn-model", replicas=3))


def by_commit(world: World) -> None:
    world.put(make("Kustomization", "fraud", labels={"kustomize.toolkit.fluxcd.io/name": "flux-system"}))
    world.put(deployment("fraud", "fraud", owner="fraud"))


def promoted(world: World) -> None:
    overlay = {"overlays/prod/kustomization.yaml": "newTag: 1.1.0\n", "base/kustomization.yaml": "newTag: 1.0.0\n"}
    world.commit("serving", overlay)
    world.put(*(deployment(f"vision-{env}", "vision-api", "1.1.0") for env in ("dev", "staging")))
    world.put(deployment("vision-prod", "vision-api", "1.1.0", replicas=3))


MARKED = 'image: x # {"$imagepolicy": "flux-system:churn-next"}\n'


def next_version(world: World) -> None:
    world.commit("inference", {"deploy/churn-next.yaml": MARKED})
    _by_flux(world)
    world.put(make("ImagePolicy", "churn-next", status={"latestRef": {"tag": "2.1.0-rc.1"}}))
    world.put(
        deployment("inference", "churn", "1.1.0@sha256:" + "0" * 64),
        deployment("inference", "churn-next", "2.1.0-rc.1"),
    )


def _by_flux(world: World) -> None:
    folder = world.folder / "inference"
    with (folder / "deploy" / "churn-next.yaml").open("a") as file:
        file.write("# written again\n")
    shell(world.profile, "git", "commit", "-qam", "Update", "--author", "Flux <flux@course.local>", cwd=folder)
    shell(
        world.profile, "git", "push", "-qf", f"{world.profile.env()['GIT_URL']}/inference.git", "HEAD:main", cwd=folder
    )


def best_run(world: World) -> None:
    digests = [_push(world, f"run-{number}") for number in (1, 2)]
    for number, auc in ((1, "0.71"), (2, "0.89")):
        model = {"course.local/model": f"models/churn-lr@{digests[number - 1]}"}
        world.put(
            config_map("experiments", f"run-{number}", {"auc": auc}, labels={"experiment": "churn"}, annotations=model)
        )
    _tag(world, "run-2")


def _push(world: World, name: str) -> str:
    image = f"{oci.address(world.profile)}/models/churn-lr:{name}"
    (world.folder / "model").write_text(name)
    shell(world.profile, "tar", "-cf", "layer.tar", "model", cwd=world.folder)
    shell(world.profile, "crane", "append", "--oci-empty-base", "-f", "layer.tar", "-t", image, cwd=world.folder)
    return shell(world.profile, "crane", "digest", image).stdout.strip()


def _tag(world: World, name: str) -> None:
    shell(world.profile, "crane", "tag", f"{oci.address(world.profile)}/models/churn-lr:{name}", "1.0.0")


def gone_back(world: World) -> None:
    containers = [{"name": "server", "image": "registry.course.local/recommender:1.1.0"}]
    world.put(
        make("GitRepository", "recommender", status=artifact("v1.2.1@sha1:1")),
        make("Kustomization", "recommender", status=ready("True")),
        make(
            "Rollout",
            "recommender",
            {"template": {"spec": {"containers": containers}}},
            {"phase": "Healthy"},
            namespace="recommender",
        ),
    )


def event(world: World, dataset: str = "2026-12", by: str = "receiver") -> None:
    world.delete("job/train-2026-12", namespace="events")
    container = {"name": "train", "image": "registry.course.local/train:5.2.0", "args": ["--dataset", dataset]}
    template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
    labels = {"started-by": by}
    meta = {"namespace": "events", "name": "train-2026-12", "labels": labels}
    world.put({"apiVersion": "batch/v1", "kind": "Job", "metadata": meta, "spec": {"template": template}})


def alerted(world: World) -> None:
    world.put(
        make(
            "Alert",
            "practice",
            {"eventSources": [{"kind": "Kustomization", "name": "practice"}], "eventSeverity": "info"},
        ),
        make("Kustomization", "practice", status=ready("True")),
        config_map("practice", "settings", {"version": "2"}),
    )


def handed_over(world: World) -> None:
    world.delete("application/compare", namespace="argocd")
    world.delete("kustomization/handed-over")
    world.delete("deployment/api", namespace="compare-argocd")
    world.put(deployment("compare-argocd", "api"), by="argocd-controller")
    _later(world)
    world.put(make("Kustomization", "handed-over"))
    world.put(deployment("compare-argocd", "api", owner="handed-over"))


def made_anew(world: World) -> None:
    world.delete("deployment/api", namespace="compare-argocd")
    _later(world)
    world.put(deployment("compare-argocd", "api", owner="handed-over"))


def _later(world: World) -> None:
    """The cluster's clock, which counts whole seconds, has moved on."""
    name = f"clock-{os.urandom(4).hex()}"
    items = [config_map("stuck", name, {})]
    world.put(*items)
    first = kubectl(
        world.profile, "-n", "stuck", "get", "configmap", name, "-o", "jsonpath={.metadata.creationTimestamp}"
    )

    def moved() -> bool:
        world.put(config_map("stuck", f"{name}-{os.urandom(4).hex()}", {}))
        newest = "--sort-by=.metadata.creationTimestamp", "-o", "jsonpath={.items[-1:].metadata.creationTimestamp}"
        return kubectl(world.profile, "-n", "stuck", "get", "configmaps", *newest) > first

    wait_until(moved, "a second later")


def unstuck(world: World) -> None:
    world.delete("deployment/model", namespace="stuck")
    world.put(deployment("stuck", "model", "2", owner="stuck"))


CASES: dict[str, tuple[State, dict[str, State]]] = {
    "one-x": (
        one_x,
        {
            "a tag is no range": lambda w: w.put(
                make("GitRepository", "features", {"ref": {"tag": "v1.1.0"}}, artifact("v1.1.0@sha1:1"))
            ),
            "a range that takes version 2": lambda w: w.put(
                make("GitRepository", "features", {"ref": {"semver": ">=1"}}, artifact("v2.0.0@sha1:1"))
            ),
            "not applied": lambda w: w.put(config_map("features", "store", {"window": "24h"})),
        },
    ),
    "own-source": (
        own_source,
        {
            "still the first version": lambda w: w.put(config_map("features", "flags", {"threshold": "0.5"})),
            "changed in the cluster, not published": lambda w: w.put(
                make("Kustomization", "flags", status={"lastAppliedRevision": "v1@sha256:1"})
            ),
        },
    ),
    "settings": (
        settings,
        {
            "scaled by hand": lambda w: w.put(deployment("ranking", "ranker", replicas=3), by="kubectl"),
            "other settings": lambda w: w.put(config_map(NAMESPACE, "cluster-settings", {"ranker_replicas": "2"})),
            "no variable in Git any more": lambda w: w.commit("ranking", {"apps/ranker.yaml": "replicas: 3\n"}),
            "one replica": lambda w: w.put(deployment("ranking", "ranker", replicas=1)),
        },
    ),
    "sealed": (
        sealed,
        {
            "in clear in an older commit": readable,
            "not in Git at all": lambda w: w.commit("ranking", {"apps/other.yaml": "kind: ConfigMap\n"}),
            "only its base64 in Git": lambda w: w.commit(
                "ranking",
                {"apps/s.yaml": f"kind: Secret\nmetadata: {{name: feature-db}}\ndata: {{password: {_base64()}}}\n"},
            ),
            "ciphertext in the cluster": lambda w: w.put(secret("ranking", "feature-db", password="ENC[AES256_GCM,x]")),
            "no Secret": lambda w: w.delete("secret/feature-db", namespace="ranking"),
        },
    ),
    "own-values": (
        own_values,
        {
            "two replicas": lambda w: w.put(deployment("models", "churn-model", replicas=2)),
            "in spec.values": lambda w: w.put(
                make("HelmRelease", "churn-model", {"values": {"replicas": 3}}, {"history": [{"status": "deployed"}]})
            ),
            "a failed release": lambda w: w.put(
                make(
                    "HelmRelease",
                    "churn-model",
                    {"valuesFrom": [{"kind": "ConfigMap", "name": "churn-values"}]},
                    {"history": [{"status": "failed"}]},
                )
            ),
        },
    ),
    "by-commit": (
        by_commit,
        {
            "a Kustomization applied by hand": lambda w: (
                w.delete("kustomization/fraud"),
                w.put(make("Kustomization", "fraud"), by="kubectl"),
            ),
            "a Deployment made by hand": lambda w: (
                w.delete("deployment/fraud", namespace="fraud"),
                w.put(deployment("fraud", "fraud"), by="kubectl"),
            ),
        },
    ),
    "promoted": (
        promoted,
        {
            "prod is behind": lambda w: w.put(deployment("vision-prod", "vision-api", "1.0.0", replicas=3)),
            "one replica in prod": lambda w: w.put(deployment("vision-prod", "vision-api", "1.1.0", replicas=1)),
            "changed in the base": lambda w: w.commit(
                "serving",
                {"base/kustomization.yaml": "newTag: 1.1.0\n", "overlays/prod/kustomization.yaml": "replicas: []\n"},
            ),
            "not in Git": lambda w: w.commit(
                "serving", {"base/kustomization.yaml": "x\n", "overlays/prod/kustomization.yaml": "newTag: 1.0.0\n"}
            ),
        },
    ),
    "next-version": (
        next_version,
        {
            "committed by a person": lambda w: w.commit("inference", {"deploy/churn-next.yaml": MARKED + "# mine\n"}),
            "no marker": lambda w: (w.commit("inference", {"deploy/churn-next.yaml": "image: x\n"}), _by_flux(w)),
            "the policy chose something else": lambda w: w.put(
                make("ImagePolicy", "churn-next", status={"latestRef": {"tag": "2.0.0"}})
            ),
            "not deployed": lambda w: w.put(deployment("inference", "churn-next", "2.0.0")),
            "the stable one went along": lambda w: w.put(deployment("inference", "churn", "2.1.0-rc.1")),
        },
    ),
    "best-run": (
        best_run,
        {
            "the worse run": lambda w: _tag(w, "run-1"),
            "a model that no run made": lambda w: (_push(w, "by-hand"), _tag(w, "by-hand")),
            "no run is recorded": lambda w: w.delete("configmap", "-l", "experiment=churn", namespace="experiments"),
        },
    ),
    "gone-back": (
        gone_back,
        {
            "still the bad release": lambda w: w.put(
                make("GitRepository", "recommender", status=artifact("v1.2.0@sha1:1"))
            ),
            "aborted": lambda w: w.put(_rollout("Degraded", "1.1.0")),
            "the bad image": lambda w: w.put(_rollout("Healthy", "1.2.0")),
            "not ready": lambda w: w.put(make("Kustomization", "recommender", status=ready("False"))),
        },
    ),
    "event": (
        event,
        {
            "made by hand": lambda w: event(w, by="me"),
            "another dataset": lambda w: event(w, dataset="2026-11"),
            "no run": lambda w: w.delete("job/train-2026-12", namespace="events"),
        },
    ),
    "alerted": (
        alerted,
        {
            "every Kustomization": lambda w: w.put(
                make("Alert", "practice", {"eventSources": [{"name": "*"}], "eventSeverity": "info"})
            ),
            "errors only": lambda w: w.put(
                make("Alert", "practice", {"eventSources": [{"name": "practice"}], "eventSeverity": "error"})
            ),
            "still broken": lambda w: w.put(make("Kustomization", "practice", status=ready("False"))),
            "no alert": lambda w: w.delete("alert/practice"),
        },
    ),
    "handed-over": (
        handed_over,
        {
            "Argo CD still has it": lambda w: w.put(make("Application", "compare", namespace="argocd")),
            "made anew": made_anew,
            "nobody has it": lambda w: w.put(
                {"apiVersion": "apps/v1", **deployment("compare-argocd", "api", owner="another")}
            ),
        },
    ),
    "unstuck": (
        unstuck,
        {
            "still version 1": lambda w: w.put(deployment("stuck", "model", "1", owner="stuck")),
            "changed by hand, and left alone": lambda w: w.put(
                deployment(
                    "stuck", "model", "2", owner="stuck", **{"kustomize.toolkit.fluxcd.io/reconcile": "disabled"}
                )
            ),
        },
    ),
}


def _base64() -> str:
    return base64.b64encode(b"a-real-password").decode()


def _rollout(phase: str, tag: str) -> Object:
    containers = [{"name": "server", "image": f"registry.course.local/recommender:{tag}"}]
    spec = {"template": {"spec": {"containers": containers}}}
    return make("Rollout", "recommender", spec, {"phase": phase}, namespace="recommender")


def test_every_check_has_its_cases() -> None:
    assert {*CASES, "controllers"} == set(CHECKS)


@pytest.mark.parametrize(("check", "wrong"), [(c, w) for c, (_, wrongs) in CASES.items() for w in wrongs])
def test_a_check_passes_on_what_its_exercise_asks_for_and_not_on_what_looks_like_it(
    world: World, check: str, wrong: str
) -> None:
    right, wrongs = CASES[check]
    right(world)
    wait_until(lambda: world.passes(check), f"{check} passes: {world.seen(check)}")
    wrongs[wrong](world)
    assert not world.passes(check), f"passes although {wrong}: {world.seen(check)}"


@pytest.mark.parametrize("check", list(CASES))
def test_a_check_says_what_is_missing_where_nothing_has_been_done(world: World, check: str, tmp_path: Path) -> None:
    untouched = Profile("untouched", state=tmp_path)
    result = CHECKS[check].run(untouched)
    assert not result.passed
    assert "Traceback" not in str(result)


@pytest.mark.parametrize(
    ("answer", "passed"),
    [({"source", "kustomize"}, True), ({"source"}, False), ({"source", "kustomize", "helm"}, False), (set(), False)],
)
def test_the_controllers_that_a_commit_needs(
    answer: set[str], passed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("controllers.txt").write_text("\n".join(sorted(answer)))
    assert world.passes("controllers") is passed
