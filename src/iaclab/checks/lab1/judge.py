"""What is wrong with an environment: each function compares what is there with what the lab asks for, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from iaclab.checks.lab1 import look
from iaclab.checks.lab1.look import Resource, State
from iaclab.checks.lab1.spec import HOURS, TAGS, Environment
from iaclab.mlplatform import accelerators, buckets
from iaclab.mlplatform.node_pools import ACCELERATOR_LABEL, ZONE_LABEL
from iaclab.mlplatform.teams import TEAM_LABEL
from iaclab.platform.node_pools import GPU
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws, cluster

Problems = Iterator[str]
_HARD_GPUS = f"requests.{GPU}"


def network(state: State, want: Environment) -> Problems:
    """The subnets: as asked for, in the state as resources of a module, behind a validation."""
    subnets = state.outputs.get("subnets")
    if not isinstance(subnets, dict):
        yield "the root has no output subnets, a map of zones to ranges"
        return
    ranges = list(subnets.values())
    if other := [zone for zone, cidr in subnets.items() if not isinstance(cidr, str)]:
        yield f"the output subnets says of {other[0]} no range like 10.10.0.0/20, but {json.dumps(subnets[other[0]])}"
        return
    if len(set(ranges)) < len(ranges):
        yield f"two zones share the range {max(ranges, key=ranges.count)}"
    for zone, cidr in want.subnets.items():
        if zone not in subnets:
            yield f"zone {zone} has no subnet"
        elif subnets[zone] != cidr:
            yield f"the subnet of {zone} is {subnets[zone]}, not {cidr}"
    if extra := sorted(set(subnets) - set(want.zones)):
        yield f"{want.name} has no zone {', '.join(extra)}"
    homes = {r.module for r in state.resources("terraform_data") if any(c in _text(r) for c in ranges)}
    if not homes:
        yield "no terraform_data in the state holds the subnets"
    elif "" in homes:
        yield "the subnets are resources of the root, not of a module"
    elif not any(state.guards("var", home) for home in homes):
        yield "no variable of the network module has a validation"


def team(profile: Profile, state: State, want: Environment) -> Problems:
    """Namespaces and quotas in the cluster."""
    api = cluster.kube(profile)
    ours = {n for r in state.resources("mlplatform_cluster") for n in r.values["namespaces"]}
    for name in (f"ml-{want.name}-train", f"ml-{want.name}-serve"):
        there = api.get(f"/api/v1/namespaces/{name}")
        labels = (there or {"metadata": {}})["metadata"].get("labels", {})
        if there is None:
            yield f"there is no namespace {name}"
            continue
        if TEAM_LABEL not in labels or name not in ours:
            yield f"the state of {want.name} does not manage the namespace {name}"
        if labels.get("environment") != want.name:
            yield f"the namespace {name} has no label environment={want.name}"
        gpus = _gpu_quota(profile, name)
        if gpus != want.gpu_quota:
            yield f"the GPU quota of {name} is {gpus}, not {want.gpu_quota}"


def pools(profile: Profile, state: State, want: Environment) -> Problems:
    """The nodes, with their GPUs, taints, labels and zones."""
    managed = {n for r in state.resources("mlplatform_gpu_node_pool") for n in r.values["node_names"]}
    for purpose, pool in want.pools.items():
        name = f"ml-{want.name}-{purpose}"
        nodes = look.nodes(profile, name)
        if len(nodes) != pool.nodes:
            yield f"pool {name} has {len(nodes)} node{'s' * (len(nodes) != 1)}, not {pool.nodes}"
        if not nodes:
            continue
        if stray := [n["metadata"]["name"] for n in nodes if n["metadata"]["name"] not in managed]:
            yield f"the state of {want.name} does not manage {', '.join(stray)}"
        kinds = {f"{n['status']['capacity'].get(GPU, 0)} × {_label(n, ACCELERATOR_LABEL)}" for n in nodes}
        if kinds != {f"{pool.gpus} × {pool.accelerator}"}:
            yield f"a node of {name} has {', '.join(sorted(kinds))}, not {pool.gpus} × {pool.accelerator}"
        if not all(any(t["key"] == GPU for t in n["spec"].get("taints", [])) for n in nodes):
            yield f"{name} has no taint {GPU}: pods without a GPU would fill it"
        if {_label(n, "environment") for n in nodes} != {want.name}:
            yield f"a node of {name} has no label environment={want.name}"
        zones = {_label(n, ZONE_LABEL) for n in nodes}
        if foreign := sorted(zones - set(want.zones)):
            yield f"{name} has nodes in {', '.join(foreign)}, where {want.name} has no subnet"
        elif len(zones) < min(len(nodes), len(want.zones)):
            yield f"the {len(nodes)} nodes of {name} are in {', '.join(sorted(zones))} only, not spread over its zones"


def storage(profile: Profile, state: State, want: Environment) -> Problems:
    """The buckets, as S3 holds them."""
    client = aws.s3(profile)
    managed = {r.values["name"] for r in state.resources("mlplatform_model_bucket")}
    for purpose in ("datasets", "models"):
        name = f"ml-{want.name}-{purpose}"
        bucket = buckets.get(client, name)
        if bucket is None:
            yield f"there is no bucket {name}"
            continue
        if name not in managed:
            yield f"the state of {want.name} does not manage the bucket {name}"
        if not bucket.versioning:
            yield f"{name} keeps no versions: versioning is off"
        if missing := [tag for tag in TAGS if not bucket.tags.get(tag)]:
            yield f"{name} lacks the tag {', '.join(missing)}"
        elif bucket.tags["environment"] != want.name:
            yield f"{name} is tagged environment={bucket.tags['environment']}"
        if purpose == "datasets" and not any(r.prefix == "tmp/" and r.expiration_days == 7 for r in bucket.rules):
            yield f"no lifecycle rule of {name} expires tmp/ after 7 days"
        if purpose == "datasets" and any(not r.prefix and r.expiration_days for r in bucket.rules):
            yield f"a lifecycle rule of {name} expires every object"
        if purpose == "models" and not any(not r.prefix and r.noncurrent_expiration_days == 90 for r in bucket.rules):
            yield f"no lifecycle rule of {name} deletes old versions after 90 days"
        if purpose == "models" and any(r.expiration_days for r in bucket.rules):
            yield f"a lifecycle rule of {name} expires models that are in use"
        if purpose == "models" and bucket.encryption != "aws:kms":
            yield f"{name} is encrypted with {bucket.encryption or 'nothing'}, not aws:kms"


def outputs(profile: Profile, state: State, want: Environment) -> Problems:
    """The root's outputs against what is there; the kubeconfig by using it."""
    there = [n["metadata"]["name"] for p in want.pools for n in look.nodes(profile, f"ml-{want.name}-{p}")]
    found = state.outputs.get("nodes")
    if not isinstance(found, list) or sorted(map(str, found)) != sorted(there):
        yield "the output nodes is not the list of the nodes' names"
    urls = set(_strings(state.outputs.get("buckets")))
    if not {f"s3://ml-{want.name}-{purpose}" for purpose in ("datasets", "models")} <= urls:
        yield "the output buckets does not hold both URLs (s3://…)"
    output = state.document["outputs"].get("kubeconfig")
    if not output:
        yield "the root has no output kubeconfig"
    elif not output.get("sensitive"):
        yield "the output kubeconfig is not sensitive: every log would show the token"
    elif not look.may(profile, output["value"], f"/api/v1/namespaces/ml-{want.name}-train/pods"):
        yield f"with the output kubeconfig the pods of ml-{want.name}-train cannot be read"
    elif look.may(profile, output["value"], "/api/v1/nodes"):
        yield "the output kubeconfig is an administrator's, not the team's"


