"""Checks of the Terraform lecture: what clusters, buckets, states and plans hold."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from iaclab.checks.record import Check
from iaclab.mlplatform import accelerators
from iaclab.mlplatform.node_pools import ACCELERATOR_LABEL, POOL_LABEL, ZONE_LABEL
from iaclab.platform.node_pools import GPU
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws, cluster, tfe

Object = dict[str, Any]
_BUCKET = "ml-tfstate"
_HOURS = {"pretrain": 160, "online": 730}  # a month, as the exercise gives them
_BUDGET = 10_000  # US dollars a month


def _nodes(profile: Profile, pool: str) -> list[Object]:
    """The nodes of a pool, as the cluster holds them."""
    found = cluster.kube(profile).get(f"/api/v1/nodes?labelSelector={POOL_LABEL}%3D{pool}") or {}
    return sorted(found.get("items", []), key=lambda node: str(node["metadata"]["name"]))


def _gpus(node: Object) -> int:
    return int(node["status"]["capacity"].get(GPU, 0))


def _terraform(profile: Profile, folder: str, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **profile.env(), "TF_CLI_ARGS": "-no-color"}
    command = ["terraform", f"-chdir={folder}", *args]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def _local_state(folder: str) -> Object:
    """The state file of a folder, read without Terraform."""
    return dict(json.loads((Path(folder) / "terraform.tfstate").read_text()))


def _addresses(state: Object) -> list[str]:
    """What a state manages, with keys."""
    found = []
    for resource in state["resources"]:
        if resource["mode"] == "managed":
            start = f"{resource['module']}." if "module" in resource else ""
            for instance in resource["instances"]:
                key = f"[{json.dumps(instance['index_key'])}]" if "index_key" in instance else ""
                found.append(f"{start}{resource['type']}.{resource['name']}{key}")
    return found


def _serving(profile: Profile) -> Object:
    nodes = _nodes(profile, "serve")
    mine = [a for a in _addresses(_local_state("platform")) if a.endswith("mlplatform_gpu_node_pool.this")]
    return {
        "nodes": [f"{n['metadata']['name']}: {_gpus(n)} × {n['metadata']['labels'][ACCELERATOR_LABEL]}" for n in nodes],
        "pools in the state": len(mine),
    }


def _unlocked(profile: Profile) -> Object:
    s3, key = aws.s3(profile), "feature-store/terraform.tfstate"
    keys = [o["Key"] for o in s3.list_objects_v2(Bucket=_BUCKET, Prefix=key).get("Contents", [])]
    state = json.load(s3.get_object(Bucket=_BUCKET, Key=key)["Body"])
    whole = [r["name"] for r in state["resources"] if all("status" not in i for i in r["instances"])]
    return {"locked": f"{key}.tflock" in keys, "complete resources": sorted(whole)}


def _by_name(profile: Profile) -> Object:
    nodes = {n["metadata"]["name"]: n["metadata"]["uid"] for p in ("batch", "evaluate") for n in _nodes(profile, p)}
    pools = [a for a in _addresses(_local_state("language")) if "gpu_node_pool" in a]
    return {
        "pools": sorted(a.split(".")[1] for a in pools),
        "same machines": [nodes.get("batch-1"), nodes.get("evaluate-1")]
        == Path("language/machines.txt").read_text().split(),
        "notebooks in the cluster": len(_nodes(profile, "notebooks")),
    }


def _settled(profile: Profile) -> Object:
    """Cluster and state; what the state says was planned from the configuration."""
    labels = [n["metadata"]["labels"].get("capacity", "none") for n in _nodes(profile, "sweep")]
    return {"nodes": labels, "a plan finds": _plan(profile, "drift")}


def _plan(profile: Profile, folder: str) -> str:
    """What a plan of the folder finds, by its exit code."""
    code = _terraform(profile, folder, "plan", "-detailed-exitcode", "-lock=false", "-input=false").returncode
    return {0: "nothing to do", 2: "something to do"}.get(code, "an error")


def _tuning(profile: Profile) -> Object:
    with tfe.client(profile) as api:
        path = f"organizations/{tfe.ORGANIZATION}/workspaces/tuning-dev"
        workspace = api.get(path).raise_for_status().json()["data"]
        runs = api.get(f"workspaces/{workspace['id']}/runs").raise_for_status().json()["data"]
    rules = [p.name for p in tfe.policies(profile).glob("tuning_cost.rego")]
    return {
        "last run": runs[0]["attributes"]["status"] if runs else "none",
        "nodes": len(_nodes(profile, "tuning")),
        "rules": len(rules),
    }


def _green(profile: Profile) -> Object:
    shown = _terraform(profile, "pipeline", "show", "-json", "plan")
    if shown.returncode:
        return {"plan": " ".join(shown.stderr.split())}
    plan = json.loads(shown.stdout)
    settings = plan["configuration"].get("provider_config", {}).get("mlplatform", {}).get("expressions", {})
    seen = {
        c["type"].removeprefix("mlplatform_"): c["change"]["after"].get("versioning") for c in plan["resource_changes"]
    }
    return {
        "resources": sorted(seen),
        "versions": seen.get("model_bucket"),
        "key in the code": "s3_endpoint" in settings,
    }


def _budget(profile: Profile) -> Object:
    """What the nodes in the cluster cost a month, and what they are."""
    cost, seen = 0.0, {}
    for pool, hours in _HOURS.items():
        nodes = _nodes(profile, pool)
        kinds = {n["metadata"]["labels"][ACCELERATOR_LABEL] for n in nodes}
        cost += sum(
            accelerators.gpu_hours_cost(n["metadata"]["labels"][ACCELERATOR_LABEL], _gpus(n), hours) for n in nodes
        )
        zones = {n["metadata"]["labels"][ZONE_LABEL] for n in nodes}
        memory = min((accelerators.accelerator(k).memory_gb for k in kinds), default=0)
        seen[pool] = f"{sum(map(_gpus, nodes))} GPUs with {memory} GB in {len(zones)} zones"
    return {**seen, "a month": round(cost)}


def _affordable(seen: Object) -> bool:
    gpus, memory = (int(seen["pretrain"].split()[i]) for i in (0, 3))
    online, zones = (int(seen["online"].split()[i]) for i in (0, 6))
    return gpus >= 16 and memory >= 40 and online >= 4 and zones >= 2 and 0 < seen["a month"] <= _BUDGET


def _recovered(profile: Profile) -> Object:
    """The current state against the first that was ever written."""
    s3, key = aws.s3(profile), "search/terraform.tfstate"
    versions = [v for v in s3.list_object_versions(Bucket=_BUCKET, Prefix=key)["Versions"] if v["Key"] == key]
    first = min(versions, key=lambda v: v["LastModified"])
    before = json.load(s3.get_object(Bucket=_BUCKET, Key=key, VersionId=first["VersionId"])["Body"])
    now = json.load(s3.get_object(Bucket=_BUCKET, Key=key)["Body"])
    return {
        "same lineage": now["lineage"] == before["lineage"],
        "resources": sorted(r["name"] for r in now["resources"]),
    }


CHECKS = {
    "serving-pool": Check(
        title="two nodes with four L4 each are in the cluster, and the platform's state knows both pools",
        needs=("cluster", "terraform"),
        probe=_serving,
        expect=lambda seen: seen == {"nodes": ["serve-1: 4 × l4", "serve-2: 4 × l4"], "pools in the state": 2},
        within=10,
        hints=(
            "Which argument of module.cluster lists the pools?",
            "Add an element beside `train`; gpus_per_node is 4 where nobody says otherwise.",
            'serve = { accelerator = "l4", nodes = 2 }   # in platform/main.tf, then terraform apply',
        ),
    ),
    "unlocked": Check(
        title="no lock is left, and the state is complete",
        needs=("aws", "terraform"),
        probe=_unlocked,
        expect=lambda seen: seen == {"locked": False, "complete resources": ["backfill", "store"]},
        within=5,
        hints=(
            "The refused plan has printed who holds the lock, and its ID.",
            "`terraform force-unlock ID` in the folder state; then apply what the killed run left undone.",
            "cd state && terraform force-unlock -force ID && terraform apply -auto-approve",
        ),
    ),
    "by-name": Check(
        title="the pools are addressed by name, notebooks is gone, and the other machines are the same",
        needs=("cluster", "terraform"),
        probe=_by_name,
        expect=lambda seen: (
            seen
            == {
                "pools": ['pool["batch"]', 'pool["evaluate"]'],
                "same machines": True,
                "notebooks in the cluster": 0,
            }
        ),
        within=5,
        hints=(
            "Which block tells Terraform that an address has become another?",
            'Three moved blocks, e.g. from = mlplatform_gpu_node_pool.pool[0], to = …pool["notebooks"].'
            " Plan first: only one pool may be destroyed.",
            "Where machines were replaced already: run the section again from its first cell, then write moved.tf "
            "before the apply.",
        ),
    ),
    "drift-settled": Check(
        title="three nodes, all on-demand, and a plan with nothing to do",
        needs=("cluster", "terraform"),
        probe=_settled,
        expect=lambda seen: seen == {"nodes": ["on-demand"] * 3, "a plan finds": "nothing to do"},
        within=5,
        hints=(
            "One of the two changes belongs into the configuration, the other is undone by an apply.",
            "labels in drift/main.tf, then terraform apply.",
            'sed -i \'s/"spot"/"on-demand"/\' drift/main.tf && terraform -chdir=drift apply -auto-approve',
        ),
    ),
    "policy-passed": Check(
        title="the last remote run was applied with the policy in force, and two nodes are there",
        needs=("cluster", "tfe"),
        probe=_tuning,
        expect=lambda seen: seen == {"last run": "applied", "nodes": 2, "rules": 1},
        within=10,
        hints=(
            "An A10G costs about a dollar an hour, a node has four. How many nodes are within ten dollars?",
            'set_variable("nodes", …, "terraform"), then apply in the folder cloud.',
            'set_variable("nodes", "2", "terraform")   # then: cd cloud && terraform apply -auto-approve',
        ),
    ),
    "pipeline-green": Check(
        title="the plan of the pipeline has a pool and a bucket that keeps versions, and no key in the code",
        needs=("terraform",),
        probe=_green,
        expect=lambda seen: (
            seen == {"resources": ["gpu_node_pool", "model_bucket"], "versions": True, "key in the code": False}
        ),
        hints=(
            "Which stage has failed, and what does its message name?",
            "versioning in pipeline/main.tf, and the key in provider.tf; then ./check writes a new plan.",
            "cd pipeline; rm provider.tf; sed -i 's/versioning = false/versioning = true/' main.tf; ./check",
        ),
    ),
    "within-budget": Check(
        title="training and inference are as needed, for 10 000 dollars a month at most",
        needs=("cluster",),
        probe=_budget,
        expect=_affordable,
        within=10,
        hints=(
            "Training takes most of the money. Must its GPUs have 80 GB?",
            "The data source mlplatform_accelerators lists what has min_memory_gb = 40, cheapest first.",
            "sed -i 's/a100-80gb/a100-40gb/' mlplatform/main.tf && terraform -chdir=mlplatform apply -auto-approve",
        ),
    ),
    "state-recovered": Check(
        title="the state is back, with its old lineage",
        needs=("aws",),
        probe=_recovered,
        expect=lambda seen: seen == {"same lineage": True, "resources": ["index", "search"]},
        within=5,
        hints=(
            "A deletion in a bucket with versions is a marker. What happens when the marker goes?",
            "s3.list_object_versions lists DeleteMarkers; s3.delete_object takes a VersionId.",
            's3.delete_object(Bucket="ml-tfstate", Key="search/terraform.tfstate", VersionId=MARKER)',
        ),
    ),
}
