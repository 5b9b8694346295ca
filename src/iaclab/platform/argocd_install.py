"""What Argo CD has in its cluster: CRDs, ConfigMaps, Secrets, its namespace. Applied on every start."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import bcrypt

from iaclab import tools
from iaclab.platform import manifests, ownership
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.services import cluster, git

NAMESPACE = "argocd"
RECONCILE = "60s"  # how often Argo CD asks Git by itself; a webhook makes it ask at once
_IN_CLUSTER = ("ConfigMap", "CustomResourceDefinition", "Role", "RoleBinding", "Secret", "ServiceAccount")


@cache
def _upstream(folder: Path) -> list[dict[str, Any]]:
    """The objects of Argo CD's own installation that belong into the cluster here too."""
    return manifests.kept(f"argocd-{folder.name}-trimmed", lambda: _trimmed((folder / "install.yaml").read_text()))


def _trimmed(text: str) -> list[dict[str, Any]]:
    skipped = ("argocd-cm", "argocd-secret")
    objects = [
        item
        for item in manifests.documents(text)
        if item["kind"] in _IN_CLUSTER and item["metadata"]["name"] not in skipped
    ]
    for manifest in objects:
        ownership.label(manifest)
        if manifest["metadata"]["name"] == "applicationsets.argoproj.io":
            _trim(manifest)
    return objects


def _trim(crd: dict[str, Any]) -> None:
    """Leave checking the generators inside `matrix` and `merge` to the ApplicationSet controller, which does it anyway.

    Their schema repeats that of all generators twice: 85 MB and 2 CPU seconds of every API server.
    """
    for version in crd["spec"]["versions"]:
        spec = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
        for name in ("matrix", "merge"):
            nested = spec["properties"]["generators"]["items"]["properties"][name]["properties"]["generators"]
            nested["items"] = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}


def apply(profile: Profile, url: str) -> None:
    """Write Argo CD's objects into the cluster; `url` is the address of its API server. Idempotent.

    Raises:
        LabError: an existing cluster has an Argo CD that is not this profile's.
    """
    folder = tools.ensure("argocd-manifests")["argocd-manifests"]
    cert, key = profile.certificate("argocd-server", HOST, "localhost")
    ownership.refuse_what_is_not_ours(
        profile, "Argo CD", "applications.argoproj.io", "Argo CD would be set up over it.", NAMESPACE
    )
    labels = {"app.kubernetes.io/part-of": "argocd"}
    meta = {"namespace": NAMESPACE, "labels": labels}
    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "annotations": ownership.mark(profile)},
        },
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**meta, "name": "argocd-cm"},
            "data": {
                "url": url,
                "timeout.reconciliation": RECONCILE,
                "users.session.duration": "720h",  # a login outlives the time between two lessons
                "accounts.data-scientist": "login, apiKey",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**meta, "name": "argocd-secret"},
            "stringData": {
                "admin.password": _password_hash(profile),
                "admin.passwordMtime": "2026-01-01T00:00:00Z",
                "server.secretkey": profile.secret("argocd-signing"),
                "webhook.github.secret": profile.secret("argocd-webhook"),
                "tls.crt": cert.read_text(),
                "tls.key": key.read_text(),
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                **meta,
                "name": "git-server",
                "labels": {**labels, "argocd.argoproj.io/secret-type": "repo-creds"},
            },
            "stringData": {
                "type": "git",
                "url": git.url(profile),
                "username": git.READER,
                "password": profile.secret("git-reader"),
            },
        },
    ]
    cluster.kube(profile).apply([*objects, *_upstream(folder)], namespace=NAMESPACE)


def clear(profile: Profile) -> None:
    """On an existing cluster: forget what was made in Argo CD's namespace; what it deployed stays where it is."""
    if not cluster.external():
        return  # the snapshot has brought it back
    api = cluster.kube(profile)
    for plural in ("applicationsets", "applications", "appprojects"):
        base = f"/apis/argoproj.io/v1alpha1/namespaces/{NAMESPACE}/{plural}"
        for item in (api.get(base) or {"items": []})["items"]:
            path = f"{base}/{item['metadata']['name']}"
            if item["metadata"].get("finalizers"):  # they would delete what was deployed
                api.patch(path, {"metadata": {"finalizers": None}})
            if not path.endswith("/appprojects/default"):
                api.delete(path)


def _password_hash(profile: Profile) -> str:
    """The bcrypt hash of the admin password, kept, so that an unchanged password keeps sessions valid."""
    path = profile.folder("secrets") / "argocd-admin.bcrypt"
    if not path.exists():
        hashed = bcrypt.hashpw(profile.secret("argocd-admin").encode(), bcrypt.gensalt(rounds=8))
        write_private(path, hashed.decode())
    return path.read_text()