def structure(state: State) -> Problems:
    """Who makes what: nothing in the root, three modules or more."""
    everything = state.resources(*look.KINDS)
    if stray := sorted({str(r) for r in everything if not r.module and r.type != "terraform_data"}):
        yield f"the root makes {', '.join(stray)} itself"
        return
    subnets = state.outputs.get("subnets")
    ranges = list(subnets.values()) if isinstance(subnets, dict) else []
    homes = {
        "the network": {r.module for r in everything if any(str(c) in _text(r) for c in ranges)},
        "node pools": {r.module for r in state.resources("mlplatform_gpu_node_pool")},
        "buckets": {r.module for r in state.resources("mlplatform_model_bucket")},
    }
    for what, modules in homes.items():
        if not modules:
            yield f"no module makes {what}"
        elif "" in modules:
            yield f"the root makes {what} itself"
    for first, second in (("the network", "node pools"), ("the network", "buckets"), ("node pools", "buckets")):
        if both := homes[first] & homes[second]:
            yield f"{min(both)} makes {first} and {second}"


def monitoring(profile: Profile, state: State, want: Environment) -> Problems:
    """The namespace without GPUs, one alert for each pool, and a check block that passes."""
    name = f"ml-{want.name}-monitoring"
    homes = {r.module for r in state.resources("mlplatform_cluster") if name in r.values["namespaces"]}
    if cluster.kube(profile).get(f"/api/v1/namespaces/{name}") is None or not homes:
        yield f"there is no namespace {name} of the state"
        return
    if _gpu_quota(profile, name) != 0:
        yield f"the GPU quota of {name} is {_gpu_quota(profile, name)}: monitoring needs none"
    home = min(homes)
    makes_pools = {r.module for r in state.resources("mlplatform_gpu_node_pool")}
    if not home or home in makes_pools:
        yield f"monitoring is no module of its own: {home or 'the root'} makes {name}"
        return
    alerts = [_text(r) for r in state.resources("terraform_data") if r.module == home]
    for purpose, pool in want.pools.items():
        words = (f"ml-{want.name}-{purpose}", str(pool.nodes * pool.gpus))
        if not any(all(word in text for word in words) for text in alerts):
            yield f"no alert of {home} names {words[0]} and its {words[1]} GPUs"
    results = state.guards("check", home)
    if not results:
        yield f"{home} has no check block"
    elif set(results) != {"pass"}:
        yield f"a check block of {home} says {', '.join(sorted(set(results) - {'pass'}))}"


