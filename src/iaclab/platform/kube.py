"""The few calls the platform itself makes to a Kubernetes API: ready, get, ask, apply, delete.

Over httpx, because importing the official client takes 0.7 s; lessons use the official client and kubectl.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import ssl
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml

from iaclab.errors import LabError

Manifest = dict[str, Any]
_DIGEST = "course.local/digest"  # annotation: what a CRD looked like when it was applied
_PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "StorageClass": "storageclasses"}
_CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "Namespace",
    "Node",
    "PriorityClass",
    "StorageClass",
    "ValidatingWebhookConfiguration",
}


class Kube:
    """A Kubernetes API, reached as the current context of a kubeconfig file says; threads may share it.

    Raises:
        LabError: on first use, where the file cannot be used or its user logs in by a command.
    """

    def __init__(self, kubeconfig: Path, token: str | None = None) -> None:
        self.kubeconfig = kubeconfig
        self._token = token  # of another user than the kubeconfig's

    def as_holder_of(self, token: str) -> Kube:
        """The same API, for whoever holds a bearer token."""
        return Kube(self.kubeconfig, token)

    @cached_property
    def _http(self) -> httpx.Client:
        try:
            config = yaml.safe_load(self.kubeconfig.read_text())
            context = _named(config["contexts"], config["current-context"])["context"]
            cluster = _named(config["clusters"], context["cluster"])["cluster"]
            user = _named(config["users"], context["user"])["user"] if context.get("user") else {}
            user = {"token": self._token} if self._token else user
            self._refuse_login_commands(user)
            return httpx.Client(
                base_url=cluster["server"],
                verify=self._verify(cluster, user),
                headers={"Authorization": f"Bearer {user['token']}"} if "token" in user else {},
                timeout=15,
                trust_env=False,
            )
        except (OSError, KeyError, TypeError, AttributeError, ValueError, yaml.YAMLError) as error:
            raise LabError(
                f"{self.kubeconfig} is not a usable kubeconfig.",
                why=f"{type(error).__name__}: {' '.join(str(error).split())[:200]}",
                mend=f"kubectl --kubeconfig {self.kubeconfig} version   # works when the file is right",
            ) from error

    def _refuse_login_commands(self, user: Manifest) -> None:
        if "exec" in user or "auth-provider" in user:
            raise LabError(
                f"The user of {self.kubeconfig} logs in by running a command.",
                why="The platform's services need a kubeconfig with a certificate or a token.",
                mend="kubectl create token NAME   # of a service account; put it into a kubeconfig",
            )

    def _verify(self, cluster: Manifest, user: Manifest) -> ssl.SSLContext | bool:
        if not str(cluster["server"]).startswith("https"):
            return False
        context = ssl.create_default_context(
            cafile=self._beside(cluster.get("certificate-authority")),
            cadata=_decode(cluster.get("certificate-authority-data")),
        )
        if cluster.get("insecure-skip-tls-verify"):
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.ExitStack() as held:
            cert = self._beside(user.get("client-certificate")) or _spill(held, user.get("client-certificate-data"))
            key = self._beside(user.get("client-key")) or _spill(held, user.get("client-key-data"))
            if cert:
                context.load_cert_chain(cert, key)
        return context

    def _beside(self, path: str | None) -> str | None:
        """A path in a kubeconfig is relative to the file."""
        return str(self.kubeconfig.parent / path) if path else None

    def ready(self) -> str | None:
        """`None` when the API server says that it is ready, otherwise why not."""
        try:
            answer = self._http.get("/readyz", timeout=2)
        except httpx.HTTPError as error:
            return f"the API server does not answer ({type(error).__name__})"
        return None if answer.status_code == 200 else f"/readyz says {answer.status_code}"

    def get(self, path: str) -> Manifest | None:
        """The object or list at an API path, `None` where there is none."""
        answer = self._http.get(path)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return dict(answer.json())

    def ask(self, path: str, request: Manifest) -> Manifest:
        """What the API makes of an object that is a question (a review, a token request, a dry run).

        Raises:
            LabError: it refuses; the text is the API's.
        """
        answer = self._http.post(path, json=request)
        if answer.status_code >= 300:
            raise LabError(words(answer))
        return dict(answer.json())

    def apply(self, manifests: Iterable[Manifest], namespace: str = "default") -> None:
        """Server-side apply: namespaces and CRDs first, then the rest side by side.

        A CRD that was applied before and has not changed is left alone: it is what costs the API server most.

        Raises:
            LabError: the API refuses an object, or does not answer.
        """
        try:
            self._apply([m for m in manifests if m], namespace)
        except httpx.HTTPError as error:
            raise LabError(
                "The API server does not answer while objects are applied.",
                why=f"{type(error).__name__}: {error}",
                mend="iaclab up cluster",
            ) from error

    def _apply(self, everything: list[Manifest], namespace: str) -> None:
        first = [m for m in everything if m["kind"] in ("Namespace", "CustomResourceDefinition")]
        rest = [m for m in everything if m not in first]
        with ThreadPoolExecutor(6) as pool:
            changed = [m for m, new in zip(first, pool.map(self._changed, first), strict=True) if new]
            list(pool.map(lambda m: self._apply_one(_with_digest(m), namespace), changed))
            for manifest in changed:
                if manifest["kind"] == "CustomResourceDefinition":
                    self._wait_served(manifest)
            list(pool.map(lambda m: self._apply_one(m, namespace), rest))

    def _changed(self, manifest: Manifest) -> bool:
        """Whether a CRD differs from the one applied last; other kinds always count as changed."""
        if manifest["kind"] != "CustomResourceDefinition":
            return True
        metadata_only = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
        answer = self._http.get(object_path(manifest, ""), headers={"Accept": metadata_only})
        annotations = answer.json()["metadata"].get("annotations", {}) if answer.status_code == 200 else {}
        return bool(annotations.get(_DIGEST) != _digest(manifest))

    def _wait_served(self, crd: Manifest, timeout: float = 60) -> None:
        """Until discovery lists the new kind: a client that starts earlier would miss it for many seconds."""
        group, plural = crd["spec"]["group"], crd["spec"]["names"]["plural"]
        path = f"/apis/{group}/{crd['spec']['versions'][0]['name']}"
        deadline = time.monotonic() + timeout
        while plural not in {r["name"] for r in (self.get(path) or {"resources": []})["resources"]}:
            if time.monotonic() > deadline:
                raise LabError(f"The API server does not serve {plural}.{group}.", mend="iaclab logs cluster")
            time.sleep(0.05)

    def _apply_one(self, manifest: Manifest, namespace: str) -> None:
        path = object_path(manifest, namespace)
        answer = self._http.patch(
            path,
            params={"fieldManager": "iaclab", "force": "true"},
            content=json.dumps(manifest),  # every JSON document is YAML, and writing it is much faster
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        if answer.status_code >= 300:
            raise LabError(
                f"{manifest['kind']} {manifest['metadata']['name']} was refused by the API server.",
                why=words(answer)[:300],
                mend="iaclab reset",
            )

    def objection(
        self, manifest: Manifest, namespace: str = "default", *, update: bool = False, keep: bool = False
    ) -> str | None:
        """Why the API would not take an object; `None` where it would. Nothing is changed unless it is to be kept.

        Args:
            update: it is merged into the one that is there, as `kubectl patch` does, in place of being made.
            keep: it is really made.
        """
        path = object_path(manifest, namespace)
        params = {} if keep else {"dryRun": "All"}
        if update:
            merge = {"Content-Type": "application/strategic-merge-patch+json"}
            answer = self._http.patch(path, json=manifest, params=params, headers=merge)
        else:
            answer = self._http.post(path.rpartition("/")[0], json=manifest, params=params)
        return words(answer) if answer.status_code >= 300 else None

    def create(self, path: str, body: Manifest) -> Manifest:
        """POST to an API path, such as a subresource that answers with what it makes."""
        answer = self._http.post(path, json=body)
        answer.raise_for_status()
        return dict(answer.json())

    def patch(self, path: str, change: Manifest) -> None:
        """Merge `change` into the object at an API path."""
        self._http.patch(path, json=change, headers={"Content-Type": "application/merge-patch+json"}).raise_for_status()

    def patch_status(self, path: str, status: Manifest) -> None:
        """Merge `status` into the status of the object at an API path."""
        self.patch(path + "/status", {"status": status})

    def delete(self, path: str) -> None:
        """Delete what is at an API path; nothing there is fine."""
        answer = self._http.delete(path)
        if answer.status_code not in (200, 202, 404):
            answer.raise_for_status()


def object_path(manifest: Manifest, namespace: str) -> str:
    """The API path of a manifest: `/apis/apps/v1/namespaces/x/deployments/y`."""
    version, kind = manifest["apiVersion"], manifest["kind"]
    base = f"/apis/{version}" if "/" in version else f"/api/{version}"
    if kind not in _CLUSTER_SCOPED:
        base += f"/namespaces/{manifest['metadata'].get('namespace', namespace)}"
    return f"{base}/{_PLURALS.get(kind, kind.lower() + 's')}/{manifest['metadata']['name']}"


def _with_digest(manifest: Manifest) -> Manifest:
    if manifest["kind"] != "CustomResourceDefinition":
        return manifest
    meta = manifest["metadata"]
    return {
        **manifest,
        "metadata": {**meta, "annotations": {**meta.get("annotations", {}), _DIGEST: _digest(manifest)}},
    }


def _digest(manifest: Manifest) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()[:16]


def words(answer: httpx.Response) -> str:
    """Why the API refuses, in its own words."""
    with contextlib.suppress(ValueError, AttributeError):
        return str(answer.json().get("message", answer.text))
    return answer.text


def _named(entries: list[Manifest], name: str) -> Manifest:
    for entry in entries:
        if entry["name"] == name:
            return entry
    raise KeyError(f"there is no entry '{name}'")


def _decode(data: str | None) -> str | None:
    return base64.b64decode(data).decode() if data else None


def _spill(held: contextlib.ExitStack, data: str | None) -> str | None:
    """A short-lived 0600 file: ssl reads certificates from files only."""
    if not data:
        return None
    file = held.enter_context(tempfile.NamedTemporaryFile())  # noqa: SIM115, closed by `held`
    file.write(base64.b64decode(data))
    file.flush()
    return file.name
