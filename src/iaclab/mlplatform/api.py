"""The cluster's API as the platform's objects use it: lists, merge patches, evictions, and errors in words."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from urllib.parse import urlencode

import httpx

from iaclab.errors import LabError
from iaclab.platform.kube import Kube, Manifest, words

MANAGED_BY = {"app.kubernetes.io/managed-by": "mlplatform"}
DOMAIN = "mlplatform.course.local"
POLL = 0.05  # seconds
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Api(Kube):
    """A Kubernetes API with the further calls that teams and node pools need."""

    def items(self, path: str, **selectors: str) -> list[Manifest]:
        """The objects of a list: `items("/api/v1/nodes", labelSelector="a=b")`."""
        found = self.get(f"{path}?{urlencode(selectors)}") or {"items": []}
        return list(found["items"])

    def merge(self, path: str, change: Manifest) -> None:
        """JSON merge patch of the object at an API path; `None` removes a field. Nothing there is fine."""
        answer = self._http.patch(path, json=change, headers={"Content-Type": "application/merge-patch+json"})
        if answer.status_code != 404:
            answer.raise_for_status()

    def evict(self, namespace: str, name: str) -> str | None:
        """Ask for a pod's eviction; `None` when it is granted (or gone), else why it is not now."""
        answer = self._http.post(
            f"/api/v1/namespaces/{namespace}/pods/{name}/eviction",
            json={
                "apiVersion": "policy/v1",
                "kind": "Eviction",
                "metadata": {"name": name, "namespace": namespace},
            },
        )
        if answer.status_code == 429:  # a PodDisruptionBudget
            return str(answer.json()["message"])
        if answer.status_code == 403 and _ends_with_its_namespace(answer):
            return "ends with its namespace"
        if answer.status_code != 404:
            answer.raise_for_status()
        return None

    def version(self) -> str:
        """The version of the API server, `v1.37.2`."""
        return str((self.get("/version") or {})["gitVersion"])

    @property
    def server(self) -> str:
        """The API server's URL."""
        return str(self._http.base_url).rstrip("/")


def connect(kubeconfig: str | None = None) -> Api:
    """The cluster that `kubeconfig` (default: the variable KUBECONFIG) names; never one that nobody named.

    Raises:
        LabError: neither is set, or the file is not there.
    """
    path = kubeconfig or os.environ.get("KUBECONFIG")
    if not path or not Path(path).is_file():
        raise LabError(
            f"There is no kubeconfig {path}." if path else "No cluster is named.",
            why="KUBECONFIG must name the kubeconfig file of a running cluster.",
            mend='iaclab up cluster && eval "$(iaclab env)"',
        )
    return Api(Path(path))


def in_words(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn what goes wrong on the way to the API server into a LabError."""

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        try:
            return function(*args, **kwargs)
        except httpx.TransportError as error:
            raise LabError(
                "The cluster does not answer.",
                why=f"{type(error).__name__}: {error}",
                mend="iaclab up cluster",
            ) from error
        except httpx.HTTPStatusError as error:
            raise LabError(
                f"The API server refuses {error.request.method} {error.request.url.path}.",
                why=f"{error.response.status_code}: {words(error.response)[:400]}",
                mend="iaclab logs cluster",
            ) from error

    return wrapped


def _ends_with_its_namespace(answer: httpx.Response) -> bool:
    """Whether an eviction is refused because the pod's namespace is being deleted: nothing is made in it any more."""
    causes = (answer.json().get("details") or {}).get("causes") or []
    return any(cause.get("reason") == "NamespaceTerminating" for cause in causes)


def wait_until(done: Callable[[], str | None], timeout: float) -> str | None:
    """Ask until `done` has nothing left to say; returns its last word when `timeout` seconds are over."""
    deadline = time.monotonic() + timeout
    while (left := done()) is not None:
        if time.monotonic() > deadline:
            return left
        time.sleep(POLL)
    return None


def side_by_side(work: Callable[[Any], _T], items: list[Any]) -> list[_T]:
    """`work` on each item, six at a time; the first error is raised."""
    if not items:
        return []
    with ThreadPoolExecutor(6) as pool:
        return list(pool.map(work, items))


def own_labels(labels: dict[str, str] | None, expected: dict[str, str]) -> dict[str, str]:
    """The labels that count as the user's: those without a domain, and those that the user has set.

    Labels such as `kubernetes.io/hostname` belong to other programs and are no drift.
    """
    return {key: value for key, value in (labels or {}).items() if "/" not in key or key in expected}
