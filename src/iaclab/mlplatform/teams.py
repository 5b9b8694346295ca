"""A team's share of the cluster: namespaces with quotas and container defaults, and an account that may use them."""

from __future__ import annotations

import base64
import functools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from iaclab.errors import LabError
from iaclab.mlplatform.api import DOMAIN, MANAGED_BY, Api, in_words, own_labels, side_by_side, wait_until
from iaclab.mlplatform.quantity import quantity
from iaclab.platform.kube import Manifest

TEAM_LABEL = f"{DOMAIN}/team"
SYSTEM = "mlplatform-system"  # the accounts of all teams; stays when a team goes
QUOTA, DEFAULTS, ACCESS = "team-quota", "container-defaults", "team-access"
_HARD = {"gpu_quota": "requests.nvidia.com/gpu", "cpu_quota": "requests.cpu", "memory_quota": "requests.memory"}


@dataclass(frozen=True)
class Team:
    """What a team is given.

    Args:
        name: a DNS label.
        namespaces: their names in the cluster, in any order.
        gpu_quota: GPUs that the pods of one namespace may request together; `None` is no limit, 0 is none at all.
        cpu_quota, memory_quota: the same, as Kubernetes quantities (`64`, `256Gi`).
        container_cpu, container_memory: requests of containers that name none themselves.
        labels: of each namespace.
        alike: as read, whether all its namespaces have the same settings; otherwise those of one are reported.
    """

    name: str
    namespaces: frozenset[str]
    gpu_quota: int | None = None
    cpu_quota: str | None = None
    memory_quota: str | None = None
    container_cpu: str | None = "500m"
    container_memory: str | None = "1Gi"
    labels: dict[str, str] = field(default_factory=dict)
    alike: bool = True


@dataclass(frozen=True)
class Account:
    """How a team logs in: a service account that may edit the team's namespaces."""

    name: str
    token: str
    kubeconfig: str


@in_words
def put(api: Api, team: Team, timeout: float = 60) -> None:
    """Make the cluster hold exactly this team; idempotent. Namespaces that it no longer has are deleted.

    Raises:
        LabError: a namespace belongs to somebody else, the API refuses, or a namespace does not go in time.
    """
    refuse_foreign(api, team)
    gone = {_name(n) for n in _namespaces(api, team.name)} - team.namespaces
    names = sorted(team.namespaces)
    _wait_gone(api, [n for n in names if _ending(api, n)], timeout)
    system = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SYSTEM, "labels": dict(MANAGED_BY)}}
    api.apply([system, *(_namespace(name, team) for name in names)])
    side_by_side(lambda name: _remove_stale_labels(api, name, team), names)
    service_account, token = _account(team.name)
    api.apply([service_account, *(manifest for name in names for manifest in _contents(name, team))])
    api.apply([token])  # after its account: a token without one is deleted by the controller
    _delete_namespaces(api, sorted(gone), timeout)
    if wait_until(lambda: None if account(api, team.name) else "no token", timeout):
        raise LabError(
            f"The account of team {team.name} has no token after {timeout:.0f} s.",
            why="The cluster's controllers make it.",
            mend="iaclab logs cluster",
        )


@in_words
def refuse_foreign(api: Api, team: Team) -> None:
    """Raise a LabError where a namespace is there already and is not this team's."""
    for name in sorted(team.namespaces):
        there = api.get(f"/api/v1/namespaces/{name}")
        owner = None if there is None else there["metadata"].get("labels", {}).get(TEAM_LABEL)
        if there is not None and owner != team.name:
            raise LabError(
                f"The namespace {name} exists already.",
                why=f"It belongs to team {owner}." if owner else "It was not made for a team.",
                mend=f"kubectl get namespace {name} --show-labels   # then choose another name, or delete it",
            )


@in_words
def get(api: Api, name: str, expected: Team | None = None) -> Team | None:
    """The team as the cluster holds it, `None` where it has no namespace.

    Args:
        expected: what it should be. Where namespaces differ from each other, the first that differs from this is
            reported; a quantity of equal value is reported as written here.
    """
    found = _namespaces(api, name)
    if not found:
        return None
    expected = expected or Team(name, frozenset(), container_cpu=None, container_memory=None)
    each = side_by_side(lambda n: _read_one(api, n, expected), found)
    wanted = _settings(expected)
    odd = next((settings for settings in each if settings != wanted), each[0])
    alike = all(settings == odd for settings in each)
    return Team(name=name, namespaces=frozenset(_name(n) for n in found), **odd, alike=alike)


@in_words
def delete(api: Api, name: str, timeout: float = 60) -> None:
    """Delete the team's namespaces, with everything in them, and its account; returns when they are gone.

    Raises:
        LabError: a namespace is still there after `timeout` seconds; the text says what holds it.
    """
    _delete_namespaces(api, [_name(n) for n in _namespaces(api, name)], timeout)
    api.delete(f"/api/v1/namespaces/{SYSTEM}/secrets/{name}")
    api.delete(f"/api/v1/namespaces/{SYSTEM}/serviceaccounts/{name}")


