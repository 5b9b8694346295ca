"""An Application from the profile's own Git server, as the tests of this folder need one."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import shell

from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, git

IN_CLUSTER = "https://kubernetes.default.svc"


def deployment(name: str, image: str = "registry.course.local/model:1.0.0", replicas: int = 1) -> dict[str, Any]:
    labels = {"app": name}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [{"name": "server", "image": image}]},
            },
        },
    }


def push(profile: Profile, folder: Path, *manifests: dict[str, Any], repository: str = "platform") -> str:
    """Commit the manifests as the whole content of a repository's `app` folder, and push; returns the commit."""
    new = not (folder / ".git").exists()
    (folder / "app").mkdir(parents=True, exist_ok=True)
    (folder / "app" / "all.yaml").write_text(yaml.safe_dump_all(manifests))
    if new:
        shell(profile, "git", "init", "-q", cwd=folder)
    shell(profile, "git", "add", ".", cwd=folder)
    shell(profile, "git", "commit", "-q", "--allow-empty", "-m", "change", cwd=folder)
    shell(profile, "git", "push", "-q", "-f", f"{git.url(profile)}/{repository}.git", "HEAD:main", cwd=folder)
    return shell(profile, "git", "rev-parse", "HEAD", cwd=folder).stdout.strip()


def application(profile: Profile, name: str, namespace: str, repository: str = "platform") -> None:
    """An Application that syncs itself, and whose finalizer deletes what it deployed."""
    cluster.kube(profile).apply(
        [
            {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Application",
                "metadata": {
                    "name": name,
                    "namespace": "argocd",
                    "finalizers": ["resources-finalizer.argocd.argoproj.io"],
                },
                "spec": {
                    "project": "default",
                    "source": {
                        "repoURL": f"{git.url(profile)}/{repository}.git",
                        "path": "app",
                        "targetRevision": "main",
                    },
                    "destination": {"server": IN_CLUSTER, "namespace": namespace},
                    "syncPolicy": {
                        "automated": {"prune": True, "selfHeal": True},
                        "syncOptions": ["CreateNamespace=true"],
                    },
                },
            }
        ]
    )


def wait_synced(profile: Profile, name: str, commit: str | None = None, within: float = 180) -> float:
    """Until the Application is Synced (to `commit`) and Healthy; returns the seconds that it took."""
    started, status = time.monotonic(), {}
    while time.monotonic() - started < within:
        found = cluster.kube(profile).get(f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{name}")
        status = (found or {}).get("status", {})
        sync = status.get("sync", {})
        healthy = status.get("health", {}).get("status") == "Healthy" and sync.get("status") == "Synced"
        if healthy and commit in (None, sync.get("revision")):
            return time.monotonic() - started
        time.sleep(0.1)
    pytest.fail(f"{name} is not Synced and Healthy after {within} s, see `iaclab logs argocd`: {status}")
