"""The lecture's checks say no where the work was not done, or was done in a way that harms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from programs import Program

from iaclab.checks.pulumi import CHECKS
from iaclab.checks.record import Check, Result
from iaclab.mlplatform import buckets, node_pools
from iaclab.mlplatform.api import Api
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform


def look(name: str, profile: Profile) -> Result:
    """The check's answer now, without its patience."""
    entry = CHECKS[name]
    return Check(entry.title, entry.probe, entry.expect, entry.hints, needs=entry.needs).run(profile)


def program(folder: Path, name: str, env: dict[str, str], text: str) -> Program:
    written = Program(folder / name, env).write(text)
    written.up()
    return written


@pytest.mark.parametrize("name", CHECKS)
def test_on_a_platform_where_nothing_was_done_every_check_says_no(
    name: str, profile: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    answer = look(name, profile)
    assert not answer.passed and not answer.away, answer
    assert answer.hint == CHECKS[name].hints[0]
    assert "Traceback" not in answer.seen


def test_three_new_machines_are_not_one_more(profile: Profile, environment: dict[str, str], tmp_path: Path) -> None:
    text = 'GpuNodePool("ranker", accelerator="l4", node_count={0}, gpus_per_node=2)'
    made = program(tmp_path, "serving", environment, text.format(3))
    answer = look("third-node", profile)
    assert not answer.passed and "the first two stayed: False" in answer.seen, answer
    made.run("destroy")
    made.write(text.format(2)).up()
    assert not look("third-node", profile).passed
    made.write(text.format(3)).up()
    assert look("third-node", profile).passed


def test_a_quota_that_is_written_down_is_not_read(
    profile: Profile, environment: dict[str, str], tmp_path: Path
) -> None:
    program(tmp_path, "models", environment, 'Cluster("layered", namespaces=["layered"], gpu_quota=4)')
    answer = look("quota-from-reference", profile)
    assert not answer.passed and "quota: 4" in answer.seen, answer


def test_a_bucket_that_was_deleted_is_not_released(
    profile: Profile, environment: dict[str, str], tmp_path: Path
) -> None:
    made = program(tmp_path, "rename", environment, 'ModelBucket("models", name="rename-models")')
    assert not look("released", profile).passed, "it is still managed"
    made.run("destroy")
    assert not look("released", profile).passed, "it is gone"


def test_machines_that_were_made_again_were_not_migrated(
    profile: Profile, environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, api: Api, s3: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    pool = node_pools.NodePool("moved", "l4", 2, 1, ("eu-west-1a", "eu-west-1b"))
    node_pools.put(api, pool)
    buckets.put(s3, buckets.Bucket("moved-models", tags={"team": "moved"}))
    Path("moved/terraform").mkdir(parents=True)
    Path("moved/terraform/terraform.tfstate").write_text(json.dumps({"resources": []}))
    uids = " ".join(n["metadata"]["uid"] for n in node_pools._nodes(api, "moved"))
    Path("moved/machines.txt").write_text(uids)
    text = """
def adopt(id):
    return pulumi.ResourceOptions(import_=id)
zones = ["eu-west-1a", "eu-west-1b"]
GpuNodePool("moved", accelerator="l4", node_count=2, gpus_per_node=1, zones=zones, opts=adopt("moved"))
ModelBucket("models", name="moved-models", tags={"team": "moved"}, opts=adopt("moved-models"))
"""
    (tmp_path / "code").mkdir()
    made = program(tmp_path / "code", "moved", environment, text)
    assert not look("migrated", profile).passed, "the team is missing"
    made.write(text + 'Cluster("moved", namespaces=["moved"], gpu_quota=2)').up()
    assert look("migrated", profile).passed
    Path("moved/terraform/terraform.tfstate").write_text(json.dumps({"resources": [{"type": "x"}]}))
    assert not look("migrated", profile).passed, "Terraform still manages something"
    Path("moved/terraform/terraform.tfstate").write_text(json.dumps({"resources": []}))
    node_pools.delete(api, "moved")
    node_pools.put(api, pool)
    answer = look("migrated", profile)
    assert not answer.passed and "same machines: False" in answer.seen, answer
