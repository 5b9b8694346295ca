"""The checks of the GitOps lecture say no to what is nearly right: half a revert, one's own approval, a moving ref.

Each test brings about the right state, sees the check pass, and then breaks one thing after the other.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import shell

from iaclab import paths, tools
from iaclab.checks.gitops import CHECKS
from iaclab.checks.record import Result
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, git

pytestmark = pytest.mark.platform
Object = dict[str, Any]
Commits = list[tuple[str, dict[str, str]]]  # subject, files by name: the whole tree
ROOT = paths.repo_root()
assert ROOT is not None
LESSON = (ROOT / "content" / "lectures" / "03-gitops-principles.md").read_text()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """A profile with what the checks ask."""
    tools.ensure("kustomize", "conftest")
    profile = Profile("gitops", state=tmp_path_factory.mktemp("gitops"))
    lifecycle.up("cluster", "git", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


def passes(lab: Profile, name: str) -> None:
    result = CHECKS[name].run(lab)
    assert result.passed, result


def says_no(lab: Profile, name: str, seen: str = "") -> Result:
    result = replace(CHECKS[name], within=0).run(lab)
    assert not result.passed, f"{name} passed although it must not: {result.seen}"
    assert seen in result.seen, result
    return result


def history(lab: Profile, name: str, commits: Commits, at: float | None = None) -> list[str]:
    """A repository on the server whose main has exactly these commits; returns their hashes."""
    bare = lab.root / "git" / "repositories" / f"{name}.git"
    shutil.rmtree(bare, ignore_errors=True)
    git.new_repository(lab, name)
    work = lab.root / "work"
    shutil.rmtree(work, ignore_errors=True)
    shell(lab, "git", "init", "-q", str(work))
    date = {"GIT_COMMITTER_DATE": f"@{int(at)} +0000"} if at else {}
    for subject, files in commits:
        shell(lab, "git", "rm", "-rqf", "--ignore-unmatch", ".", cwd=work)
        for file, text in files.items():
            (work / file).parent.mkdir(parents=True, exist_ok=True)
            (work / file).write_text(text)
        shell(lab, "git", "add", ".", cwd=work)
        command = ["git", "commit", "-q", "--allow-empty", "-m", subject]
        subprocess.run(command, cwd=work, env={**os.environ, **lab.env(), **date}, check=True)
    shell(lab, "git", "push", "-q", str(bare), "HEAD:main", cwd=work)
    return shell(lab, "git", "log", "--format=%H", "--reverse", cwd=work).stdout.split()


def deployment(name: str, image: str, replicas: int = 1, labels: Object | None = None, **meta: Object) -> Object:
    pod = {"app": name, **(labels or {})}
    spec = {"containers": [{"name": "server", "image": f"registry.course.local/{image}"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, **meta},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": pod},
            "template": {"metadata": {"labels": pod}, "spec": spec},
        },
    }


def config(name: str, **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def apply(lab: Profile, namespace: str, *objects: Object) -> None:
    api = cluster.kube(lab)
    api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])
    api.apply(objects, namespace)


def kubectl(lab: Profile, *args: str) -> str:
    return shell(lab, "kubectl", *args).stdout


def approve(lab: Profile, repository: str, user: str, commit: str) -> None:
    bare = lab.root / "git" / "repositories" / f"{repository}.git"
    shell(lab, "git", "-C", str(bare), "update-ref", f"refs/approvals/{user}/{commit}", commit)


# --- push against pull, the principles -------------------------------------------------------------------


def test_a_rollback_is_a_whole_revert_that_keeps_the_history(lab: Profile) -> None:
    old, new = {"deploy/a": "1.0", "deploy/b": "0.50"}, {"deploy/a": "2.0", "deploy/b": "0.90"}
    apply(lab, "pull", deployment("recommender", "recommender:1.0", 2), config("settings", THRESHOLD="0.50"))
    one, two = ("Recommender 1.0", old), ("Recommender 2.0", new)
    history(lab, "recommender", [one, two, ("Revert", old)])
    passes(lab, "rolled-back")
    history(lab, "recommender", [one])
    says_no(lab, "rolled-back", "2.0 in the history: gone")
    history(lab, "recommender", [one, two, ("Half", {**new, "deploy/a": "1.0"})])
    says_no(lab, "rolled-back", "main: differs")
    history(lab, "recommender", [one, two, ("Revert", old)])
    apply(lab, "pull", config("settings", THRESHOLD="0.90"))
    says_no(lab, "rolled-back", "threshold: 0.90")
    apply(lab, "pull", deployment("recommender", "recommender:2.0", 2), config("settings", THRESHOLD="0.50"))
    says_no(lab, "rolled-back", "running: recommender:2.0")


def test_a_reconciler_has_what_it_needs_and_no_more(lab: Profile) -> None:
    apply(lab, "pull")
    apply(lab, "push")
    kinds = "configmaps,services,deployments.apps,jobs.batch,cronjobs.batch"

    def role(verbs: str, resources: str = kinds) -> None:
        kubectl(lab, "-n", "pull", "delete", "role", "reconciler", "--ignore-not-found")
        kubectl(lab, "-n", "pull", "create", "role", "reconciler", f"--verb={verbs}", f"--resource={resources}")

    who = "--serviceaccount=pull:reconciler"
    role("get,list,create,patch,delete")
    kubectl(lab, "-n", "pull", "create", "rolebinding", "reconciler", "--role=reconciler", who)
    says_no(lab, "least-privilege", "service account: absent")
    kubectl(lab, "-n", "pull", "create", "serviceaccount", "reconciler")
    passes(lab, "least-privilege")
    role("get,list,create,patch")
    says_no(lab, "least-privilege", "delete configmaps")
    role("get,list,create,patch,delete", f"{kinds},secrets")
    says_no(lab, "least-privilege", "get secrets in pull")
    role("get,list,create,patch,delete")
    kubectl(lab, "create", "clusterrolebinding", "too-much", "--clusterrole=view", who)
    says_no(lab, "least-privilege", "get configmaps in push")
    kubectl(lab, "delete", "clusterrolebinding", "too-much")
    passes(lab, "least-privilege")


def test_a_reference_that_can_move_is_not_pinned(lab: Profile) -> None:
    apply(lab, "embedder", deployment("exporter", "exporter:1.0"))

    def refers(ref: str) -> None:
        resources = ["deployment.yaml", f"http://127.0.0.1:1/exporter.git//deploy?ref={ref}"]
        history(lab, "embedder", [("Metrics", {"app/kustomization.yaml": yaml.safe_dump({"resources": resources})})])

    refers("0f" * 20)
    passes(lab, "pinned")
    for moving in ("main", "v1.0", "0f0f0f0"):
        refers(moving)
        says_no(lab, "pinned", f"refers to: {moving}")
    refers("0f" * 20)
    apply(lab, "embedder", deployment("exporter", "exporter:2.0"))
    says_no(lab, "pinned", "running: exporter:2.0")


def test_a_report_names_the_newest_commit_in_full(lab: Profile) -> None:
    before, newest = history(lab, "embedder", [("one", {"a": "1"}), ("two", {"a": "2"})])
    apply(lab, "embedder")
    kubectl(lab, "-n", "embedder", "delete", "configmap", "reconciler-status", "--ignore-not-found")
    says_no(lab, "reported", "nothing")
    for wrong in (before, newest[:7]):
        apply(lab, "embedder", config("reconciler-status", commit=wrong))
        says_no(lab, "reported", wrong)
    apply(lab, "embedder", config("reconciler-status", commit=newest))
    passes(lab, "reported")
    label = "gitops.course.local/owner=embedder"
    kubectl(lab, "-n", "embedder", "label", "configmap", "reconciler-status", label)
    says_no(lab, "reported", "pruned with the rest: True")


def test_replicas_are_handed_over_without_an_outage(lab: Profile, tmp_path: Path) -> None:
    apply(lab, "embedder")

    def as_manager(manager: str, replicas: int | None) -> None:
        whole = deployment("embedder", "embedder:1.4", replicas or 0)
        if replicas is None:
            del whole["spec"]["replicas"]
        thin = {**whole, "spec": {"replicas": replicas}}
        file = tmp_path / "object.yaml"
        file.write_text(yaml.safe_dump(thin if manager == "autoscaler" else whole))
        flags = ["--server-side", "--force-conflicts", f"--field-manager={manager}", "-f", str(file)]
        kubectl(lab, "-n", "embedder", "apply", *flags)

    as_manager("reconciler", 2)
    kubectl(lab, "-n", "embedder", "rollout", "status", "deployment/embedder", "--timeout=60s")
    as_manager("reconciler", 4)
    says_no(lab, "handed-over", "owners of the field: ['reconciler']")
    as_manager("reconciler", 2)
    as_manager("autoscaler", 2)
    history(lab, "embedder", [("The autoscaler owns the replicas", {})], at=time.time() + 1)
    says_no(lab, "handed-over", "replicas: 2")
    as_manager("reconciler", None)
    as_manager("autoscaler", 4)
    passes(lab, "handed-over")
    history(lab, "embedder", [("The autoscaler owns the replicas", {})], at=time.time() - 600)
    says_no(lab, "handed-over", "pods from before the newest commit: 0")


# --- repositories -----------------------------------------------------------------------------------------


@pytest.fixture
def ranker(lab: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lecture's base and component, and the overlay that the exercise asks for, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "ranker"
    pod = {"containers": [{"name": "server", "image": "ranker", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}
    limits = {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists"}]}
    limits["containers"] = [{"name": "server", "resources": {"limits": {"nvidia.com/gpu": 1}}}]
    patch = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "any"}}
    base: Object = deployment("ranker", "x")
    base["spec"]["template"]["spec"] = pod
    component = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component"}
    component["patches"] = [  # type: ignore[assignment]
        {
            "target": {"kind": "Deployment"},
            "patch": yaml.safe_dump({**patch, "spec": {"template": {"spec": limits}}}),
        }
    ]
    files = {
        "base/deployment.yaml": base,
        "base/kustomization.yaml": {
            "resources": ["deployment.yaml"],
            "images": [{"name": "ranker", "newName": "registry.course.local/ranker", "newTag": "3.0"}],
            "configMapGenerator": [{"name": "settings", "literals": ["LOG_LEVEL=info", "CANDIDATES=200"]}],
        },
        "components/gpu/kustomization.yaml": component,
        "overlays/staging/kustomization.yaml": OVERLAY,
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(yaml.safe_dump(content))
    for command in (["init", "-q", "."], ["add", "base", "components"], ["commit", "-qm", "Ranker"]):
        shell(lab, "git", *command, cwd=folder)
    return folder


OVERLAY: Object = {
    "resources": ["../../base"],
    "components": ["../../components/gpu"],
    "replicas": [{"name": "ranker", "count": 2}],
    "images": [{"name": "registry.course.local/ranker", "newTag": "3.1"}],
    "configMapGenerator": [{"name": "settings", "behavior": "merge", "literals": ["LOG_LEVEL=debug"]}],
}


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"components": []}, "GPUs: 0"),
        ({"replicas": []}, "replicas: 1"),
        ({"images": [{"name": "ranker", "newTag": "3.1"}]}, "image: ranker:3.0"),
        ({"configMapGenerator": []}, "'LOG_LEVEL': 'info'"),
        (
            {"configMapGenerator": [{"name": "settings", "behavior": "replace", "literals": ["LOG_LEVEL=debug"]}]},
            "settings: {'LOG_LEVEL': 'debug'}",
        ),
        ({"generatorOptions": {"disableNameSuffixHash": True}}, "name with a hash"),
        ({"resources": ["../../nothing"]}, "kustomize says"),
    ],
)
def test_an_overlay_that_lacks_something(lab: Profile, ranker: Path, change: Object, seen: str) -> None:
    passes(lab, "overlay")
    file = ranker / "overlays/staging/kustomization.yaml"
    file.write_text(yaml.safe_dump({**OVERLAY, **change}))
    says_no(lab, "overlay", seen)


def test_an_overlay_that_needed_another_base(lab: Profile, ranker: Path) -> None:
    base = ranker / "base/kustomization.yaml"
    base.write_text(base.read_text() + "# changed\n")
    says_no(lab, "overlay", "base and components: changed")


def test_a_promotion_needs_its_own_folder_and_another_person(lab: Profile) -> None:
    folder = "apps/ranker/envs/prod/kustomization.yaml"
    apply(lab, "ranker-prod", deployment("ranker", "ranker:3.1", 3))
    start = ("Ranker 3.0", {folder: "3.0", "apps/ranker/base/a": "1"})
    promoted = {folder: "3.1", "apps/ranker/base/a": "1"}
    _, commit = history(lab, "fleet", [start, ("prod: 3.1", promoted)])
    says_no(lab, "promoted", "approved by: []")
    approve(lab, "fleet", "learner", commit)
    says_no(lab, "promoted", "approved by: ['learner']")
    approve(lab, "fleet", "reviewer", commit)
    passes(lab, "promoted")
    _, commit, later = history(lab, "fleet", [start, ("prod: 3.1", promoted), ("Record", {**promoted, "adr": "x"})])
    approve(lab, "fleet", "reviewer", later)
    passes(lab, "promoted")
    old, commit = history(lab, "fleet", [start, ("prod and base", {**promoted, "apps/ranker/base/a": "2"})])
    approve(lab, "fleet", "reviewer", commit)
    says_no(lab, "promoted", "apps/ranker/base")
    old, commit = history(lab, "fleet", [start, ("prod: 3.1", promoted)])
    approve(lab, "fleet", "reviewer", old)
    says_no(lab, "promoted", "approved by: []")
    approve(lab, "fleet", "reviewer", commit)
    apply(lab, "ranker-prod", deployment("ranker", "ranker:3.0", 3))
    says_no(lab, "promoted", "prod runs: ranker:3.0")


def cells(start: str) -> list[str]:
    """The code cells of the lecture that begin with `start`."""
    found = re.findall(r"^```\{code-cell\} ipython3\n(.*?)^```$", LESSON, flags=re.S | re.M)
    return [text for text in found if text.startswith(start)]


def rego(cell: str) -> str:
    """The policy that a cell writes."""
    match = re.search(r"workloads\.rego <<'EOF'\n(.*?)^EOF$", cell, flags=re.S | re.M)
    assert match
    return match[1]


def test_a_policy_judges_every_container_by_the_whole_host(lab: Profile) -> None:
    given = rego(next(c for c in cells("%%bash -e") if "policy/workloads.rego" in c))
    solution = rego(next(c for c in cells(":tags: [solution]") if ">> policy/workloads.rego" in c))
    history(lab, "fleet", [("Ranker", {"a": "1"})])
    file = lab.root / "git/repositories/fleet.git/gate/policy/workloads.rego"
    says_no(lab, "policy", "policy: absent")
    file.parent.mkdir(parents=True)

    def judged(text: str) -> None:
        file.write_text(text)

    judged(given + solution)
    passes(lab, "policy")
    judged(given)
    says_no(lab, "policy", "another registry")
    judged(given + solution.replace("course.local/", "course.local"))
    says_no(lab, "policy", "a host that begins like ours")
    judged(
        given + solution.replace("some container in containers", "container := input.spec.template.spec.containers[_]")
    )
    says_no(lab, "policy", "an init container")
    judged(
        given + solution.replace("some container in containers", "container := input.spec.template.spec.containers[0]")
    )
    says_no(lab, "policy", "the second container")
    judged("package main\n" + solution.replace("workload\n", 'input.kind == "Deployment"\n'))
    says_no(lab, "policy")
    judged(given + 'deny contains "no" if input.kind == "Deployment"\n')
    says_no(lab, "policy", "allowed: our registry")
    judged("package main\nthis is no policy\n")
    says_no(lab, "policy")


RECORD = """# 2. Environments are folders

