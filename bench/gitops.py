"""Flux and Argo CD side by side: one repository, the same objects, webhooks on for both.

Each has a branch of its own, and they are pushed to in turn: while one works the other rests, and what else the machine
does falls on both. The clock runs from the push to the last object's change in the cluster.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import memory
from bench.table import Row, median
from iaclab import tools
from iaclab.platform import lifecycle
from iaclab.platform.flux.install import LOGIN, NAMESPACE
from iaclab.platform.flux.watch import Cluster
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, git

TITLE = "GitOps: Flux and Argo CD"
COUNTS = (1, 10, 100)  # applications
RUNS = 3
PATIENCE = 300.0  # seconds for one commit
SOLUTIONS = (
    "flux",
    "argocd",
)  # also the names of their branches; they deploy to the namespaces of these names + "-apps"
_PARTS = {"flux": ("flux",), "argocd": ("argocd", "redis")}


def rows() -> Iterator[Row]:
    """The measurements, with more applications each time."""
    tools.ensure(
        *cluster.TOOLS, "flux-kustomize-controller", "argocd", "helm", "kustomize", "valkey-server", quiet=True
    )
    profile = Profile("gitops")
    with tempfile.TemporaryDirectory() as scratch:
        try:
            lifecycle.up(*SOLUTIONS, profile=profile)
            yield from _memory(profile, "no application")
            repository = _Repository(profile, Path(scratch))
            for count in COUNTS:
                yield from _latency(profile, repository, count)
            yield from _memory(profile, f"{COUNTS[-1]} applications")
        finally:
            lifecycle.down(profile=profile)


def _latency(profile: Profile, repository: _Repository, count: int) -> Iterator[Row]:
    first = {name: _until_applied(profile, repository, name, count, create=True) for name in SOLUTIONS}
    times: dict[str, list[float]] = {name: [] for name in SOLUTIONS}
    for _ in range(RUNS):
        for name in SOLUTIONS:
            times[name].append(_until_applied(profile, repository, name, count))
    words = f"{count} application{'s' * (count > 1)}"
    yield Row(f"{words}: created to applied", first["flux"], "s", first["argocd"], "Argo CD")
    yield Row(f"{words}: commit to applied", median(times["flux"]), "s", median(times["argocd"]), "Argo CD")


def _until_applied(profile: Profile, repository: _Repository, name: str, count: int, create: bool = False) -> float:
    """Push a change of every application to the branch `name`; seconds until all are in the cluster."""
    value = str(time.time_ns())
    repository.write(count, value)
    started = time.monotonic()
    seen = _Seen(cluster.kubeconfig(profile), f"{name}-apps", value, count)
    repository.push(name)
    if create:
        _create(profile, name, count)
    ended = seen.wait(started + PATIENCE)
    return ended - started


class _Seen:
    """Watches the ConfigMaps of a namespace until `count` of them hold `value`."""

    def __init__(self, kubeconfig: Path, namespace: str, value: str, count: int) -> None:
        self._wanted, self._count, self._done = value, count, threading.Event()
        self._ended = 0.0
        self._names: set[str] = set()
        path = f"/api/v1/namespaces/{namespace}/configmaps"
        threading.Thread(target=self._watch, args=(Cluster(kubeconfig), path), daemon=True).start()

    def wait(self, deadline: float) -> float:
        """The monotonic time at which all were there."""
        if not self._done.wait(deadline - time.monotonic()):
            raise RuntimeError(f"only {len(self._names)} of {self._count} objects were applied")
        return self._ended

    def _watch(self, api: Cluster, path: str) -> None:
        for event in api.watch(path):
            for item in event if isinstance(event, list) else [event[1]]:
                if item.get("data", {}).get("value") == self._wanted:
                    self._names.add(item["metadata"]["name"])
            if len(self._names) == self._count:
                self._ended = time.monotonic()
                self._done.set()
                return


class _Repository:
    """A working copy whose folders `apps/model-0`, `apps/model-1` … are the applications."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self._url = f"{git.url(profile)}/bench.git"
        self._folder, self._env = folder, {**os.environ, **profile.env()}
        self._git("init", "-q")
        self._git("commit", "-qm", "nothing yet", "--allow-empty")
        namespaces = [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": f"{name}-apps"}} for name in SOLUTIONS
        ]
        _kubectl_apply(profile, namespaces)  # its first call, like the first push, takes longer: nobody's fault
        for name in SOLUTIONS:
            self.push(name)

    def write(self, count: int, value: str) -> None:
        """Commit `count` applications whose ConfigMaps hold `value`."""
        for index in range(count):
            folder = self._folder / "apps" / f"model-{index}"
            folder.mkdir(parents=True, exist_ok=True)
            text = "\n---\n".join(json.dumps(manifest) for manifest in _application(f"model-{index}", value))
            (folder / "all.yaml").write_text(text)
        self._git("add", "-A")
        self._git("commit", "-qm", value)

    def push(self, branch: str) -> None:
        """Push the last commit to a branch."""
        self._git("push", "-qf", self._url, f"HEAD:{branch}")

    def _git(self, *arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=self._folder, env=self._env, check=True, capture_output=True)


def _application(name: str, value: str) -> list[dict[str, Any]]:
    """The objects of one application: a ConfigMap that changes with every commit, and a Deployment that does not."""
    pod = {"containers": [{"name": "server", "image": "registry.course.local/model:1.0.0"}]}
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"value": value}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec},
    ]


def _create(profile: Profile, name: str, count: int) -> None:
    """Make the Applications, or the Kustomizations and their GitRepository; those that are there stay as they are."""
    url = f"{git.url(profile)}/bench.git"
    indices = range(count)
    objects = _kustomizations(url, indices) if name == "flux" else [_argo_application(url, i) for i in indices]
    _kubectl_apply(profile, objects)


def _kubectl_apply(profile: Profile, objects: list[dict[str, Any]]) -> None:
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
    command = ["kubectl", "apply", "--server-side", "-f", "-"]
    env = {**os.environ, **profile.env()}
    subprocess.run(command, env=env, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def _kustomizations(url: str, indices: range) -> list[dict[str, Any]]:
    source = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {"name": "bench", "namespace": NAMESPACE},
        "spec": {"interval": "1h", "url": url, "ref": {"branch": "flux"}, "secretRef": {"name": LOGIN}},
    }
    return [source, *(_kustomization(index) for index in indices)]


def _kustomization(index: int) -> dict[str, Any]:
    return {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": {"name": f"model-{index}", "namespace": NAMESPACE},
        "spec": {
            "interval": "1h",
            "sourceRef": {"kind": "GitRepository", "name": "bench"},
            "path": f"./apps/model-{index}",
            "targetNamespace": "flux-apps",
            "prune": True,
        },
    }


def _argo_application(url: str, index: int) -> dict[str, Any]:
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": f"model-{index}", "namespace": "argocd"},
        "spec": {
            "project": "default",
            "source": {"repoURL": url, "path": f"apps/model-{index}", "targetRevision": "argocd"},
            "destination": {"server": "https://kubernetes.default.svc", "namespace": "argocd-apps"},
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }


def _memory(profile: Profile, when: str) -> Iterator[Row]:
    """Of each solution's own processes, half a minute at rest; shared pages once."""
    time.sleep(30)
    found = {service.name: list(service.processes.values()) for service in lifecycle.status(profile)}
    used = {
        name: memory.shared_once(pid for part in parts for pid in found[part]) / 1e6 for name, parts in _PARTS.items()
    }
    yield Row(f"memory, {when} (PSS)", used["flux"], "MB", used["argocd"], "Argo CD and its cache")
