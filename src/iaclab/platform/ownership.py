"""Whose things on an existing cluster are: nobody else's Argo CD, Flux or Argo Rollouts is touched.

A namespace carries the mark of the profile that made it, and a CRD the label of what manages it.
"""

from __future__ import annotations

import secrets
import threading
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile, write_private
from iaclab.platform.services import cluster

_MARK = "course.local/profile"  # an annotation
_MANAGED = "app.kubernetes.io/managed-by"  # a label
_marking = threading.Lock()  # services that start side by side have one mark


def mark(profile: Profile) -> dict[str, str]:
    """The annotation of a namespace that this profile makes; a hard reset keeps it."""
    path = profile.folder() / "owner"
    with _marking:
        if not path.exists():
            write_private(path, secrets.token_hex(8))
        return {_MARK: path.read_text()}


def label(manifest: dict[str, Any]) -> None:
    """Note in an object's labels that it is the course's."""
    manifest["metadata"].setdefault("labels", {})[_MANAGED] = "iaclab"


def refuse_what_is_not_ours(profile: Profile, title: str, crd: str, why: str, namespace: str = "") -> None:
    """On an existing cluster: leave alone what somebody else has installed there.

    Args:
        title: what is to be installed, Argo CD.
        crd: the name of one of its definitions.
        why: what would happen to the other one.
        namespace: where it is to be installed, if one of its own.

    Raises:
        LabError: it is there already.
    """
    if not cluster.external():
        return
    api = cluster.kube(profile)
    there = api.get(f"/api/v1/namespaces/{namespace}") if namespace else None
    defined = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{crd}")
    if there and mark(profile).items() - (there["metadata"].get("annotations") or {}).items():
        what = f"namespace {namespace}, which this profile did not make"
    elif defined and (defined["metadata"].get("labels") or {}).get(_MANAGED) != "iaclab":
        what = f"the CRDs of another {title}"
    else:
        return
    raise LabError(
        f"The existing cluster (IACLAB_KUBECONFIG) has {what}.",
        why=why,
        mend=f"unset IACLAB_KUBECONFIG   # or use a cluster without {title}",
    )
