"""Checks of the Pulumi lecture: what the cluster, the buckets and the states of the file backend hold."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from iaclab.checks.record import Check
from iaclab.mlplatform import accelerators
from iaclab.mlplatform.node_pools import ACCELERATOR_LABEL, POOL_LABEL, ZONE_LABEL
from iaclab.platform.node_pools import GPU
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws, cluster, pulumi

Object = dict[str, Any]
_HOURLY = 20.0  # US dollars that the policy of the lecture allows for a pool
_QUOTA = f"requests.{GPU}"
_BUDGET = 12.0  # US dollars an hour, for the exercise of the whole platform


def _nodes(profile: Profile, pool: str) -> list[Object]:
    found = cluster.kube(profile).get(f"/api/v1/nodes?labelSelector={POOL_LABEL}%3D{pool}") or {}
    return sorted(found.get("items", []), key=lambda node: str(node["metadata"]["name"]))


def _kinds(profile: Profile, pool: str) -> list[str]:
    return [n["metadata"]["labels"][ACCELERATOR_LABEL] for n in _nodes(profile, pool)]


def _gpus(node: Object) -> int:
    return int(node["status"]["capacity"].get(GPU, 0))


def _hourly(profile: Profile, pool: str) -> float:
    """Example price of a pool's machines for an hour, US dollars."""
    nodes = _nodes(profile, pool)
    labels = [n["metadata"]["labels"][ACCELERATOR_LABEL] for n in nodes]
    return sum(accelerators.gpu_hours_cost(kind, _gpus(node), 1) for kind, node in zip(labels, nodes, strict=True))


def _latest(profile: Profile, project: str, stack: str = "dev") -> Object:
    """The newest deployment of a stack, read from the file backend without Pulumi."""
    path = pulumi.states(profile) / ".pulumi" / "stacks" / project / f"{stack}.json"
    return dict(json.loads(path.read_text())["checkpoint"]["latest"] or {})


def _resources(profile: Profile, project: str, stack: str = "dev") -> list[Object]:
    return list(_latest(profile, project, stack).get("resources", []))


def _of_type(profile: Profile, project: str, end: str) -> list[Object]:
    return [r for r in _resources(profile, project) if r["type"].endswith(end)]


def _versions(profile: Profile, bucket: str) -> str:
    return str(aws.s3(profile).get_bucket_versioning(Bucket=bucket).get("Status", "never"))


def _tags(profile: Profile, bucket: str) -> dict[str, str]:
    found = aws.s3(profile).get_bucket_tagging(Bucket=bucket)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in found if not tag["Key"].startswith("mlplatform:")}


def _buckets(profile: Profile) -> list[str]:
    return [bucket["Name"] for bucket in aws.s3(profile).list_buckets()["Buckets"]]


# --- probes --------------------------------------------------------------------------------------------


def _third(profile: Profile) -> Object:
    made = {n["metadata"]["name"]: n["metadata"]["creationTimestamp"] for n in _nodes(profile, "ranker")}
    pools = _of_type(profile, "serving", ":GpuNodePool")
    return {
        "nodes": sorted(made),
        "in the state": [int(pool["outputs"]["nodeCount"]) for pool in pools],
        "the first two stayed": made.get("ranker-3", "") > max(made.get("ranker-1", "~"), made.get("ranker-2", "~")),
    }


def _configured(profile: Profile) -> Object:
    return {stack: ", ".join(_kinds(profile, f"features-{stack}")) for stack in ("dev", "prod")}


def _referenced(profile: Profile) -> Object:
    quota = cluster.kube(profile).get("/api/v1/namespaces/layered/resourcequotas/team-quota") or {}
    return {
        "quota": quota.get("spec", {}).get("hard", {}).get(_QUOTA),
        "references": [r["id"] for r in _of_type(profile, "models", ":StackReference")],
    }


def _registry(profile: Profile) -> Object:
    mine = _of_type(profile, "registry-py", ":ModelBucket")
    return {str(bucket["id"]): _tags(profile, bucket["id"]).get("stage") for bucket in mine}


def _transformed(profile: Profile) -> Object:
    names = ("vision-datasets", "vision-scratch")
    seen = {name: _versions(profile, name) for name in names}
    return {**seen, "cost centres": [_tags(profile, name).get("cost-centre") for name in names]}


def _through_policy(profile: Profile) -> Object:
    return {
        "GPUs": sum(map(_gpus, _nodes(profile, "costly"))),
        "dollars an hour": _hourly(profile, "costly"),
        "owner": _tags(profile, "costly-runs").get("owner"),
    }


def _settled(profile: Profile) -> Object:
    labels = [n["metadata"]["labels"].get("capacity") for n in _nodes(profile, "sweep")]
    known = [pool["outputs"].get("labels", {}).get("capacity") for pool in _of_type(profile, "sweep", ":GpuNodePool")]
    return {"nodes": labels, "state": known, "versions": _versions(profile, "sweep-results")}


