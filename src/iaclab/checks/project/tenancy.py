"""What is wrong with the fences between teams: every answer comes from the API servers, for a token's real holder."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from itertools import product

import httpx

from iaclab.checks.project import look
from iaclab.checks.project.spec import REGIONS, TEAMS, Region
from iaclab.errors import LabError
from iaclab.mlplatform.teams import SYSTEM
from iaclab.platform.kube import Kube
from iaclab.platform.profile import Profile

DEVELOPER = "developer"
_REVIEW = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_MINUTES = 10  # the shortest life of a token
_OWN = {"get pods": True, "get pods/log": True, "list apps/deployments": True, "get configmaps": True}
_NEVER = (
    "get secrets",
    "create pods",
    "create pods/exec",
    "delete pods",
    "update apps/deployments",
    "patch resourcequotas",
    "create rbac.authorization.k8s.io/rolebindings",
    "create serviceaccounts/token",
)
_FOREIGN = ("get pods", "get pods/log", "get secrets", "get configmaps", "create pods", "delete apps/deployments")
_EVERYWHERE = (
    "get secrets",
    "get pods",
    "delete namespaces",
    "delete nodes",
    "create rbac.authorization.k8s.io/clusterrolebindings",
)


def tenants(profile: Profile) -> Iterator[str]:
    """Developers look at their own namespace and nothing else; no account of a team reaches the other team."""
    for region, team in product(REGIONS, TEAMS):
        other = TEAMS[1 - TEAMS.index(team)]
        place = f"/namespaces/{team}/serviceaccounts/{DEVELOPER}"
        account = look.api(profile, region).get(f"/api/v1{place}")
        if account is None:
            yield f"{region.name} has no service account {DEVELOPER} in {team}"
            continue
        if not look.comes_from(account):
            yield f"the service account {DEVELOPER} of {team} in {region.name} does not come from Git"
        them = holder(profile, region, team, DEVELOPER)
        who = f"{team}'s developer in {region.name}"
        yield from _rights(them, who, team, _OWN | dict.fromkeys(_NEVER, False))
        yield from _rights(them, who, other, dict.fromkeys(_FOREIGN, False))
        yield from _rights(them, who, "", dict.fromkeys(_EVERYWHERE, False))
        yield from _requests(them, who, team, other)
        if (machine := _machine(profile, region, team)) is not None:
            yield from _rights(machine, f"{team}'s account in {region.name}", other, dict.fromkeys(_FOREIGN, False))


def holder(profile: Profile, region: Region, namespace: str, account: str) -> Kube:
    """The API of a region for whoever holds a fresh token of a service account.

    Raises:
        LabError: there is no such account.
    """
    api = look.api(profile, region)
    request = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenRequest",
        "spec": {"expirationSeconds": _MINUTES * 60},
    }
    token = api.ask(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", request)["status"]["token"]
    return api.as_holder_of(token)


def _machine(profile: Profile, region: Region, team: str) -> Kube | None:
    """The API for the account that Terraform has made for a team."""
    api = look.api(profile, region)
    secret = api.get(f"/api/v1/namespaces/{SYSTEM}/secrets/{team}") or {}
    token = base64.b64decode((secret.get("data") or {}).get("token", "")).decode()
    return api.as_holder_of(token) if token else None


def _rights(them: Kube, who: str, namespace: str, rights: dict[str, bool]) -> Iterator[str]:
    for right, wanted in rights.items():
        if _may(them, right, namespace) is not wanted:
            where = f"in {namespace}" if namespace else "in the whole cluster"
            yield f"{who} may {'not ' if wanted else ''}{right} {where}"


def _may(them: Kube, right: str, namespace: str) -> bool:
    """Whether a right, `verb [group/]resource[/subresource]`, is given in a namespace, or everywhere (empty)."""
    verb, _, what = right.partition(" ")
    group, resource = what.split("/", 1) if what.startswith(("apps/", "rbac.")) else ("", what)
    resource, _, below = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": resource, "subresource": below, "namespace": namespace}
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": asked},
    }
    return bool(them.ask(_REVIEW, review)["status"]["allowed"])


def _requests(them: Kube, who: str, team: str, other: str) -> Iterator[str]:
    """What becomes of real requests: the reviews above are only what the API server says it would do."""
    for path, wanted in (
        (f"/api/v1/namespaces/{team}/pods", True),
        (f"/api/v1/namespaces/{team}/secrets", False),
        (f"/api/v1/namespaces/{other}/pods", False),
        (f"/api/v1/namespaces/{other}/secrets", False),
        ("/api/v1/secrets", False),
    ):
        if _reads(them, path) is not wanted:
            yield f"{who} {'cannot read' if wanted else 'reads'} {path}"


def _reads(them: Kube, path: str) -> bool:
    try:
        return them.get(path) is not None
    except httpx.HTTPStatusError as error:
        if error.response.status_code == 403:
            return False
        raise LabError(f"{path} is answered with {error.response.status_code}") from None
