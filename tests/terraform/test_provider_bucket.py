"""mlplatform_model_bucket through the real terraform, on moto's S3."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from terraform_cli import Terraform

pytestmark = pytest.mark.platform

ADDRESS = "mlplatform_model_bucket.models"
RULE = """
  lifecycle_rule {
    id              = "scratch"
    prefix          = "tmp/"
    expiration_days = 7
  }
"""


def bucket(name: str, more: str = "") -> str:
    return f"""
resource "mlplatform_model_bucket" "models" {{
  name = "{name}"
  {more}
}}
"""


def tags(s3: Any, name: str) -> dict[str, str]:
    return {t["Key"]: t["Value"] for t in s3.get_bucket_tagging(Bucket=name)["TagSet"]}


def algorithm(s3: Any, name: str) -> str:
    rules = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]["Rules"]
    return str(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])


def exists(s3: Any, name: str) -> bool:
    return name in {b["Name"] for b in s3.list_buckets()["Buckets"]}


def test_a_bucket_has_versions_encryption_rules_and_tags(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("create-models", f'tags = {{ team = "vision" }}\n{RULE}'))
    assert s3.get_bucket_versioning(Bucket="create-models")["Status"] == "Enabled"
    assert algorithm(s3, "create-models") == "AES256"
    assert tags(s3, "create-models")["team"] == "vision"
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket="create-models")["Rules"]
    assert (rule["ID"], rule["Expiration"]["Days"], rule["Filter"]["Prefix"]) == ("scratch", 7, "tmp/")
    assert all(s3.get_public_access_block(Bucket="create-models")["PublicAccessBlockConfiguration"].values())
    s3.put_object(Bucket="create-models", Key="model.bin", Body=b"weights")
    state = terraform.state(ADDRESS)
    assert (state["arn"], state["url"]) == ("arn:aws:s3:::create-models", "s3://create-models")
    assert terraform.actions() == {}


def test_a_change_is_made_in_place(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("update-models", f'tags = {{ a = "1", b = "1" }}\n{RULE}'))
    s3.put_object(Bucket="update-models", Key="kept", Body=b"1")
    more = 'tags = { b = "2" }\nversioning = false\nencryption = "aws:kms"'
    assert terraform.actions(bucket("update-models", more)) == {ADDRESS: "update"}
    terraform.apply()
    assert s3.get_object(Bucket="update-models", Key="kept")["Body"].read() == b"1"
    assert s3.get_bucket_versioning(Bucket="update-models")["Status"] == "Suspended"
    assert algorithm(s3, "update-models") == "aws:kms"
    assert tags(s3, "update-models") == {"b": "2", "mlplatform:managed": "true"}
    with pytest.raises(ClientError, match="NoSuchLifecycleConfiguration"):
        s3.get_bucket_lifecycle_configuration(Bucket="update-models")
    assert terraform.actions() == {}


def test_a_default_comes_back_when_the_attribute_is_removed(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("default-models", "versioning = false"))
    assert "Status" not in s3.get_bucket_versioning(Bucket="default-models")
    terraform.apply(bucket("default-models"))
    assert s3.get_bucket_versioning(Bucket="default-models")["Status"] == "Enabled"


@pytest.mark.parametrize(
    ("what", "field", "seen"),
    [
        ("a tag was removed", "tags", {}),
        ("a tag was added", "tags", {"team": "vision", "x": "1"}),
        ("versions were suspended", "versioning", False),
        ("the encryption was removed", "encryption", ""),
        ("the rules were removed", "lifecycle_rule", []),
    ],
)
def test_what_was_changed_by_hand_is_seen_and_undone(
    terraform: Terraform, s3: Any, unique: str, what: str, field: str, seen: object
) -> None:
    name = unique
    terraform.apply(bucket(name, f'tags = {{ team = "vision" }}\n{RULE}'))
    before = terraform.state(ADDRESS)
    ours = {"Key": "mlplatform:managed", "Value": "true"}
    match what:
        case "a tag was removed":
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [ours]})
        case "a tag was added":
            more = [{"Key": "team", "Value": "vision"}, {"Key": "x", "Value": "1"}]
            s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [ours, *more]})
        case "versions were suspended":
            s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Suspended"})
        case "the encryption was removed":
            s3.delete_bucket_encryption(Bucket=name)
        case _:
            s3.delete_bucket_lifecycle(Bucket=name)
    assert terraform.refreshed(ADDRESS)[field] == seen, what
    terraform.apply()
    assert terraform.state(ADDRESS) == before
    assert terraform.actions() == {}


def test_a_bucket_that_was_deleted_by_hand_is_made_again(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("gone-models"))
    s3.delete_bucket(Bucket="gone-models")
    assert terraform.actions() == {ADDRESS: "create"}
    terraform.apply()
    assert exists(s3, "gone-models")


def test_a_new_name_replaces_the_bucket(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("first-models"))
    assert terraform.actions(bucket("second-models")) == {ADDRESS: "replace"}
    terraform.apply()
    assert exists(s3, "second-models") and not exists(s3, "first-models")


def test_a_bucket_with_objects_is_destroyed_by_force_only(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("full-models"))
    for body in (b"one", b"two"):
        s3.put_object(Bucket="full-models", Key="model.bin", Body=body)
    s3.delete_object(Bucket="full-models", Key="model.bin")
    said = terraform.run("destroy", "-auto-approve", "-no-color", fails=True)
    assert "The bucket full-models is not empty." in said and "force_destroy" in said
    assert terraform.addresses() == [ADDRESS], "a bucket that is still there was dropped from the state"
    terraform.apply(bucket("full-models", "force_destroy = true"))
    terraform.run("destroy", "-auto-approve")
    assert not exists(s3, "full-models")


def test_an_existing_bucket_is_imported_as_it_is(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("imported-models", f'tags = {{ team = "vision" }}\n{RULE}'))
    before = terraform.state(ADDRESS)
    terraform.run("state", "rm", ADDRESS)
    terraform.run("import", ADDRESS, "imported-models")
    assert terraform.state(ADDRESS) == before
    assert terraform.actions() == {}


def test_a_bucket_of_somebody_else_is_refused_until_it_is_imported(terraform: Terraform, s3: Any) -> None:
    s3.create_bucket(Bucket="foreign-models", CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name})
    s3.put_object(Bucket="foreign-models", Key="theirs", Body=b"1")
    said = terraform.apply(bucket("foreign-models"), fails=True)
    assert "The bucket foreign-models exists already." in said
    assert terraform.addresses() == []
    terraform.run("import", ADDRESS, "foreign-models")
    terraform.apply()
    assert s3.get_object(Bucket="foreign-models", Key="theirs")["Body"].read() == b"1"


def test_a_bucket_whose_state_was_lost_is_taken_over(terraform: Terraform, s3: Any) -> None:
    terraform.apply(bucket("lost-models", f'tags = {{ team = "vision" }}\n{RULE}'))
    s3.put_object(Bucket="lost-models", Key="kept", Body=b"1")
    (terraform.folder / "terraform.tfstate").unlink()
    assert "The bucket lost-models existed already" in terraform.apply()
    assert s3.get_object(Bucket="lost-models", Key="kept")["Body"].read() == b"1"
    assert terraform.actions() == {}
