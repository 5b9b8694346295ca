"""GitRepositories and Kustomizations from the profile's own Git server, as the tests of Flux need them."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from running import kubectl, shell

from iaclab.platform.flux.install import LOGIN, NAMESPACE
from iaclab.platform.flux.status import REQUESTED
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, git

KINDS = {
    "Kustomization": ("kustomize.toolkit.fluxcd.io/v1", "kustomizations"),
    "GitRepository": ("source.toolkit.fluxcd.io/v1", "gitrepositories"),
    "HelmRelease": ("helm.toolkit.fluxcd.io/v2", "helmreleases"),
    "ExternalArtifact": ("source.toolkit.fluxcd.io/v1", "externalartifacts"),
}
SELDOM = "1h"  # an interval that no test waits for: what happens, happens because of something else


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def commit(profile: Profile, folder: Path, files: dict[str, str], repository: str, ref: str = "main") -> str:
    """Make `files` the whole content of a repository and push; returns the commit."""
    if not (folder / ".git").exists():
        folder.mkdir(parents=True, exist_ok=True)
        shell(profile, "git", "init", "-q", cwd=folder)
    shell(profile, "git", "rm", "-rqf", "--ignore-unmatch", ".", cwd=folder)
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shell(profile, "git", "add", "-A", cwd=folder)
    shell(profile, "git", "commit", "-q", "--allow-empty", "-m", f"change of {', '.join(files)}", cwd=folder)
    shell(profile, "git", "push", "-q", "-f", f"{git.url(profile)}/{repository}.git", f"HEAD:{ref}", cwd=folder)
    return shell(profile, "git", "rev-parse", "HEAD", cwd=folder).stdout.strip()


def manifests(*items: dict[str, Any]) -> str:
    return yaml.safe_dump_all(items)


def source(profile: Profile, name: str, **spec: Any) -> None:
    """A GitRepository of the repository of the same name."""
    given = {"url": f"{git.url(profile)}/{name}.git", "ref": {"branch": "main"}, "secretRef": {"name": LOGIN}}
    apply(profile, "GitRepository", name, {"interval": SELDOM, **given, **spec})


def kustomization(profile: Profile, name: str, namespace: str = "", **spec: Any) -> None:
    """A Kustomization of the GitRepository of the same name, into a namespace of its own."""
    namespace = namespace or name
    cluster.kube(profile).apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}}])
    given = {"sourceRef": {"kind": "GitRepository", "name": name}, "targetNamespace": namespace, "path": "./app"}
    apply(profile, "Kustomization", name, {"interval": SELDOM, "prune": True, "timeout": "20s", **given, **spec})


def apply(profile: Profile, kind: str, name: str, spec: dict[str, Any], **annotations: str) -> None:
    """`kubectl apply`; a field of `spec` that is None is left out."""
    metadata = {"name": name, "namespace": NAMESPACE, "annotations": annotations}
    given = {key: value for key, value in spec.items() if value is not None}
    text = json.dumps({"apiVersion": KINDS[kind][0], "kind": kind, "metadata": metadata, "spec": given})
    command = ["kubectl", "apply", "--server-side", "--force-conflicts", "-f", "-"]
    done = subprocess.run(command, env={**os.environ, **profile.env()}, input=text, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def path_of(kind: str, name: str) -> str:
    version, plural = KINDS[kind]
    return f"/apis/{version}/namespaces/{NAMESPACE}/{plural}/{name}"


def change(profile: Profile, kind: str, name: str, **spec: Any) -> None:
    cluster.kube(profile).patch(path_of(kind, name), {"spec": spec})


def request(profile: Profile, kind: str, name: str) -> str:
    """What `flux reconcile` does; returns the value of the annotation."""
    value = f"{time.time():.6f}"
    cluster.kube(profile).patch(path_of(kind, name), {"metadata": {"annotations": {REQUESTED: value}}})
    return value


def look(profile: Profile, kind: str, name: str) -> dict[str, Any]:
    return cluster.kube(profile).get(path_of(kind, name)) or {}


def handled(profile: Profile, kind: str, name: str) -> str:
    """The value of the last request that was dealt with."""
    return str(look(profile, kind, name).get("status", {}).get("lastHandledReconcileAt"))


def conditions(item: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {c["type"]: c for c in item.get("status", {}).get("conditions", [])}


def ready(item: dict[str, Any]) -> dict[str, Any]:
    """The condition Ready, if it speaks of the object as it is now."""
    condition = conditions(item).get("Ready", {})
    return condition if condition.get("observedGeneration") == item.get("metadata", {}).get("generation") else {}


def wait_applied(profile: Profile, name: str, commit: str, within: float = 180) -> float:
    """Until a Kustomization has applied a commit (or revision) and is Ready; returns the seconds that it took."""
    started, item = time.monotonic(), {}
    while time.monotonic() - started < within:
        item = look(profile, "Kustomization", name)
        applied = item.get("status", {}).get("lastAppliedRevision", "")
        if applied.endswith(commit) and ready(item).get("status") == "True":
            return time.monotonic() - started
        time.sleep(0.1)
    pytest.fail(f"{name} has not applied {commit} after {within} s, see `iaclab logs flux`: {item.get('status')}")


def wait_said(profile: Profile, kind: str, name: str, words: str, status: str = "False", within: float = 180) -> str:
    """Until an object's Ready has a status and a message with `words` in it; returns the message."""
    started, condition = time.monotonic(), {}
    while time.monotonic() - started < within:
        condition = ready(look(profile, kind, name))
        if condition.get("status") == status and words in condition["message"]:
            print(f"{kind} {name}: {condition['reason']}: {condition['message']}")
            return str(condition["message"])
        time.sleep(0.1)
    pytest.fail(f"{kind} {name} does not say '{words}' after {within} s: {condition}")


def events(profile: Profile, kind: str, name: str) -> str:
    return kubectl(profile, "events", "-n", NAMESPACE, "--for", f"{kind}/{name}")