Status: accepted
Date: 2026-11-09

## Context
A merged hotfix took the replicas of prod along to dev.

## Options
- A branch for each environment: settings travel with merges.
- A folder for each environment: nothing is merged.

## Decision
Each environment is a folder on the branch main.

## Consequences
- Good: a promotion copies one line.
- Bad: a change of the base reaches all at once.
"""


def test_a_decision_record_is_on_main_under_its_number(lab: Profile) -> None:
    name = "docs/adr/0002-environments-are-folders.md"
    history(lab, "fleet", [("Record", {name: RECORD})])
    passes(lab, "adr")
    history(lab, "fleet", [("Record", {"docs/adr/0003-environments-are-folders.md": RECORD})])
    says_no(lab, "adr", "docs/adr/0002-….md")
    history(lab, "fleet", [("Record", {name: RECORD.replace("- Bad: a change of the base reaches all at once.", "")})])
    says_no(lab, "adr", "a line '- Bad: …'")
    history(lab, "fleet", [("Nothing", {"a": "1"})])
    says_no(lab, "adr", "no records")


# --- delivery ---------------------------------------------------------------------------------------------


def serving(blue: tuple[str, int], green: tuple[str, int], **selector: str) -> list[Object]:
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "churn"}}
    service["spec"] = {"selector": {"app": "churn", **selector}, "ports": [{"port": 80}]}  # type: ignore[assignment]
    found = [service]
    for colour, (version, replicas) in {"blue": blue, "green": green}.items():
        labels = {"app": "churn", "colour": colour, "version": version}
        whole = deployment(f"churn-{colour}", f"churn:{version}", replicas, labels)
        whole["spec"]["selector"] = {"matchLabels": {"app": "churn", "colour": colour}}
        found.append(whole)
    return found


def files(objects: list[Object]) -> dict[str, str]:
    return {
        "serving/all.yaml": yaml.safe_dump_all(objects),
        "serving/kustomization.yaml": "resources: [all.yaml]\n",
    }


@pytest.fixture
def churn(lab: Profile) -> Iterator[Profile]:
    """A clean namespace churn: pods of one test are no traffic in the next."""
    apply(lab, "churn")
    yield lab
    for kind in ("deployments", "services"):
        kubectl(lab, "-n", "churn", "delete", kind, "--all")
    kubectl(lab, "-n", "churn", "wait", "--for=delete", "pods", "--all", "--timeout=60s")


def test_a_canary_is_aborted_by_a_revert_and_the_traffic_follows(churn: Profile) -> None:
    good, canary = serving(("1.0", 4), ("1.1", 4), colour="green"), serving(("1.2", 1), ("1.1", 4))
    name = "Canary: 1.2 on a fifth"
    history(churn, "churn-live", [("Green", files(good)), (name, files(canary)), ("Revert", files(good))])
    apply(churn, "churn", *good)
    passes(churn, "aborted")
    history(churn, "churn-live", [("Green", files(good))])
    says_no(churn, "aborted", "the canary's commit: gone")
    history(churn, "churn-live", [("Green", files(good)), (name, files(canary))])
    says_no(churn, "aborted", "main: differs")
    history(churn, "churn-live", [("Green", files(good)), (name, files(canary)), ("Revert", files(good))])
    apply(churn, "churn", *canary)
    kubectl(churn, "-n", "churn", "rollout", "status", "deployment/churn-blue", "--timeout=60s")
    says_no(churn, "aborted", "'1.2'")


@pytest.mark.parametrize(
    ("states", "seen"),
    [
        ([serving(("1.3", 1), ("1.1", 4)), serving(("1.3", 4), ("1.1", 0), colour="blue")], None),
        ([serving(("1.3", 4), ("1.1", 0), colour="blue")], "canary by a commit: none"),
        (
            [serving(("1.3", 4), ("1.1", 2)), serving(("1.3", 4), ("1.1", 0), colour="blue")],
            "canary by a commit: 67 %",
        ),
        ([serving(("1.3", 1), ("1.1", 4))], "Git gives 1.3: 20 %"),
    ],
    ids=["canary, then all", "all at once", "a canary of two thirds", "no end"],
)
def test_a_release_in_steps_has_a_small_one_first(churn: Profile, states: list[list[Object]], seen: str | None) -> None:
    before = ("1.1", files(serving(("1.0", 4), ("1.1", 4), colour="green")))
    history(churn, "churn-live", [before, *(("next", files(state)) for state in states)])
    apply(churn, "churn", *serving(("1.3", 4), ("1.1", 0), colour="blue"))
    if seen is None:
        passes(churn, "progressive")
    else:
        kubectl(churn, "-n", "churn", "rollout", "status", "deployment/churn-blue", "--timeout=60s")
        says_no(churn, "progressive", seen)


# --- ML ---------------------------------------------------------------------------------------------------


def job(name: str, **spec: Any) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "train", "image": "registry.course.local/train:1"}]}
    whole = {"template": {"spec": pod}, **spec}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": whole}


def test_a_training_run_stays(lab: Profile) -> None:
    def says(*objects: Object) -> None:
        text = {"jobs/all.yaml": yaml.safe_dump_all(objects), "jobs/kustomization.yaml": "resources: [all.yaml]\n"}
        history(lab, "training", [("Train", text)])

    says(job("train-churn-v4"))
    apply(lab, "training")
    says_no(lab, "trained-once", "not completed")
    apply(lab, "training", job("train-churn-v4"))
    says_no(lab, "trained-once", "has stayed for 4 s: False")
    passes(lab, "trained-once")
    says(job("train-churn-v4", ttlSecondsAfterFinished=1))
    says_no(lab, "trained-once", "deletes itself: True")
    says(job("train-churn-v5"))
    says_no(lab, "trained-once", "in Git: ['train-churn-v5']")


def test_a_feature_is_provided_before_it_is_needed(lab: Profile) -> None:
    crd = next(c for c in cells("%%bash -e") if "featureviews.features.course.local" in c and "crd.yaml" in c)
    match = re.search(r"crd\.yaml <<EOF\n(.*?)^EOF$", crd, flags=re.S | re.M)
    assert match
    cluster.kube(lab).apply([yaml.safe_load(match[1])])

    def state(provided: tuple[str, ...], needed: tuple[str, ...], kind: str = "double") -> list[Object]:
        view: Object = {
            "apiVersion": "features.course.local/v1",
            "kind": "FeatureView",
            "metadata": {"name": "customer"},
        }
        types = {"spend_30d": kind}
        view["spec"] = {
            "entity": "customer_id",
            "features": [{"name": name, "type": types.get(name, "int64")} for name in provided],
        }
        needs = {"features.course.local/needs": " ".join(f"customer.{name}" for name in needed)}
        return [view, deployment("churn", "churn:1.3", annotations=needs)]

    def says(*states: list[Object]) -> None:
        folder = "resources: [all.yaml]\n"
        history(
            lab,
            "features",
            [("state", {"store/all.yaml": yaml.safe_dump_all(s), "store/kustomization.yaml": folder}) for s in states],
        )

    old, new = ("tickets", "idle_days"), ("tickets", "idle_days", "spend_30d")
    done = state(new, new)
    apply(lab, "features")
    kubectl(lab, "apply", "--server-side", "-n", "features", "-f", str(_file(lab, done)))
    says(state(old, old), done)
    passes(lab, "feature")
    says(state(old, old), state(new, old), done)
    passes(lab, "feature")
    says(state(old, old), state(old, new), done)
    says_no(lab, "feature", "commits that break the contract: ['")
    says(state(old, old), done)
    kubectl(lab, "apply", "--server-side", "-n", "features", "-f", str(_file(lab, state(new, old))))
    says_no(lab, "feature")
    kubectl(lab, "apply", "--server-side", "-n", "features", "-f", str(_file(lab, state(new, new, "int64"))))
    says_no(lab, "feature", "'spend_30d': 'int64'")


def _file(lab: Profile, objects: list[Object]) -> Path:
    path = lab.root / "objects.yaml"
    path.write_text(yaml.safe_dump_all(objects))
    return path


# --- the section that breaks things -----------------------------------------------------------------------


def test_everything_is_back_and_the_merge_is_remembered(lab: Profile) -> None:
    names = ("gateway", "registry", "tracking")
    apply(lab, "core", *(deployment(name, f"{name}:1.0") for name in names), config("routes", churn="x"))
    history(lab, "core", [("Shared services", {"a": "1"}), ("Merge branch tidy", {}), ("Revert", {"a": "1"})])
    passes(lab, "restored")
    history(lab, "core", [("Shared services", {"a": "1"})])
    says_no(lab, "restored", "the merge: gone")
    history(lab, "core", [("Shared services", {"a": "1"}), ("Merge branch tidy", {}), ("Revert", {"a": "1"})])
    kubectl(lab, "-n", "core", "delete", "configmap", "routes")
    says_no(lab, "restored", "routes: absent")
    apply(lab, "core", config("routes", churn="x"))
    kubectl(lab, "-n", "core", "delete", "deployment", "registry")
    says_no(lab, "restored", "'gateway', 'tracking'")


@pytest.fixture
def reconciler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lab: Profile) -> Path:
    """The lecture's own reconciler in the current folder, without the brake."""
    monkeypatch.chdir(tmp_path)
    for name, value in lab.env().items():
        monkeypatch.setenv(name, value)
    (source,) = cells("%%writefile reconciler.py")
    file = tmp_path / "reconciler.py"
    file.write_text(source.partition("\n")[2])
    return file


def test_a_reconciler_without_a_brake(lab: Profile, reconciler: Path) -> None:
    says_no(lab, "guarded", "none: 0")


def test_a_reconciler_that_does_not_run_at_all(lab: Profile, reconciler: Path) -> None:
    reconciler.write_text("def reconcile(:\n")
    says_no(lab, "guarded", "SyntaxError")


def test_a_reconciler_that_never_prunes(lab: Profile, reconciler: Path) -> None:
    source = reconciler.read_text()
    changed = source.replace("    surplus = sorted(before.keys() - after.keys())\n", "    surplus = []\n")
    assert changed != source
    reconciler.write_text(changed)
    says_no(lab, "guarded", "3 files: 4")


def test_a_reconciler_with_the_brake_of_the_solution(lab: Profile, reconciler: Path) -> None:
    (solution,) = [c for c in cells(":tags: [solution]") if "would be deleted" in c]
    exec(compile(solution.partition("\n")[2], "solution", "exec"), {})  # it edits reconciler.py in the current folder
    passes(lab, "guarded")
    assert not list((lab.root / "git" / "repositories").glob("guard-check*")), "the check left its repository"
