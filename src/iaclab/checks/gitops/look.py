"""How the checks look: at repositories on the Git server, at what a commit builds to, at the cluster."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import yaml

from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

Object = dict[str, Any]


def run(profile: Profile, *command: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a client as the learner's shell does."""
    env = {**os.environ, **profile.env()}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60)


def git_says(profile: Profile, repository: str, *args: str) -> str:
    """What git says of a repository on the server; empty where it fails."""
    path = profile.root / "git" / "repositories" / f"{repository}.git"
    done = subprocess.run(["git", "-C", str(path), *args], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""


def commit_named(profile: Profile, repository: str, subject: str) -> str:
    """The newest commit of main with this subject; empty where there is none."""
    log = git_says(profile, repository, "log", "--format=%H %s", "main")
    return next((line.split()[0] for line in log.splitlines() if line.partition(" ")[2] == subject), "")


def manifests(profile: Profile, repository: str, commit: str, folder: str) -> list[Object]:
    """What a folder of a commit on the server builds to; nothing where it does not build."""
    bare = profile.root / "git" / "repositories" / f"{repository}.git"
    with tempfile.TemporaryDirectory() as tree:
        archive = subprocess.run(["git", "-C", str(bare), "archive", commit], capture_output=True, check=True).stdout
        subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
        return list(yaml.safe_load_all(run(profile, "kustomize", "build", str(Path(tree, folder))).stdout))


def get(profile: Profile, namespace: str, kind: str, name: str, group: str = "apps/v1") -> Object:
    """An object of the cluster, empty where there is none; `kind` is the plural."""
    base = "/api/v1" if group == "v1" else f"/apis/{group}"
    return cluster.kube(profile).get(f"{base}/namespaces/{namespace}/{kind}/{name}") or {}


def table(text: str) -> Object:
    """A YAML file that should hold a table; an empty one where it does not."""
    loaded = yaml.safe_load(text or "{}")
    return loaded if isinstance(loaded, dict) else {}


def image(deployment: Object) -> str:
    """The image of a Deployment's first container, without its registry; `absent` where there is no Deployment."""
    containers = deployment.get("spec", {}).get("template", {}).get("spec", {}).get("containers", [])
    return str(containers[0]["image"]).rsplit("/", 1)[-1] if containers else "absent"
