"""What projects allow and tokens may do: Argo CD itself is asked, with Applications and with the tokens."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import quote

import httpx

from iaclab.checks import private
from iaclab.checks.lab2 import look
from iaclab.checks.lab2.look import Object
from iaclab.checks.lab2.spec import FIRST, TEAMS
from iaclab.platform.profile import Profile
from iaclab.platform.services import argocd, cluster

_IN_CLUSTER = "https://kubernetes.default.svc"
_BOUNDS = ("ResourceQuota", "LimitRange")


def projects(profile: Profile) -> Iterator[str]:
    """What the three projects let through, or refuse wrongly."""
    specs = {name: look.project(profile, name) for name in ("platform", *TEAMS)}
    with argocd.client(profile) as http:
        for team in TEAMS:
            other = TEAMS[1 - TEAMS.index(team)]
            own = f"{team}-dev"
            for repository, namespace in ((team, own), (team, f"{team}-prod")):
                if why := refusal(profile, http, team, repository, namespace):
                    yield f"{team} cannot deploy {repository}.git into {namespace}: {why}"
            for repository, namespace in (
                (team, f"{other}-dev"),
                (team, "argocd"),
                (team, "kube-system"),
                (other, own),
                ("platform", own),
            ):
                if not refusal(profile, http, team, repository, namespace):
                    yield f"{team} may deploy {repository}.git into {namespace}"
        if why := refusal(profile, http, "platform", "platform", "argocd"):
            yield f"platform cannot deploy platform.git into argocd: {why}"
        if not refusal(profile, http, "platform", "fraud", "argocd"):
            yield "platform may deploy fraud.git"
    for team in TEAMS:
        if kinds := specs[team].get("clusterResourceWhitelist"):
            yield f"{team} may deploy cluster-scoped objects: {kinds[0].get('kind')}"
        for kind in _BOUNDS:
            if lets(specs[team], "", kind):
                yield f"{team} may deploy a {kind}"


def refusal(
    profile: Profile, http: httpx.Client, project: str, repository: str, namespace: str, server: str = _IN_CLUSTER
) -> str | None:
    """Why Argo CD does not take an Application; `None` where it does. It is gone at once, and has deployed nothing."""
    name = f"check-{secrets.token_hex(4)}"
    source = {"repoURL": look.repository_url(profile, repository), "targetRevision": "main", "path": "."}
    spec = {"project": project, "source": source, "destination": {"server": server, "namespace": namespace}}
    manifest = {"metadata": {"name": name, "namespace": "argocd"}, "spec": spec}
    answer = http.post("/api/v1/applications", params={"validate": "false"}, json=manifest)
    if answer.status_code == 200:
        cluster.kube(profile).delete(f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{name}")
        return None
    return str(answer.json().get("message", answer.status_code)).rsplit("InvalidSpecError: ", 1)[-1]


def lets(spec: Object, group: str, kind: str) -> bool:
    """Whether a project lets a kind into a namespace; the core group is empty."""

    def named(entries: list[Object]) -> bool:
        return any(fnmatchcase(group, e.get("group", "")) and fnmatchcase(kind, e.get("kind", "")) for e in entries)

    only = spec.get("namespaceResourceWhitelist")
    return (not only or named(only)) and not named(spec.get("namespaceResourceBlacklist") or [])


def tokens(profile: Profile) -> Iterator[str]:
    """What the teams' tokens may not do and should, or do and should not."""
    with ExitStack() as opened:
        admin = opened.enter_context(argocd.client(profile))
        for team in TEAMS:
            other = TEAMS[1 - TEAMS.index(team)]
            login = {"Authorization": f"Bearer {token(team)}"}
            who = admin.get("/api/v1/session/userinfo", headers=login)
            if who.status_code != 200 or not who.json().get("loggedIn"):
                yield f"Argo CD does not know the token in tokens/{team}"
                continue
            for right, wanted in _rights(team, other).items():
                if _may(admin, login, right) is not wanted:
                    yield f"the token of {team} may{'' if not wanted else ' not'}: {right.replace('/', ' ', 2)}"
            seen = admin.get("/api/v1/applications", headers=login).json().get("items") or []
            if foreign := [a["metadata"]["name"] for a in seen if a["spec"]["project"] != team]:
                yield f"the token of {team} sees {foreign[0]}"


def token(team: str) -> str:
    """The token of a team.

    Raises:
        LabError: its file is not there, is not for its owner alone, or holds no token.
    """
    return private.word(Path("tokens") / team, "token")


def _rights(team: str, other: str) -> dict[str, bool]:
    """Requests as Argo CD's RBAC writes them (resource/action/object), and whether the team's token may make them."""
    own = [f"{team}/{environment.namespace(team)}" for environment in FIRST]
    foreign = [f"{other}/{environment.namespace(other)}" for environment in FIRST]
    rights = {f"applications/{action}/{name}": True for name in own for action in ("get", "sync")}
    rights |= {f"applications/{action}/{name}": False for name in own for action in ("delete", "override", "update")}
    rights |= {f"applications/{action}/{name}": False for name in foreign for action in ("get", "sync", "delete")}
    never = [
        f"applications/create/{team}/{team}-new",
        f"applicationsets/create/{team}/{team}",
        f"projects/update/{team}",
    ]
    never += [f"repositories/create/{team}/x", f"clusters/update/{_IN_CLUSTER}", "accounts/update/admin"]
    return rights | dict.fromkeys(never, False)


def _may(http: httpx.Client, login: dict[str, str], right: str) -> bool:
    resource, action, name = right.split("/", 2)
    path = f"/api/v1/account/can-i/{resource}/{action}/{name if '://' not in name else quote(name, safe='')}"
    return bool(http.get(path, headers=login).json().get("value") == "yes")


def acts(profile: Profile) -> Iterator[str]:
    """What the tokens can really do to the other team and to the fences: each request must be answered with 403."""
    with argocd.client(profile) as http:
        for team in TEAMS:
            other = TEAMS[1 - TEAMS.index(team)]
            login = {"Authorization": f"Bearer {token(team)}"}
            target = f"/api/v1/applications/{other}-prod"
            fence = http.get(f"/api/v1/projects/{team}").json()
            for what, answer in {
                f"read {other}-prod": http.get(target, headers=login),
                f"sync {other}-prod": http.post(f"{target}/sync", json={"dryRun": True}, headers=login),
                f"read the manifests of {other}-prod": http.get(f"{target}/manifests", headers=login),
                "change its own project": http.put(f"/api/v1/projects/{team}", json={"project": fence}, headers=login),
            }.items():
                if answer.status_code != 403:
                    yield f"the token of {team} can {what} ({answer.status_code})"
