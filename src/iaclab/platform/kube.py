"""The few calls the platform itself makes to a Kubernetes API: ready, get, apply, delete.

Over httpx, because importing the official client takes 0.7 s; lessons use the official client and kubectl.
"""

from __future__ import annotations

import base64
import contextlib
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
_PLURALS = {"NetworkPolicy": "networkpolicies", "Ingress": "ingresses", "StorageClass": "storageclasses"}
_CLUSTER_SCOPED = {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "Node",
    "PriorityClass",
    "StorageClass",
}


class Kube:
    """A Kubernetes API, reached as the current context of a kubeconfig file says.

    Raises:
        LabError: the file cannot be read, or its user logs in by a command.
    """

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig

    @cached_property
    def _http(self) -> httpx.Client:
        try:
            config = yaml.safe_load(self.kubeconfig.read_text())
            context = _named(config["contexts"], config["current-context"])["context"]
            cluster = _named(config["clusters"], context["cluster"])["cluster"]
            user = _named(config["users"], context["user"])["user"]
        except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
            raise LabError(
                f"{self.kubeconfig} is not a usable kubeconfig.",
                why=f"{type(error).__name__}: {error}",
                mend="kubectl config view   # shows what is in it",
            ) from error
        if "exec" in user or "auth-provider" in user:
            raise LabError(
                f"The user of {self.kubeconfig} logs in by running a command.",
                why="The platform's services need a kubeconfig with a certificate or a token.",
                mend="kubectl create token NAME   # of a service account; put it into a kubeconfig",
            )
        verify: ssl.SSLContext | bool = not cluster.get("insecure-skip-tls-verify", False)
        if verify and str(cluster["server"]).startswith("https"):
            verify = ssl.create_default_context(
                cafile=cluster.get("certificate-authority"),
                cadata=_decode(cluster.get("certificate-authority-data")),
            )
            with contextlib.ExitStack() as held:
                cert = user.get("client-certificate") or _spill(held, user.get("client-certificate-data"))
                key = user.get("client-key") or _spill(held, user.get("client-key-data"))
                if cert:
                    verify.load_cert_chain(cert, key)
        headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        return httpx.Client(base_url=cluster["server"], verify=verify, headers=headers, timeout=15, trust_env=False)

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

    def apply(self, manifests: Iterable[Manifest], namespace: str = "default") -> None:
        """Server-side apply: namespaces and CRDs first, then the rest side by side.

        Raises:
            LabError: the API refuses an object.
        """
        everything = [m for m in manifests if m]
        first = [m for m in everything if m["kind"] in ("Namespace", "CustomResourceDefinition")]
        rest = [m for m in everything if m not in first]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda m: self._apply_one(m, namespace), first))
            for manifest in first:
                if manifest["kind"] == "CustomResourceDefinition":
                    self._wait_served(manifest)
            list(pool.map(lambda m: self._apply_one(m, namespace), rest))

    def _wait_served(self, crd: Manifest, timeout: float = 20) -> None:
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
            content=yaml.dump(manifest, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)),
            headers={"Content-Type": "application/apply-patch+yaml"},
        )
        if answer.status_code >= 300:
            raise LabError(
                f"{manifest['kind']} {manifest['metadata']['name']} was refused by the API server.",
                why=str(answer.json().get("message", answer.text))[:300],
                mend="iaclab reset",
            )

    def patch_status(self, path: str, status: Manifest) -> None:
        """Merge `status` into the status of the object at an API path."""
        self._http.patch(
            path + "/status",
            json={"status": status},
            headers={"Content-Type": "application/merge-patch+json"},
        ).raise_for_status()

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


def _named(entries: list[Manifest], name: str) -> Manifest:
    return next(entry for entry in entries if entry["name"] == name)


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
