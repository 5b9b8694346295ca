"""What a source's status says: conditions in the words of source-controller, and one that says who wrote them."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

Manifest = dict[str, Any]
WRITER = "iaclab-source-publisher"  # the field manager, and the reporter of its events
REQUESTED = "reconcile.fluxcd.io/requestedAt"
FOLDER = "course.local/path"  # annotation of an ExternalArtifact: a folder of the repository; without it, everything


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended.

    Args:
        artifact: what the source has now, `None` where it has nothing.
        reason, message: of the condition Ready.
        failed: the condition that says so (FetchFailed …); empty after success.
        final: it fails again until the object is changed.
        observed: more fields of the status that hold after success.
    """

    artifact: Manifest | None
    reason: str
    message: str
    failed: str = ""
    final: bool = False
    observed: Manifest = field(default_factory=dict)


def after(source: Manifest, outcome: Outcome, stands_for: str) -> Manifest:
    """The status of `source` after an attempt. `stands_for`: whose work this is in Flux itself."""
    old = source.get("status", {})
    kinds: list[tuple[str, str, str, str]] = []
    if outcome.failed and not outcome.final:
        kinds.append(("Reconciling", "True", "ProgressingWithRetry", "the next attempt comes by itself"))
    if outcome.final:
        kinds.append(("Stalled", "True", outcome.reason, outcome.message))
    kinds.append(("Ready", "False" if outcome.failed else "True", outcome.reason, outcome.message))
    if outcome.failed:
        kinds.append((outcome.failed, "True", outcome.reason, outcome.message))
    if outcome.artifact:
        kinds.append(("ArtifactInStorage", "True", "Succeeded", stored(outcome.artifact)))
    kinds.append(
        (
            "SourceController",
            "False",
            "IaclabSourcePublisher",
            f"IaC Lab's source publisher writes this status, in place of {stands_for}",
        )
    )
    status: Manifest = {
        "artifact": outcome.artifact,
        "conditions": [_condition(source, *kind) for kind in kinds],
        **outcome.observed,
    }
    if not outcome.failed or outcome.final:
        status["observedGeneration"] = source["metadata"]["generation"]
    requested = source["metadata"].get("annotations", {}).get(REQUESTED)
    if requested and requested != old.get("lastHandledReconcileAt"):
        status["lastHandledReconcileAt"] = requested
    return status


def is_first_attempt(source: Manifest) -> bool:
    """Whether no condition speaks of the object as it is now."""
    conditions = source.get("status", {}).get("conditions", [])
    return all(c.get("observedGeneration") != source["metadata"]["generation"] for c in conditions)


def progressing(source: Manifest, message: str) -> Manifest:
    """The status while an artifact is made."""
    kept = [
        c
        for c in source.get("status", {}).get("conditions", [])
        if c["type"] in ("ArtifactInStorage", "SourceController")
    ]
    kinds = [("Reconciling", "True", "Progressing", message), ("Ready", "Unknown", "Progressing", message)]
    return {"conditions": [_condition(source, *kind) for kind in kinds] + kept}


def stored(artifact: Manifest) -> str:
    """The message of a source that is Ready."""
    return f"stored artifact for revision '{artifact['revision']}'"


def is_news(source: Manifest, status: Manifest) -> bool:
    """Whether a status differs from what the object has."""
    old = source.get("status", {})
    return any(old.get(key) != value for key, value in status.items())


def now() -> str:
    """The time as Kubernetes writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _condition(source: Manifest, kind: str, status: str, reason: str, message: str) -> Manifest:
    """A condition; its time is that of its last change."""
    new = {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "observedGeneration": source["metadata"]["generation"],
    }
    for old in source.get("status", {}).get("conditions", []):
        if all(old.get(key) == value for key, value in new.items() if key != "observedGeneration"):
            return {**new, "lastTransitionTime": old["lastTransitionTime"]}
    return {**new, "lastTransitionTime": now()}