@in_words
def account(api: Api, name: str) -> Account | None:
    """The team's account, `None` where it is gone or has no token yet."""
    secret = api.get(f"/api/v1/namespaces/{SYSTEM}/secrets/{name}")
    data = (secret or {}).get("data") or {}
    if "token" not in data:
        return None
    token = base64.b64decode(data["token"]).decode()
    first = min((_name(n) for n in _namespaces(api, name)), default="default")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "mlplatform", "cluster": {"server": api.server, "certificate-authority-data": data["ca.crt"]}}
        ],
        "users": [{"name": name, "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": "mlplatform", "user": name, "namespace": first}}],
        "current-context": name,
    }
    return Account(name, token, yaml.safe_dump(config, sort_keys=False))


# --- objects -------------------------------------------------------------------------------------------


def _namespace(name: str, team: Team) -> Manifest:
    labels = {**team.labels, **MANAGED_BY, TEAM_LABEL: team.name}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def _contents(namespace: str, team: Team) -> Iterator[Manifest]:
    hard = {key: str(getattr(team, name)) for name, key in _HARD.items() if getattr(team, name) is not None}
    yield _object("v1", "ResourceQuota", namespace, QUOTA, spec={"hard": hard})
    requests = {"cpu": team.container_cpu, "memory": team.container_memory}
    limits = [{"type": "Container", "defaultRequest": {k: v for k, v in requests.items() if v}}]
    yield _object("v1", "LimitRange", namespace, DEFAULTS, spec={"limits": limits})
    yield _object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        namespace,
        ACCESS,
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        subjects=[{"kind": "ServiceAccount", "name": team.name, "namespace": SYSTEM}],
    )


def _account(team: str) -> tuple[Manifest, Manifest]:
    token = _object("v1", "Secret", SYSTEM, team, type="kubernetes.io/service-account-token")
    token["metadata"]["annotations"] = {"kubernetes.io/service-account.name": team}
    return _object("v1", "ServiceAccount", SYSTEM, team), token


def _object(version: str, kind: str, namespace: str, name: str, **rest: Any) -> Manifest:
    metadata = {"name": name, "namespace": namespace, "labels": dict(MANAGED_BY)}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **rest}


def _remove_stale_labels(api: Api, name: str, team: Team) -> None:
    there = (api.get(f"/api/v1/namespaces/{name}") or {"metadata": {}})["metadata"].get("labels", {})
    stale = set(own_labels(there, team.labels)) - set(team.labels)
    if stale:
        api.merge(f"/api/v1/namespaces/{name}", {"metadata": {"labels": dict.fromkeys(stale)}})


# --- reading -------------------------------------------------------------------------------------------


def _namespaces(api: Api, team: str) -> list[Manifest]:
    found = api.items("/api/v1/namespaces", labelSelector=f"{TEAM_LABEL}={team}")
    return [n for n in found if "deletionTimestamp" not in n["metadata"]]


def _name(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def _settings(team: Team) -> dict[str, Any]:
    names = (*_HARD, "container_cpu", "container_memory", "labels")
    return {name: getattr(team, name) for name in names}


def _read_one(api: Api, namespace: Manifest, expected: Team) -> dict[str, Any]:
    path = f"/api/v1/namespaces/{_name(namespace)}"
    quota = api.get(f"{path}/resourcequotas/{QUOTA}") or {}
    hard = quota.get("spec", {}).get("hard", {})
    limits = (api.get(f"{path}/limitranges/{DEFAULTS}") or {}).get("spec", {}).get("limits", [])
    request: dict[str, str] = next((x.get("defaultRequest", {}) for x in limits if x["type"] == "Container"), {})
    as_written = functools.partial(_as_written, expected)
    return {
        "gpu_quota": int(quantity(hard[_HARD["gpu_quota"]])) if _HARD["gpu_quota"] in hard else None,
        "cpu_quota": as_written("cpu_quota", hard.get(_HARD["cpu_quota"])),
        "memory_quota": as_written("memory_quota", hard.get(_HARD["memory_quota"])),
        "container_cpu": as_written("container_cpu", request.get("cpu")),
        "container_memory": as_written("container_memory", request.get("memory")),
        "labels": own_labels(namespace["metadata"].get("labels"), expected.labels),
    }


def _as_written(expected: Team, name: str, there: str | None) -> str | None:
    """The quantity as the team's owner writes it where its value is the same: the API server rewrites `1000m`."""
    wanted: str | None = getattr(expected, name)
    same = wanted is not None and there is not None and quantity(wanted) == quantity(there)
    return wanted if same else there


# --- deleting ------------------------------------------------------------------------------------------


def _delete_namespaces(api: Api, names: list[str], timeout: float) -> None:
    side_by_side(lambda name: api.delete(f"/api/v1/namespaces/{name}"), names)
    _wait_gone(api, names, timeout)


def _wait_gone(api: Api, names: list[str], timeout: float) -> None:
    held = wait_until(lambda: next(filter(None, (_still_there(api, name) for name in names)), None), timeout)
    if held:
        raise LabError(
            f"A namespace is still there after {timeout:.0f} s.",
            why=held,
            mend='kubectl get all -A   # find what holds it; a longer time: timeouts { delete = "5m" }',
        )


def _ending(api: Api, name: str) -> bool:
    there = api.get(f"/api/v1/namespaces/{name}")
    return there is not None and "deletionTimestamp" in there["metadata"]


def _still_there(api: Api, name: str) -> str | None:
    there = api.get(f"/api/v1/namespaces/{name}")
    if there is None:
        return None
    conditions = there.get("status", {}).get("conditions", [])
    why = [c["message"] for c in conditions if c["status"] == "True"]
    return f"{name}: " + ("; ".join(why) or "its contents are being deleted")
