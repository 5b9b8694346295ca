"""Looks at the systems of lab 2: Argo CD's objects and API, the cluster, the Git server."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import argocd, cluster, git

Object = dict[str, Any]
_ARGO = "/apis/argoproj.io/v1alpha1"
_COMMIT = re.compile("[0-9a-f]{40,64}")
_COMMITS = 200  # that are looked through for a change


def items(profile: Profile, path: str) -> list[Object]:
    """The objects of a list of the Kubernetes API; none where the list is not there."""
    return list((cluster.kube(profile).get(path) or {}).get("items", []))


def applications(profile: Profile) -> dict[str, Object]:
    """Every Application in Argo CD's namespace, by its name."""
    return {str(a["metadata"]["name"]): a for a in items(profile, f"{_ARGO}/namespaces/argocd/applications")}


def application(profile: Profile, name: str) -> Object:
    """One Application.

    Raises:
        LabError: there is none.
    """
    found = cluster.kube(profile).get(f"{_ARGO}/namespaces/argocd/applications/{name}")
    if not found:
        raise LabError(f"there is no Application {name}")
    return found


def project(profile: Profile, name: str) -> Object:
    """The specification of a project.

    Raises:
        LabError: there is none.
    """
    found = cluster.kube(profile).get(f"{_ARGO}/namespaces/argocd/appprojects/{name}")
    if not found:
        raise LabError(f"there is no project {name}")
    return dict(found["spec"])


def rollout(profile: Profile, namespace: str, name: str = "fraud-api") -> Object:
    """A Rollout.

    Raises:
        LabError: there is none.
    """
    found = cluster.kube(profile).get(f"{_ARGO}/namespaces/{namespace}/rollouts/{name}")
    if not found:
        raise LabError(f"there is no Rollout {name} in {namespace}")
    return found


def analysis_runs(profile: Profile, namespace: str) -> list[Object]:
    """The AnalysisRuns of a namespace."""
    return items(profile, f"{_ARGO}/namespaces/{namespace}/analysisruns")


def replica_sets(profile: Profile, namespace: str, owner: str) -> list[Object]:
    """The ReplicaSets that belong to a Rollout or Deployment."""
    found = items(profile, f"/apis/apps/v1/namespaces/{namespace}/replicasets")
    return [r for r in found if owner in [o["name"] for o in r["metadata"].get("ownerReferences", [])]]


def image(workload: Object) -> str:
    """The image of the first container of a workload's pods."""
    return str(workload["spec"]["template"]["spec"]["containers"][0]["image"])


def gpus(workload: Object) -> int:
    """The GPUs that one pod of a workload asks for."""
    containers = workload["spec"]["template"]["spec"]["containers"]
    return sum(int(c.get("resources", {}).get("limits", {}).get(cluster.GPU, 0)) for c in containers)


def running(profile: Profile, namespace: str, app: str) -> list[str]:
    """The images of the ready pods whose names begin with `app`."""
    found = []
    for pod in items(profile, f"/api/v1/namespaces/{namespace}/pods"):
        meta, conditions = pod["metadata"], {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
        if meta["name"].startswith(f"{app}-") and "deletionTimestamp" not in meta and conditions.get("Ready") == "True":
            found.append(str(pod["spec"]["containers"][0]["image"]))
    return found


def marks(manifest: Object) -> dict[str, str]:
    """The annotations of an object."""
    return dict(manifest["metadata"].get("annotations") or {})


def sources(app: Object) -> list[Object]:
    """The sources of an Application, one or several."""
    spec = app["spec"]
    return list(spec.get("sources") or ([spec["source"]] if "source" in spec else []))


def automated(app: Object) -> Object | None:
    """The switches of an Application's automated sync; `None` where it does not sync by itself."""
    found = (app["spec"].get("syncPolicy") or {}).get("automated")
    return None if found is None or found.get("enabled") is False else dict(found)


def manual(app: Object) -> Iterator[str]:
    """Which part of keeping its namespace as Git says an Application leaves to people."""
    name, switches = app["metadata"]["name"], automated(app)
    if switches is None:
        yield f"{name} does not sync by itself"
        return
    for switch in ("prune", "selfHeal"):
        if not switches.get(switch):
            yield f"{name} has no {switch}"


def unsettled(app: Object) -> Iterator[str]:
    """Why an Application is not Synced and Healthy, with what Argo CD says."""
    name, status = app["metadata"]["name"], app.get("status", {})
    sync, health = (status.get(part, {}).get("status", "unknown") for part in ("sync", "health"))
    if (sync, health) == ("Synced", "Healthy"):
        return
    said = [c["message"] for c in status.get("conditions") or [] if c["type"].endswith("Error")]
    message = said[0] if said else status.get("operationState", {}).get("message", "")
    yield f"{name} is {sync} and {health}{': ' + str(message) if message else ''}"


def targets(profile: Profile, name: str) -> list[Object]:
    """The manifests that Argo CD renders from Git for an Application.

    Raises:
        LabError: Argo CD cannot render them.
    """
    with argocd.client(profile) as http:
        answer = http.get(f"/api/v1/applications/{name}/manifests")
    if answer.status_code != 200:
        raise LabError(f"Argo CD cannot render {name}: {answer.json().get('message')}")
    return [json.loads(manifest) for manifest in answer.json().get("manifests") or []]


def repository_url(profile: Profile, name: str) -> str:
    """The address of a repository, as Argo CD is given it."""
    return f"{git.url(profile)}/{name}.git"


def is_repository(url: str, profile: Profile, name: str) -> bool:
    """Whether a URL means a repository of the Git server, with or without `.git` at its end."""
    return url.removesuffix("/").removesuffix(".git") == repository_url(profile, name).removesuffix(".git")


def commits(profile: Profile, name: str, touching: str = "") -> list[str]:
    """The newest commits of a repository's main, newest first.

    Args:
        touching: only those that add or remove a line with this text.

    Raises:
        LabError: there is no such repository, or nothing on main.
    """
    search = [f"-G{_literal(touching)}"] if touching else []
    done = _git(profile, name, "log", "--format=%H", f"--max-count={_COMMITS}", *search, "main", "--")
    if done.returncode:
        raise LabError(f"{name}.git has no branch main")
    return done.stdout.split()


def is_part_of_main(profile: Profile, name: str, commit: str) -> bool:
    """Whether a commit is in the history of a repository's main."""
    if not _COMMIT.fullmatch(commit):
        return False
    return _git(profile, name, "merge-base", "--is-ancestor", commit, "main").returncode == 0


def _git(profile: Profile, name: str, *args: str) -> subprocess.CompletedProcess[str]:
    folder = profile.folder("git", "repositories") / f"{name}.git"
    env = {"PATH": os.environ.get("PATH", os.defpath), "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-c", "safe.directory=*", "--git-dir", str(folder), *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=30)


def _literal(text: str) -> str:
    """A basic regular expression that matches exactly this text."""
    return "".join(f"\\{c}" if c in ".[]*^$\\" else c for c in text)


def would_create(profile: Profile, manifest: Object) -> str | None:
    """`None` where the API server would create an object, else why it refuses; nothing is made."""
    found = tools.find("kubectl")
    if found is None:
        raise LabError("kubectl is not installed", mend="iaclab tools install kubectl")
    config = str(cluster.kubeconfig(profile))
    command = [str(found.path), "--kubeconfig", config, "create", "--dry-run=server", "-o", "name", "-f", "-"]
    done = subprocess.run(command, input=json.dumps(manifest), capture_output=True, text=True, timeout=30)
    return None if done.returncode == 0 else " ".join(done.stderr.split())
