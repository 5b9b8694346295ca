"""The rules at the API server: good and bad objects are sent as a dry run, into namespaces that come and go with it."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Callable, Iterator
from typing import Any

from iaclab.checks.lab3.cases import Case, Cases, with_digests
from iaclab.checks.lab3.proof import Proof
from iaclab.platform.kube import Kube
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster

Object = dict[str, Any]
Make = Callable[[str, Object], Object]  # from a name and what a case says of an object
POLICY = "ValidatingAdmissionPolicy"  # how the API server says who refused
GATEKEEPER = 'admission webhook "validation.gatekeeper.sh" denied'
_PATIENCE, _POLL = 6, 0.3  # seconds
LEGACY = "legacy"  # the Deployment that is there before the rule
_NAMESPACES = {"ml": {"platform": "ml"}, "sandbox": {"platform": "ml", "stage": "sandbox"}, "other": {}}


def images(profile: Profile, table: Object, *, wait: bool = True) -> Proof:
    """Which pods a ValidatingAdmissionPolicy refuses; by default one that was applied just now gets some seconds."""
    bindings = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
    api = cluster.kube(profile)
    return _proof(api, table, _pod, POLICY, wait and bool((api.get(bindings) or {}).get("items")))


def model_cards(profile: Profile, table: Object, *, wait: bool = True) -> Proof:
    """Which Deployments Gatekeeper refuses; `wait` as in `images`."""
    api = cluster.kube(profile)
    return _proof(api, table, _deployment, GATEKEEPER, wait and any(_constraints(api)))


def audited(profile: Profile) -> list[str]:
    """The constraints whose audit names the Deployment that was there before."""
    found = []
    for item in _constraints(cluster.kube(profile)):
        violations = item.get("status", {}).get("violations") or []
        named = {(v.get("kind"), v.get("name")) for v in violations if v.get("enforcementAction") == "deny"}
        if ("Deployment", LEGACY) in named:
            found.append(f"{item['kind']} {item['metadata']['name']}")
    return found


def _constraints(api: Kube) -> Iterator[Object]:
    group = "/apis/constraints.gatekeeper.sh/v1beta1"
    for resource in (api.get(group) or {"resources": []})["resources"]:
        if "/" not in resource["name"]:
            yield from (api.get(f"{group}/{resource['name']}") or {"items": []})["items"]


def _proof(api: Kube, table: Object, make: Make, marker: str, is_coming: bool) -> Proof:
    """What is refused with the marker; a rule that was applied just now gets some seconds to come into force."""
    cases = Cases(tuple(Case(name, kind == "right", {}) for kind in ("right", "faulty") for name in table[kind]))
    deadline = time.monotonic() + (_PATIENCE if is_coming else 0)
    with _namespaces(api) as names:
        while True:
            said = {name: _answer(api, make, table["right"][name], names) for name in table["right"]}
            for name in table["faulty"]:
                message = _answer(api, make, table["faulty"][name], names)
                said[name] = message if message and marker in message else None  # refused by something else is let pass
            proof = Proof.of(cases, said)
            if proof.is_clean or time.monotonic() > deadline:
                return proof
            time.sleep(_POLL)


@contextlib.contextmanager
def _namespaces(api: Kube) -> Iterator[dict[str, str]]:
    """A namespace of each kind, by its kind; gone at the end."""
    names = {kind: f"probe-{secrets.token_hex(4)}" for kind in _NAMESPACES}
    metadata = [{"name": names[kind], "labels": labels} for kind, labels in _NAMESPACES.items()]
    api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": entry} for entry in metadata])
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    try:
        for name in names.values():  # a pod is refused before its account is there
            api.apply([account], namespace=name)
        yield names
    finally:
        for name in names.values():
            api.delete(f"/api/v1/namespaces/{name}")


def _answer(api: Kube, make: Make, entry: Object, names: dict[str, str]) -> str | None:
    """Why the API server refuses an object, or its change; `None` where it takes it."""
    name, namespace = f"probe-{secrets.token_hex(4)}", names[entry.get("namespace", "ml")]
    if "then" not in entry:
        return api.objection(make(name, entry), namespace)
    if message := api.objection(make(name, entry), namespace, keep=True):
        return f"before its change: {message.split(':')[-1]}"  # not the refusal that was asked for
    return api.objection(make(name, entry["then"]), namespace, update=True)


def _pod(name: str, entry: Object) -> Object:
    spec: Object = {"containers": [_container(n, image) for n, image in enumerate(entry["images"])]}
    if entry.get("init"):
        spec["initContainers"] = [_container(n + 100, image) for n, image in enumerate(entry["init"])]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


def _container(number: int, image: str) -> Object:
    return {"name": f"c{number}", "image": with_digests(image), "resources": {"limits": {"memory": "1Gi"}}}


def _deployment(name: str, entry: Object) -> Object:
    metadata: Object = {"name": name, "labels": entry.get("labels", {"component": "inference"})}
    if "annotations" in entry:
        metadata["annotations"] = entry["annotations"]
    labels = {"app": "probe"}
    template = {
        "metadata": {"labels": labels},
        "spec": _pod(name, {"images": ["registry.course.local/probeDIGEST"]})["spec"],
    }
    spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}
