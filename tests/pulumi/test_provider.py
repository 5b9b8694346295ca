"""The provider through Pulumi's own engine: what it makes, changes, finds, imports and refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest
from programs import Program

from iaclab.mlplatform import node_pools
from iaclab.mlplatform.api import Api

pytestmark = pytest.mark.platform


def uids(api: Api, pool: str) -> list[str]:
    return [str(node["metadata"]["uid"]) for node in node_pools._nodes(api, pool)]


def test_a_platform_comes_stays_and_goes(program: Program, api: Api, s3: Any) -> None:
    program.write("""
pool = GpuNodePool("whole", accelerator="l4", node_count=2, gpus_per_node=2, labels={"a_b": "c"})
bucket = ModelBucket("whole-models", lifecycle_rules=[{"id": "old", "expirationDays": 7}], tags={"owner_team": "x"})
team = Cluster("whole", namespaces=["whole"], gpu_quota=pool.total_gpus)
pulumi.export("gpus", pool.total_gpus)
pulumi.export("nodes", pool.node_names)
pulumi.export("url", bucket.url)
pulumi.export("token", team.token)
""")
    outputs = program.up()
    assert (outputs["gpus"], outputs["nodes"], outputs["url"]) == (4, ["whole-1", "whole-2"], "s3://whole-models")
    labels = node_pools._nodes(api, "whole")[0]["metadata"]["labels"]
    assert labels["a_b"] == "c", "keys of a map are the user's: they are not translated"
    rules = s3.get_bucket_lifecycle_configuration(Bucket="whole-models")["Rules"]
    assert rules[0]["Expiration"] == {"Days": 7}
    quota = api.get("/api/v1/namespaces/whole/resourcequotas/team-quota")
    assert quota and quota["spec"]["hard"]["requests.nvidia.com/gpu"] == "4"
    assert program.preview() == []
    assert program.preview(refresh=True) == []
    assert outputs["token"] not in json.dumps(program.latest), "the team's token must be encrypted in the state"
    program.run("destroy")
    assert uids(api, "whole") == [] and program.known == []


def test_a_count_changes_in_place_and_another_gpu_replaces(program: Program, api: Api) -> None:
    text = 'GpuNodePool("grow", accelerator="{0}", node_count={1}, gpus_per_node=1)'
    program.write(text.format("l4", 1)).up()
    before = uids(api, "grow")
    program.write(text.format("l4", 2)).up()
    assert uids(api, "grow")[0] == before[0], "the first machine must stay"
    program.write(text.format("a10g", 2))
    assert {step.split()[0] for step in program.preview()} == {"delete-replaced", "replace", "create-replacement"}
    program.up()
    assert not set(before) & set(uids(api, "grow"))


def test_a_refresh_finds_what_was_changed_by_hand(program: Program, s3: Any) -> None:
    program.write('ModelBucket("by-hand")').up()
    s3.put_bucket_versioning(Bucket="by-hand", VersioningConfiguration={"Status": "Suspended"})
    assert program.preview() == [], "a plain preview does not look"
    assert program.preview(refresh=True) == ["update by-hand versioning"]
    s3.delete_bucket(Bucket="by-hand")
    assert program.preview(refresh=True) == ["create by-hand"]


def test_an_import_takes_over_and_shows_what_differs(program: Program, s3: Any) -> None:
    s3.create_bucket(Bucket="theirs", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="theirs", Key="data", Body=b"kept")
    by_default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}
    s3.put_bucket_encryption(Bucket="theirs", ServerSideEncryptionConfiguration={"Rules": [by_default]})
    text = 'ModelBucket("theirs", versioning={0}, opts=pulumi.ResourceOptions(import_="theirs"))'
    assert program.write(text.format(True)).preview() == ["import theirs", "update theirs versioning"]
    assert program.write(text.format(False)).preview() == ["import theirs"]
    program.up()
    assert s3.get_object(Bucket="theirs", Key="data")["Body"].read() == b"kept"
    assert program.write('ModelBucket("theirs", versioning=False)').preview() == []


WRONG = {
    "an unknown accelerator": ('GpuNodePool("bad", accelerator="l40", node_count=1)', 'Mend: accelerator = "l40s"'),
    "too many GPUs": ('GpuNodePool("bad", accelerator="l4", node_count=1, gpus_per_node=9)', "from 1 to 8"),
    "a misspelt property": (
        'pulumi.CustomResource("mlplatform:index:ModelBucket", "bad", {"versionning": True})',
        "there is no such property",
    ),
    "a missing property": ('pulumi.CustomResource("mlplatform:index:Cluster", "bad", {})', "it is required"),
    "an unknown resource": ('pulumi.CustomResource("mlplatform:index:Quantum", "bad", {})', "There is no resource"),
    "a bad bucket name": ('ModelBucket("Bad_Name")', "is not the name of a bucket"),
}


@pytest.mark.parametrize("fault", WRONG)
def test_a_preview_refuses_in_words(fault: str, program: Program) -> None:
    text, said = WRONG[fault]
    error = program.write(text).error("preview")
    assert said in error, error
    assert "Traceback" not in error


def test_what_belongs_to_somebody_else_is_left_alone(program: Program, s3: Any) -> None:
    s3.create_bucket(Bucket="foreign", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    s3.put_object(Bucket="foreign", Key="data", Body=b"theirs")
    error = program.write('ModelBucket("before")\nModelBucket("foreign")').error("up")
    assert "The bucket foreign exists already." in error and "Traceback" not in error
    assert "foreign" not in program.known
    assert s3.get_object(Bucket="foreign", Key="data")["Body"].read() == b"theirs"


def test_a_full_bucket_is_not_deleted(program: Program, s3: Any) -> None:
    program.write('ModelBucket("full")').up()
    s3.put_object(Bucket="full", Key="model", Body=b"weights")
    error = program.error("destroy")
    assert "The bucket full is not empty." in error and "Traceback" not in error
    assert program.known == ["full"]


def test_a_pool_that_cannot_be_drained_stays_and_its_time_is_the_programs(program: Program, api: Api) -> None:
    program.write("""