def _released(profile: Profile) -> Object:
    return {
        "bucket there": "rename-models" in _buckets(profile),
        "in the state": len(_of_type(profile, "rename", ":ModelBucket")),
    }


def _affordable(profile: Profile) -> Object:
    """The platform of the team, as it is: machines, their price, and what the namespace may ask for."""
    pools = [str(p["outputs"]["name"]) for p in _of_type(profile, "recommend", ":GpuNodePool")]
    gpus = {name: sum(map(_gpus, _nodes(profile, name))) for name in pools}
    zones = {n["metadata"]["labels"][ZONE_LABEL] for n in _nodes(profile, "recommend-online")}
    quota = cluster.kube(profile).get("/api/v1/namespaces/recommend/resourcequotas/team-quota") or {}
    return {
        **gpus,
        "zones of online": len(zones),
        "dollars an hour": round(sum(_hourly(profile, name) for name in pools), 2),
        "quota": int(quota["spec"]["hard"][_QUOTA]),
    }


def _moved(profile: Profile) -> Object:
    """Who manages the resources of the migration now, and whether they are the ones from before."""
    uids = [n["metadata"]["uid"] for n in _nodes(profile, "moved")]
    left = json.loads(Path("moved/terraform/terraform.tfstate").read_text())["resources"]
    ours = [r["type"].rsplit(":", 1)[-1] for r in _resources(profile, "moved") if r.get("custom") and "id" in r]
    return {
        "in Pulumi's state": sorted(kind for kind in ours if kind in ("GpuNodePool", "ModelBucket", "Cluster")),
        "in Terraform's state": len(left),
        "same machines": uids == Path("moved/machines.txt").read_text().split(),
    }


def _mended(profile: Profile) -> Object:
    latest = _latest(profile, "killed")
    known = latest.get("resources", [])
    locks = list((pulumi.states(profile) / ".pulumi" / "locks" / "organization" / "killed").rglob("*.json"))
    return {
        "locks": len(locks),
        "pending operations": len(latest.get("pending_operations") or []),
        "resources": sorted(r["urn"].rsplit("::", 1)[-1] for r in known if not r["type"].startswith("pulumi:")),
    }


