"""A controller's loop: watches the objects of one kind, and reconciles each one when it changes and when it is due."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx

from iaclab.errors import LabError
from iaclab.platform.flux.status import FOLDER, REQUESTED, WRITER, now
from iaclab.platform.kube import Kube

Manifest = dict[str, Any]
_PAUSE = 0.5  # seconds between two attempts to reach the API server
_BACKOFF, _BACKOFF_MOST = 0.75, 15.0  # seconds after the first failure, doubled each time; Flux waits up to 15 min
_API_ERRORS = (httpx.HTTPError, LabError, ValueError, KeyError)
log = logging.getLogger("flux")


class Cluster(Kube):
    """The Kubernetes API as a controller uses it."""

    def watch(self, path: str) -> Iterator[list[Manifest] | tuple[str, Manifest]]:
        """All objects at an API path as one list, then (`ADDED`, `MODIFIED` or `DELETED`, object) for each change."""
        listed = self._http.get(path).raise_for_status().json()
        yield listed["items"]
        params = {"watch": "1", "resourceVersion": listed["metadata"]["resourceVersion"]}
        with self._http.stream("GET", path, params=params, timeout=httpx.Timeout(10, read=None)) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                yield event["type"], event["object"]

    def write_status(self, path: str, status: Manifest) -> None:
        """Merge `status` into the object's; one that was deleted meanwhile is let go."""
        answer = self._http.patch(
            f"{path}/status",
            params={"fieldManager": WRITER},
            json={"status": status},
            headers={"Content-Type": "application/merge-patch+json"},
        )
        if answer.status_code != 404:
            answer.raise_for_status()

    def report(self, about: Manifest, kind: str, reason: str, message: str) -> None:
        """Make an Event (kind: Normal or Warning), which `kubectl events` and `kubectl describe` show."""
        meta, time_ = about["metadata"], now()
        involved = {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta["uid"],
        }
        event = {
            "metadata": {"generateName": f"{meta['name']}.", "namespace": meta["namespace"]},
            "involvedObject": involved,
            "type": kind,
            "reason": reason,
            "message": message[:1000],
            "source": {"component": WRITER},
            "reportingComponent": WRITER,
            "firstTimestamp": time_,
            "lastTimestamp": time_,
            "count": 1,
        }
        self._http.post(f"/api/v1/namespaces/{meta['namespace']}/events", json=event)


class Loop:
    """Reconciles the objects at an API path, one at a time each, several side by side.

    Args:
        reconcile: gets an object; returns the seconds until it is due again, `None` for not before it changes, and
            raises `Retry` to be called again soon, and later each time.
        changed: called with the object before (`None` for a new one) and after (`None` for one that is gone).
    """

    def __init__(
        self,
        cluster: Cluster,
        path: str,
        reconcile: Callable[[Manifest], float | None],
        changed: Callable[[Manifest | None, Manifest | None], None] = lambda before, after: None,
        workers: int = 4,
    ) -> None:
        self.cluster, self.path = cluster, path
        self.objects: dict[str, Manifest] = {}
        self.synced = threading.Event()  # the first list has come
        self._reconcile, self._changed, self._workers = reconcile, changed, workers
        self._due: dict[str, float] = {}  # by key: when, on the monotonic clock
        self._failures: dict[str, int] = {}
        self._busy: set[str] = set()
        self._news = threading.Condition()

    def start(self) -> None:
        """Start its threads; they end with the process."""
        threading.Thread(target=self._watch, daemon=True).start()
        for _ in range(self._workers):
            threading.Thread(target=self._work, daemon=True).start()

    def hurry(self, key: str) -> None:
        """Have the object `namespace/name` reconciled as soon as possible."""
        with self._news:
            self._due[key] = time.monotonic()
            self._news.notify()

    def _watch(self) -> None:
        while True:
            try:
                for event in self.cluster.watch(self.path):
                    if isinstance(event, list):
                        self._listed(event)
                    else:
                        self._note(event[1], gone=event[0] == "DELETED")
            except _API_ERRORS as error:
                log.warning("watching %s: %s", self.path, _words(error))
            time.sleep(_PAUSE)

    def _listed(self, items: list[Manifest]) -> None:
        there = {_key(item) for item in items}
        for key in [key for key in self.objects if key not in there]:
            self._note(self.objects[key], gone=True)
        for item in items:
            self._note(item)
        self.synced.set()

    def _note(self, item: Manifest, gone: bool = False) -> None:
        key = _key(item)
        before = self.objects.pop(key, None)
        if gone:
            with self._news:
                self._due.pop(key, None)
                self._failures.pop(key, None)
            self._changed(before, None)
            return
        self.objects[key] = item
        if before is None or _asks(before) != _asks(item):
            self._failures.pop(key, None)
            self.hurry(key)
        self._changed(before, item)

    def _work(self) -> None:
        while True:
            key = self._next()
            item = self.objects.get(key)
            wait = self._attempt(key, item) if item else None
            with self._news:
                self._busy.discard(key)
                if wait is not None and key in self.objects:
                    self._due.setdefault(key, time.monotonic() + wait)  # what came meanwhile is sooner
                self._news.notify()

    def _next(self) -> str:
        """The key that is due, waited for."""
        with self._news:
            while True:
                waiting = [(when, key) for key, when in self._due.items() if key not in self._busy]
                when, key = min(waiting, default=(float("inf"), ""))
                left = when - time.monotonic()
                if key and left <= 0:
                    del self._due[key]
                    self._busy.add(key)
                    return key
                self._news.wait(min(left, 3600))

    def _attempt(self, key: str, item: Manifest) -> float | None:
        try:
            wait = self._reconcile(item)
        except Retry:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            return min(_BACKOFF * 2.0 ** (failures - 1), _BACKOFF_MOST)
        except _API_ERRORS as error:
            log.warning("%s: %s", key, _words(error))
            return _BACKOFF
        except Exception:  # an error of ours must not end the worker
            log.exception("%s", key)
            return _BACKOFF_MOST
        self._failures.pop(key, None)
        return wait


class Retry(Exception):
    """An attempt failed, and its status says so."""


def _key(item: Manifest) -> str:
    return f"{item['metadata']['namespace']}/{item['metadata']['name']}"


def _asks(item: Manifest) -> tuple[Any, ...]:
    """What an object asks for: it changes with another one of the same name, another spec, another attempt."""
    meta = item["metadata"]
    annotations = meta.get("annotations", {})
    return meta["uid"], meta["generation"], annotations.get(REQUESTED), annotations.get(FOLDER)


def _words(error: Exception) -> str:
    lines = str(error).splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"


def on_each(items: list[Manifest], work: Callable[[Manifest], None]) -> None:
    """Do `work` for all items, some side by side."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, items))