def cost(profile: Profile, state: State, want: Environment) -> Problems:
    """The output against the price of the nodes that are there."""
    price = 0.0
    for purpose in want.pools:
        for node in look.nodes(profile, f"ml-{want.name}-{purpose}"):
            gpus = int(node["status"]["capacity"].get(GPU, 0))
            price += accelerators.gpu_hours_cost(_label(node, ACCELERATOR_LABEL), gpus, HOURS)
    said = state.outputs.get("monthly_cost")
    if not isinstance(said, int | float):
        yield "the root has no output monthly_cost, a number"
    elif not price or abs(said - price) > max(1, price / 1000):
        yield f"monthly_cost of {want.name} is {said:.0f}; its nodes cost {price:.0f} dollars in {HOURS} hours"


def _gpu_quota(profile: Profile, namespace: str) -> int | None:
    """GPUs that a namespace may have; `None` is no limit."""
    found = cluster.kube(profile).get(f"/api/v1/namespaces/{namespace}/resourcequotas") or {"items": []}
    limits = [q["spec"].get("hard", {}).get(_HARD_GPUS) for q in found["items"]]
    return min((int(limit) for limit in limits if limit is not None), default=None)


def _label(node: dict[str, Any], name: str) -> str:
    return str(node["metadata"]["labels"].get(name, ""))


def _text(resource: Resource) -> str:
    return json.dumps(resource.values.get("output"))


def _strings(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from _strings(part)
