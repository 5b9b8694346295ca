"""A check that waits while Argo CD or Argo Rollouts are at work, and no longer."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import httpx

from iaclab.checks.lab2 import look
from iaclab.checks.lab2.spec import TEAMS
from iaclab.checks.record import Check, Result
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import git

Hints = tuple[str, str, str]
Problems = Callable[[Profile], Iterable[str]]
_MOST = 3  # problems that are told at once
_POLL = 0.3
_QUIET = 0.8  # seconds that nothing must happen once something did
_PATIENCE = 1  # seconds that a learner waits without a word
_given_up: dict[Path, str] = {}  # what a profile was busy with when waiting for it was given up


@dataclass(frozen=True)
class Settled(Check):
    """A check whose probe looks once, when nothing is under way any more; `within` is the longest wait for that.

    What is still the same work as when another check gave up on it is not waited for again.
    """

    def run(self, profile: Profile, attempt: int = 1, tell: Callable[[str], None] | None = None) -> Result:
        """As `Check.run`, after the work has settled."""
        if self.within:
            with contextlib.suppress(httpx.HTTPError, LabError):  # a platform that is down is told by the probe
                wait(profile, self.within, tell)
        return Check.run(replace(self, within=0), profile, attempt, tell)


def record(
    points: int,
    title: str,
    problems: Problems,
    hints: Hints,
    needs: tuple[str, ...] = ("argocd",),
    within: float = 15,
) -> Check:
    """A check that passes when `problems` finds none, once nothing is under way any more."""
    return Settled(
        title=title,
        probe=lambda profile: list(islice(problems(profile), _MOST)),
        expect=lambda seen: seen == [],
        hints=hints,
        within=within,
        points=points,
        needs=needs,
    )


def wait(profile: Profile, patience: float, tell: Callable[[str], None] | None = None) -> None:
    """Until Argo CD has seen every push and brought it out, or failed to."""
    started, busy = time.monotonic(), work(profile)
    if not busy or _given_up.get(profile.root) == _matter(profile, busy):
        return
    quiet = started
    while time.monotonic() - started < patience:
        if tell and time.monotonic() - started > _PATIENCE:
            tell(f"{busy}; waiting for up to {patience:.0f} s …")
            tell = None
        time.sleep(_POLL)
        if now := work(profile):
            busy, quiet = now, time.monotonic()
        elif time.monotonic() - quiet > _QUIET:
            _given_up.pop(profile.root, None)
            return
    _given_up[profile.root] = _matter(profile, busy)


def _matter(profile: Profile, busy: str) -> str:
    """Which Application is at work, and with which commits: a push makes it another matter."""
    heads = [str(git.head(profile, name)) for name in ("platform", *TEAMS)]
    return " ".join([busy.split(" ", 1)[0], *heads])


def work(profile: Profile) -> str:
    """What Argo CD or Argo Rollouts are doing at the moment; empty where nothing is under way."""
    heads: dict[str, str | None] = {}
    base = git.url(profile)
    for name, app in look.applications(profile).items():
        status = app.get("status", {})
        if "operation" in app or status.get("operationState", {}).get("phase") == "Running":
            return f"{name} is being synced"
        if "argocd.argoproj.io/refresh" in look.marks(app) or "sync" not in status:
            return f"{name} is being compared"
        if status.get("health", {}).get("status") == "Progressing":
            return f"{name} is progressing"
        if _is_next(app):
            return f"{name} is about to be synced"
        if any(condition["type"].endswith("Error") for condition in status.get("conditions") or []):
            continue  # it has said what it can say
        for source in look.sources(app)[:1]:
            repository = str(source["repoURL"]).removeprefix(f"{base}/").removesuffix(".git")
            if source.get("targetRevision") not in ("main", "HEAD", None) or "/" in repository:
                continue
            if repository not in heads:
                heads[repository] = git.head(profile, repository)
            if heads[repository] not in (None, _revisions(status["sync"])[0]):
                return f"{name} has not seen the newest commit"
    return ""


def _is_next(app: look.Object) -> bool:
    """Whether a sync of a commit that has not been tried yet will begin by itself."""
    status = app["status"]
    tried = _revisions(status.get("operationState", {}).get("syncResult", {}))
    waits = status["sync"]["status"] == "OutOfSync" and tried != _revisions(status["sync"])
    return waits and look.automated(app) is not None


def _revisions(found: look.Object) -> list[str]:
    """The commits of an Application with one source or several."""
    return list(found.get("revisions") or [found.get("revision") or ""])