CHECKS = {
    "third-node": Check(
        title="the pool has three nodes, the state says so, and the first two were not replaced",
        needs=("cluster", "pulumi"),
        probe=_third,
        expect=lambda seen: (
            seen
            == {
                "nodes": ["ranker-1", "ranker-2", "ranker-3"],
                "in the state": [3],
                "the first two stayed": True,
            }
        ),
        within=5,
        hints=(
            "Which argument of GpuNodePool says how many?",
            "node_count=3 in serving/__main__.py. Nothing else changes.",
            'program.write_text(program.read_text().replace("node_count=2", "node_count=3")); stack("serving").up()',
        ),
    ),
    "prod-configured": Check(
        title="three A10G machines in prod, one L4 machine in dev",
        needs=("cluster", "pulumi"),
        probe=_configured,
        expect=lambda seen: seen == {"dev": "l4", "prod": "a10g, a10g, a10g"},
        within=5,
        hints=(
            "The program asks for `accelerator` and `nodes`. Where does prod keep its values?",
            "cd features; pulumi config set --stack prod accelerator a10g; the same for nodes. Then up.",
            'prod = stack("features", "prod"); prod.set_config("nodes", auto.ConfigValue("3")); …; prod.up()',
        ),
    ),
    "quota-from-reference": Check(
        title="the team's quota is what the stack machines exports, read by a stack reference",
        needs=("cluster", "pulumi"),
        probe=_referenced,
        expect=lambda seen: seen == {"quota": "4", "references": ["organization/machines/dev"]},
        within=10,
        hints=(
            "machines/__main__.py reads network in the same way.",
            'pulumi.StackReference(f"organization/machines/{pulumi.get_stack()}"), then require_output("gpus").',
            'Cluster("layered", namespaces=["layered"], gpu_quota=machines.require_output("gpus"))',
        ),
    ),
    "registry-in-python": Check(
        title="two buckets with their stage as a tag, managed by the stack registry-py",
        needs=("aws", "pulumi"),
        probe=_registry,
        expect=lambda seen: seen == {"py-staging": "staging", "py-production": "production"},
        within=5,
        hints=(
            'A Pulumi.yaml with name and runtime, a __main__.py with a loop, then stack("registry-py").up().',
            'ModelBucket(f"py-{stage}", tags={"stage": stage}) for stage in ("staging", "production")',
            "Look at the solution's folder layout: registry-py/Pulumi.yaml holds `name: registry-py` and "
            "`runtime: python`.",
        ),
    ),
    "transformed": Check(
        title="scratch data has no versions, datasets have, and both carry the cost centre",
        needs=("aws", "pulumi"),
        probe=_transformed,
        expect=lambda seen: (
            seen["vision-datasets"] == "Enabled"
            and seen["vision-scratch"] in ("Suspended", "never")
            and seen["cost centres"] == ["4711", "4711"]
        ),
        within=5,
        hints=(
            "The transform gets the properties as a dict, and returns the dict that counts.",
            'Where args.name.endswith("-scratch"): {**args.props, "tags": tags, "versioning": False}',
            'props = {**args.props, "tags": tags}; if args.name.endswith("-scratch"): props["versioning"] = False',
        ),
    ),
    "policy-passed": Check(
        title="eight GPUs within the policy's limit, and a bucket with an owner",
        needs=("cluster", "aws", "pulumi"),
        probe=_through_policy,
        expect=lambda seen: seen["GPUs"] == 8 and 0 < seen["dollars an hour"] <= _HOURLY and bool(seen["owner"]),
        within=5,
        hints=(
            "Eight GPUs for 20 dollars: at most 2.50 a GPU. Which accelerators cost that?",
            "iaclab.mlplatform.accelerators.accelerators() lists them with hourly_usd, cheapest first.",
            'accelerator="a10g", and ModelBucket("costly-runs", tags={"owner": "vision"})',
        ),
    ),
    "drift-settled": Check(
        title="the labels are accepted, the bucket has versions again, and the state agrees",
        needs=("cluster", "aws", "pulumi"),
        probe=_settled,
        expect=lambda seen: seen == {"nodes": ["on-demand"] * 2, "state": ["on-demand"], "versions": "Enabled"},
        within=5,
        hints=(
            "One of the two changes belongs into the program; the other is undone by an up that looks first.",
            'labels={"capacity": "on-demand"} in sweep/__main__.py, then up with refresh=True.',
            'program.write_text(program.read_text().replace("spot", "on-demand")); stack("sweep").up(refresh=True)',
        ),
    ),
    "released": Check(
        title="the bucket is there, and the stack no longer knows it",
        needs=("aws", "pulumi"),
        probe=_released,
        expect=lambda seen: seen == {"bucket there": True, "in the state": 0},
        within=5,
        hints=(
            "Which command forgets a resource without touching it?",
            "pulumi state delete URN; `pulumi stack --show-urns` has the URN. Deleted for real? Run the section again.",
            "cd rename; pulumi state delete --stack dev --yes urn:pulumi:dev::rename::mlplatform:index:ModelBucket::"
            "models",
        ),
    ),
    "platform-affordable": Check(
        title=f"training with 8 GPUs, inference with 4 in two zones, {_BUDGET:.0f} dollars an hour at most",
        needs=("cluster", "pulumi"),
        probe=_affordable,
        expect=lambda seen: (
            seen.get("recommend-pretrain", 0) >= 8
            and seen.get("recommend-online", 0) >= 4
            and seen["zones of online"] == 2
            and 0 < seen["dollars an hour"] <= _BUDGET
            and seen["quota"] == seen["recommend-pretrain"] + seen["recommend-online"]
        ),
        within=10,
        hints=(
            "Training takes most of the money. What do eight of each kind of GPU cost?",
            "The catalogue: iaclab.mlplatform.accelerators.accelerators(), cheapest first, with hourly_usd.",
            'Pool("a10g", nodes=1, gpus_per_node=8) for pretrain in recommend/__main__.py, then up.',
        ),
    ),
    "migrated": Check(
        title="Pulumi manages pool, bucket and team, Terraform nothing, and the machines are the same",
        needs=("cluster", "aws", "pulumi", "terraform"),
        probe=_moved,
        expect=lambda seen: (
            seen
            == {
                "in Pulumi's state": ["Cluster", "GpuNodePool", "ModelBucket"],
                "in Terraform's state": 0,
                "same machines": True,
            }
        ),
        within=5,
        hints=(
            "Two resources are Pulumi's. The third: import it, then let Terraform forget it.",
            'opts=adopt("moved") for a Cluster in moved/__main__.py, up; then terraform state rm.',
            'Cluster("moved", namespaces=["moved"], gpu_quota=2, opts=adopt("moved")); '
            "terraform -chdir=moved/terraform state rm mlplatform_cluster.team",
        ),
    ),
    "killed-mended": Check(
        title="no lock and no pending operation is left, and the state holds bucket and job",
        needs=("pulumi",),
        probe=_mended,
        expect=lambda seen: (
            seen["locks"] == 0 and seen["pending operations"] == 0 and seen["resources"] == ["backfill", "results"]
        ),
        within=5,
        hints=(
            "Two things are left of the killed run: a lock, and an operation of which nobody knows how it ended.",
            "pulumi cancel takes the lock away, pulumi refresh --clear-pending-creates the operation; then up.",
            "cd killed; touch ../go; pulumi cancel --stack dev --yes; pulumi refresh --stack dev --yes "
            '--clear-pending-creates; then stack("killed").up()',
        ),
    ),
}
