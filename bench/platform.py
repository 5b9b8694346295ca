"""The platform: cold starts beside kwokctl's with the same binaries, starts from disk, resets, memory."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench import memory
from bench.table import Row, median, timed
from iaclab import tools
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

TITLE = "The platform"
RUNS = 3
GPU_DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: bench}
spec:
  selector: {matchLabels: {app: bench}}
  template:
    metadata: {labels: {app: bench}}
    spec:
      tolerations: [{key: nvidia.com/gpu, operator: Exists}]
      containers: [{name: bench, image: bench, resources: {limits: {nvidia.com/gpu: 1}}}]
"""


def rows() -> Iterator[Row]:
    """The measurements, cheapest to wait for first."""
    tools.ensure(*cluster.TOOLS, "kwokctl", "argocd", "helm", "kustomize", "valkey-server", quiet=True)
    ours, theirs = [], []
    for run in range(RUNS):  # in turn, so that what else the machine does falls on both
        ours.append(_our_cluster(f"cluster-{run}"))
        theirs.append(_kwokctl(run))
    yield Row("GPU Deployment Available, from nothing", median(ours), "s", median(theirs), "kwokctl", 1.1)
    profiles = [Profile(f"argo-{run}") for run in range(RUNS)]
    cold = median([_first_application(profile) for profile in profiles])
    for profile in profiles[1:]:
        lifecycle.down(profile=profile)
    yield Row("cluster + Argo CD + first Application healthy, cold", cold, at_most=12)
    profile = profiles[0]
    pids = _at_rest(profile)
    yield Row("memory of cluster + Argo CD, shared pages once (PSS)", memory.shared_once(pids) / 1e9, "GB", at_most=1.0)
    yield Row("the same, shared pages for each process (RSS)", memory.shared_each(pids) / 1e9, "GB")
    resets = [timed(lambda: lifecycle.reset(profile=profile)) for _ in range(RUNS)]
    fresh = Profile("fresh")
    whole = timed(lambda: lifecycle.up("argocd", profile=fresh))
    lifecycle.down(profile=fresh)
    yield Row("reset", median(resets), "s", whole, "a cold start", 0.5)
    warm = median([_after_reset(profile) for _ in range(RUNS)])
    yield Row("from the snapshot to the first Application healthy", warm, at_most=5)
    disk = median([_from_disk(profile) for _ in range(RUNS)])
    yield Row("from data on disk (after down) to the Application healthy", disk, at_most=None)
    lifecycle.down(profile=profile)


def _kubectl(profile: Profile, *args: str, text: str | None = None) -> None:
    env = {**os.environ, **profile.env()}
    subprocess.run(["kubectl", *args], env=env, input=text, text=True, check=True, stdout=subprocess.DEVNULL)


def _our_cluster(name: str) -> float:
    profile = Profile(name)

    def work() -> None:
        lifecycle.up("cluster", profile=profile)
        _kubectl(profile, "apply", "-f", "-", text=GPU_DEPLOYMENT)
        _kubectl(profile, "wait", "deployment/bench", "--for=condition=Available", "--timeout=60s")

    try:
        return timed(work)
    finally:
        lifecycle.down(profile=profile)


def _kwokctl(run: int) -> float:
    bins = tools.ensure(*cluster.TOOLS, "kwokctl", quiet=True)
    with tempfile.TemporaryDirectory() as home:
        name = f"bench-{run}"
        config = Path(home) / "kubeconfig"
        env = {**os.environ, "HOME": home, "KWOK_WORKDIR": f"{home}/kwok", "KUBECONFIG": str(config)}
        flags = {
            "kube-apiserver": "kube-apiserver",
            "kube-controller-manager": "kube-controller-manager",
            "kube-scheduler": "kube-scheduler",
            "etcd": "etcd",
            "kwok-controller": "kwok",
        }
        command = [str(bins["kwokctl"]), "create", "cluster", "--name", name, "--runtime", "binary", "--wait", "60s"]
        command += [f"--{flag}-binary={bins[tool]}" for flag, tool in flags.items()]
        kubectl = [str(bins["kubectl"]), f"--kubeconfig={config}"]
        node = next(n for n in cluster.NODES["cluster"] if "gpu" in n["metadata"]["name"])

        def work() -> None:
            subprocess.run(command, env=env, check=True, capture_output=True)
            for text in (json.dumps(node), GPU_DEPLOYMENT):
                subprocess.run([*kubectl, "apply", "-f", "-"], input=text, text=True, check=True, capture_output=True)
            wait = ["wait", "deployment/bench", "--for=condition=Available", "--timeout=60s"]
            subprocess.run([*kubectl, *wait], check=True, capture_output=True)

        try:
            return timed(work)
        finally:
            delete = [str(bins["kwokctl"]), "delete", "cluster", "--name", name]
            subprocess.run(delete, env=env, capture_output=True)


def _create_application(profile: Profile) -> None:
    """Commit a Deployment, make an Application of it, and wait until it is synced and healthy."""
    script = """
    rm -rf app && git init -q app && cd app
    kubectl create deployment web --image=web --dry-run=client -o yaml > web.yaml
    git add . && git commit -qm one && git push -qf "$GIT_URL/bench.git" HEAD:main
    argocd app create bench --repo "$GIT_URL/bench.git" --revision main --path . --sync-policy automated \
      --dest-server https://kubernetes.default.svc --dest-namespace default
    argocd app wait bench --sync --health --timeout 60
    """
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, **profile.env()}
        subprocess.run(["bash", "-ec", script], cwd=folder, env=env, check=True, capture_output=True)


def _first_application(profile: Profile) -> float:
    def work() -> None:
        lifecycle.up("argocd", profile=profile)
        _create_application(profile)

    return timed(work)


def _after_reset(profile: Profile) -> float:
    def work() -> None:
        lifecycle.reset(profile=profile)
        _create_application(profile)

    return timed(work)


def _from_disk(profile: Profile) -> float:
    lifecycle.down(profile=profile)

    def work() -> None:
        lifecycle.up("argocd", profile=profile)
        env = {**os.environ, **profile.env()}
        wait = ["argocd", "app", "wait", "bench", "--sync", "--health", "--timeout", "60"]
        subprocess.run(wait, env=env, check=True, capture_output=True)

    return timed(work)


def _at_rest(profile: Profile) -> list[int]:
    """Process ids of every program of the profile, after half a minute at rest."""
    time.sleep(30)
    return [pid for s in lifecycle.status(profile) for pid in s.processes.values()]
