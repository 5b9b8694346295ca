"""What Flux has in its cluster: its namespace, its CRDs, and the login of the Git server. Applied on every start."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from iaclab.platform import manifests, ownership
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, git

NAMESPACE = "flux-system"
LOGIN = "git-server"  # the Secret that a GitRepository names in spec.secretRef
_LABELS = {"app.kubernetes.io/part-of": "flux", "app.kubernetes.io/instance": NAMESPACE}
# What a learner makes, those first whose finalizer another's controller still serves.
_OBJECTS = (
    "kustomize.toolkit.fluxcd.io/v1/kustomizations",
    "source.toolkit.fluxcd.io/v1/externalartifacts",
    "source.toolkit.fluxcd.io/v1/gitrepositories",
)


def apply(profile: Profile, crds: tuple[Path, ...]) -> None:
    """Write Flux's objects into the cluster. Idempotent.

    Args:
        crds: folders of YAML files.

    Raises:
        LabError: an existing cluster has a Flux that is not this profile's.
    """
    ownership.refuse_what_is_not_ours(
        profile, "Flux", "kustomizations.kustomize.toolkit.fluxcd.io", "Flux would be set up over it.", NAMESPACE
    )
    objects: list[dict[str, Any]] = [
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": NAMESPACE, "labels": _LABELS, "annotations": ownership.mark(profile)},
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": LOGIN, "namespace": NAMESPACE, "labels": _LABELS},
            "stringData": {"username": git.READER, "password": profile.secret("git-reader")},
        },
    ]
    definitions = [crd for folder in crds for crd in _definitions(folder)]
    cluster.kube(profile).apply([*objects, *definitions], namespace=NAMESPACE)


def clear(profile: Profile) -> None:
    """On an existing cluster: forget what was made; what Flux deployed stays where it is."""
    if not cluster.external():
        return  # the snapshot has brought it back
    api = cluster.kube(profile)
    for kind in _OBJECTS:
        group, _, plural = kind.rpartition("/")
        for item in (api.get(f"/apis/{kind}") or {"items": []})["items"]:
            path = f"/apis/{group}/namespaces/{item['metadata']['namespace']}/{plural}/{item['metadata']['name']}"
            if item["metadata"].get("finalizers"):  # they would delete what was deployed
                api.patch(path, {"metadata": {"finalizers": None}})
            api.delete(path)


def _definitions(folder: Path) -> list[dict[str, Any]]:
    """The CRDs in a folder."""
    texts = [file.read_text() for file in sorted(folder.glob("*.yaml"))]
    digest = hashlib.sha256("".join(texts).encode()).hexdigest()[:16]
    return manifests.kept(f"{folder.parent.name}-{folder.name}-{digest}", lambda: _labelled(texts))


def _labelled(texts: list[str]) -> list[dict[str, Any]]:
    found = [crd for text in texts for crd in manifests.documents(text)]
    for crd in found:
        ownership.label(crd)
        crd["metadata"]["labels"] |= _LABELS
    return found
