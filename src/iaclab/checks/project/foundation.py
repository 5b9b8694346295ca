"""What is wrong with the foundation: namespaces, quotas, node pools, buckets, and the state that knows of them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from iaclab.checks.project import look
from iaclab.checks.project.look import Object
from iaclab.checks.project.spec import GPU_QUOTA, POOL, REGIONS, STATE_BUCKET, TEAMS, Region
from iaclab.mlplatform import buckets
from iaclab.mlplatform.node_pools import POOL_LABEL
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws, cluster

PLAN = "bin/plan"
_WANTED = {"mlplatform_cluster": 4, "mlplatform_gpu_node_pool": 2, "mlplatform_model_bucket": 4}


def regions(profile: Profile) -> Iterator[str]:
    """Each region has both teams' namespaces with their quota, the node pool, and both teams' buckets."""
    s3 = aws.s3(profile)
    for region in REGIONS:
        for team in TEAMS:
            yield from _namespace(profile, region, team)
            bucket = buckets.get(s3, region.bucket(team))
            if bucket is None:
                yield f"there is no bucket {region.bucket(team)}"
            elif not bucket.versioning:
                yield f"the bucket {region.bucket(team)} keeps no versions"
        gpus = sum(int(node["status"]["allocatable"].get(cluster.GPU, 0)) for node in _pool(profile, region))
        if gpus != region.pool_gpus:
            yield f"the pool {POOL} in {region.name} has {gpus} GPUs, not {region.pool_gpus}"


def _namespace(profile: Profile, region: Region, team: str) -> Iterator[str]:
    there = look.api(profile, region).get(f"/api/v1/namespaces/{team}")
    if there is None:
        yield f"{region.name} has no namespace {team}"
        return
    if (label := there["metadata"].get("labels", {}).get("team")) != team:
        yield f"the namespace {team} in {region.name} has the label team={label or ''}"
    quotas = look.items(profile, region, f"/api/v1/namespaces/{team}/resourcequotas")
    hard = [str(q["spec"]["hard"][GPU_QUOTA]) for q in quotas if GPU_QUOTA in q["spec"].get("hard", {})]
    if str(region.quota) not in hard:
        yield f"the quota of {GPU_QUOTA} of {team} in {region.name} is {hard[0] if hard else 'absent'}"


def _pool(profile: Profile, region: Region) -> list[Object]:
    return look.items(profile, region, f"/api/v1/nodes?labelSelector={POOL_LABEL}%3D{POOL}")


def state(profile: Profile) -> Iterator[str]:
    """The state is in a versioned bucket, behind a lock, holds the foundation, and agrees with main."""
    s3 = aws.s3(profile)
    kept = buckets.get(s3, STATE_BUCKET)
    if kept is None:
        yield f"there is no bucket {STATE_BUCKET}"
        return
    if not kept.versioning:
        yield f"the bucket {STATE_BUCKET} keeps no versions"
    with look.clone(profile) as folder:
        done = look.run(profile, folder, PLAN)
        if done.returncode != 0:
            what = "sees differences" if done.returncode == 2 else f"ends with {done.returncode}"
            yield f"{PLAN} {what} in a fresh clone: {look.last_words(done)}"
        backends = list(_backends(folder))
    if not any(type_ == "s3" and config.get("bucket") == STATE_BUCKET for type_, config in backends):
        yield f"{PLAN} has initialised no S3 backend with the bucket {STATE_BUCKET}"
    elif not all(config.get("use_lockfile") for type_, config in backends if type_ == "s3"):
        yield "the backend takes no lock: use_lockfile"
    found = held(profile)
    for kind, count in _WANTED.items():
        if found[kind] < count:
            yield f"the states in {STATE_BUCKET} hold {found[kind]} {kind}, not {count}"


def held(profile: Profile) -> Counter[str]:
    """How many instances of each type the newest states hold together."""
    s3 = aws.s3(profile)
    found: Counter[str] = Counter()
    for entry in s3.list_objects_v2(Bucket=STATE_BUCKET).get("Contents", []):
        if not entry["Key"].endswith(".tflock"):
            document = json.loads(s3.get_object(Bucket=STATE_BUCKET, Key=entry["Key"])["Body"].read())
            for resource in document.get("resources", []):
                found[resource["type"]] += len(resource["instances"])
    return found


def _backends(folder: Path) -> Iterator[tuple[str, Object]]:
    """Type and settings of every backend that was initialised in a clone."""
    for path in folder.rglob(".terraform/terraform.tfstate"):
        backend = json.loads(path.read_text()).get("backend") or {}
        yield str(backend.get("type")), {k: v for k, v in (backend.get("config") or {}).items() if v is not None}