short = pulumi.ResourceOptions(custom_timeouts=pulumi.CustomTimeouts(delete="3s"))
GpuNodePool("held", accelerator="l4", node_count=1, gpus_per_node=1, opts=short)
""").up()
    pod = {"nodeName": "held-1", "containers": [{"name": "model", "image": "model"}]}
    labels = {"app": "held"}
    budget = {"minAvailable": 1, "selector": {"matchLabels": labels}}
    in_default = {"name": "held", "namespace": "default", "labels": labels}
    api.apply(
        [
            {"apiVersion": "v1", "kind": "Pod", "metadata": in_default, "spec": pod},
            {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": in_default, "spec": budget},
        ]
    )
    error = program.error("destroy")
    assert "held-1 cannot be drained in 3 s" in error and "custom_timeouts" in error, error
    assert "Traceback" not in error
    assert program.known == ["held"] and len(uids(api, "held")) == 1
    api.delete("/apis/policy/v1/namespaces/default/poddisruptionbudgets/held")
    program.run("destroy")
    assert uids(api, "held") == []


def test_the_schema_names_every_resource_and_input(program: Program) -> None:
    schema = json.loads(program.cli("package", "get-schema", "mlplatform").stdout)
    assert set(schema["resources"]) == {f"mlplatform:index:{n}" for n in ("Cluster", "GpuNodePool", "ModelBucket")}
    pool = schema["resources"]["mlplatform:index:GpuNodePool"]
    assert set(pool["requiredInputs"]) == {"accelerator", "nodeCount"}
    assert schema["resources"]["mlplatform:index:Cluster"]["properties"]["token"]["secret"] is True


def test_the_catalogue_is_asked_of_the_provider(program: Program) -> None:
    text = """
from iaclab.pulumi_platform.resources import accelerator
pulumi.export("dollars", accelerator("l4")["hourlyPrice"])
"""
    assert program.write(text).up() == {"dollars": 0.8}
