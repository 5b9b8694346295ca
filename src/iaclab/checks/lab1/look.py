"""Looks from outside: the states in the bucket, the plans in the work folder, the cluster, S3. Nothing is executed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from iaclab.checks.lab1.spec import STATE_BUCKET
from iaclab.errors import LabError
from iaclab.mlplatform import buckets
from iaclab.mlplatform.node_pools import POOL_LABEL
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws, cluster

Object = dict[str, Any]
_KEY = re.compile(r"\[[^\]]*\]")
KINDS = ("mlplatform_cluster", "mlplatform_gpu_node_pool", "mlplatform_model_bucket", "terraform_data")
_LARGEST = 20_000_000  # bytes of a plan


@dataclass(frozen=True)
class Resource:
    """One managed instance of a state; `module` is its address without keys, empty in the root."""

    module: str
    type: str
    name: str
    values: Object

    def __str__(self) -> str:
        return ".".join(filter(None, (self.module, self.type, self.name)))


@dataclass(frozen=True)
class State:
    """A state as the bucket holds it."""

    key: str
    document: Object

    @property
    def outputs(self) -> Object:
        """The root's outputs, by name."""
        return {name: output["value"] for name, output in self.document["outputs"].items()}

    def resources(self, *types: str) -> list[Resource]:
        """Its managed instances of these types."""
        return [
            Resource(_KEY.sub("", r.get("module", "")), r["type"], r["name"], instance["attributes"])
            for r in self.document["resources"]
            if r["mode"] == "managed" and r["type"] in types
            for instance in r["instances"]
        ]

    def guards(self, kind: str, module: str) -> list[str]:
        """The results of a module's guards: `kind` is `check`, `var` (a validation), `resource` or `output`."""
        return [
            str(result["status"])
            for result in self.document.get("check_results") or []
            if result["object_kind"] == kind and _KEY.sub("", result["config_addr"]).startswith(f"{module}.{kind}.")
        ]


def state_objects(profile: Profile) -> list[Object]:
    """Every version and every deletion of the objects in the bucket of states, with `Key`.

    Raises:
        LabError: there is no such bucket.
    """
    client = aws.s3(profile)
    if buckets.get(client, STATE_BUCKET) is None:
        raise LabError(f"There is no bucket {STATE_BUCKET}.")
    pages = client.get_paginator("list_object_versions").paginate(Bucket=STATE_BUCKET)
    return [entry for page in pages for kind in ("Versions", "DeleteMarkers") for entry in page.get(kind, [])]


def states(profile: Profile) -> dict[str, State]:
    """The newest state of each environment, by the root's output `environment`."""
    client = aws.s3(profile)
    current = [o for o in state_objects(profile) if o["IsLatest"] and "Size" in o and not o["Key"].endswith(".tflock")]
    found = {}
    for entry in sorted(current, key=lambda o: o["LastModified"]):
        body = client.get_object(Bucket=STATE_BUCKET, Key=entry["Key"])["Body"].read()
        try:
            state = State(entry["Key"], json.loads(body))
            found[str(state.outputs["environment"])] = state
        except (ValueError, KeyError, TypeError):  # no state, or one without the output
            continue
    return found


def state(profile: Profile, environment: str) -> State:
    """The state of one environment.

    Raises:
        LabError: no state in the bucket has the output `environment` with this value.
    """
    found = states(profile)
    if environment not in found:
        others = f" (those there: {', '.join(found)})" if found else ""
        raise LabError(f'no state in {STATE_BUCKET} has the output environment = "{environment}"{others}')
    return found[environment]


def nodes(profile: Profile, pool: str) -> list[Object]:
    """The nodes of a pool, as the cluster holds them."""
    found = cluster.kube(profile).get(f"/api/v1/nodes?labelSelector={POOL_LABEL}%3D{pool}") or {}
    return sorted(found.get("items", []), key=lambda node: str(node["metadata"]["name"]))


def plan(name: str) -> Object:
    """The plan `plans/<name>.json` of the work folder.

    Raises:
        LabError: it is not there, or it is not the JSON of a plan.
    """
    path = Path("plans") / f"{name}.json"
    try:
        if path.stat().st_size > _LARGEST:
            raise LabError(f"{path} is larger than a plan of this lab can be.")
        document = json.loads(path.read_text())
    except FileNotFoundError:
        raise LabError(f"{path} is not there") from None
    except ValueError:
        raise LabError(f"{path} is not JSON: is it the plan itself, not what `terraform show -json` says?") from None
    if not isinstance(document, dict) or not ("resource_changes" in document or document.get("errored")):
        raise LabError(f"{path} is not the JSON of a plan") from None
    return document


def planned(module: Object) -> Iterator[Object]:
    """The managed resources of `planned_values` or of a prior state, of all modules."""
    for resource in module.get("resources", []):
        if resource["mode"] == "managed":
            yield resource
    for child in module.get("child_modules", []):
        yield from planned(child)


def failing(document: Object) -> list[str]:
    """The guards that fail in a plan (checks, conditions, validations), by address."""
    return [str(c["address"]["to_display"]) for c in document.get("checks", []) if c["status"] == "fail"]


def may(profile: Profile, kubeconfig: str, path: str) -> bool:
    """Whether the account of a kubeconfig may read an API path of the profile's own cluster.

    Raises:
        LabError: it is no kubeconfig with a token.
    """
    import tempfile

    import yaml

    from iaclab.platform.kube import Kube

    try:
        token = yaml.safe_load(kubeconfig)["users"][0]["user"]["token"]
    except (yaml.YAMLError, AttributeError, LookupError, TypeError):
        raise LabError("the output kubeconfig is not the text of a kubeconfig with a token") from None
    ours = yaml.safe_load(cluster.kubeconfig(profile).read_text())
    config = {**ours, "users": [{"name": ours["contexts"][0]["context"]["user"], "user": {"token": token}}]}
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump(config, file)
        file.flush()
        try:
            return Kube(Path(file.name)).get(path) is not None
        except httpx.HTTPStatusError:
            return False
