"""The service `aws`: whose keys it takes, and that its data outlives its process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import Any

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws

pytestmark = pytest.mark.platform


@pytest.fixture
def profile() -> Iterator[Profile]:
    profile = lifecycle.up("aws", profile=Profile("aws-test"))
    try:
        yield profile
    finally:
        lifecycle.down(profile=profile)


def client(profile: Profile, service: str, key: str = "", secret: str = "") -> Any:
    env = profile.env()
    session = boto3.Session(
        aws_access_key_id=key or env["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=secret or env["AWS_SECRET_ACCESS_KEY"],
        region_name=env["AWS_REGION"],
    )
    quick = Config(retries={"total_max_attempts": 1})
    return session.client(service, endpoint_url=env["AWS_ENDPOINT_URL"], config=quick)


def fill(profile: Profile) -> dict[str, str]:
    """Something in several services; returns ids that AWS has made."""
    s3 = client(profile, "s3")
    s3.create_bucket(Bucket="kept", CreateBucketConfiguration={"LocationConstraint": aws.REGION})
    s3.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    ec2, iam = client(profile, "ec2"), client(profile, "iam")
    iam.create_user(UserName="robot")
    return {
        "version": s3.put_object(Bucket="kept", Key="terraform.tfstate", Body=b"{}")["VersionId"],
        "vpc": ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"],
        "key": iam.create_access_key(UserName="robot")["AccessKey"]["AccessKeyId"],
        "kms": client(profile, "kms").create_key()["KeyMetadata"]["KeyId"],
        "rsa": client(profile, "kms").create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"],
    }


def look(profile: Profile, ids: dict[str, str]) -> None:
    """Everything that `fill` made is there, under the same ids."""
    s3, kms = client(profile, "s3"), client(profile, "kms")
    found = s3.get_object(Bucket="kept", Key="terraform.tfstate", VersionId=ids["version"])
    assert found["Body"].read() == b"{}"
    assert client(profile, "ec2").describe_vpcs(VpcIds=[ids["vpc"]])["Vpcs"]
    keys = client(profile, "iam").list_access_keys(UserName="robot")["AccessKeyMetadata"]
    assert [k["AccessKeyId"] for k in keys] == [ids["key"]]
    assert ids["kms"] in {k["KeyId"] for k in kms.list_keys()["Keys"]}
    assert kms.sign(KeyId=ids["rsa"], Message=b"x", SigningAlgorithm="RSASSA_PSS_SHA_256")["Signature"]


def test_everything_is_there_again_after_down_and_up(profile: Profile) -> None:
    ids = fill(profile)
    lifecycle.down(profile=profile)
    lifecycle.up("aws", profile=profile)
    look(profile, ids)


def test_what_was_written_is_on_disk_a_moment_later_even_if_the_server_is_killed(profile: Profile) -> None:
    ids = fill(profile)
    filled, file, deadline = time.time(), profile.root / "aws" / "data.pickle", time.monotonic() + 180
    client(profile, "iam").create_user(UserName="last")  # what is written for it holds all that came before
    while not file.exists() or file.stat().st_mtime < filled:
        assert time.monotonic() < deadline, f"{file} was not written"
        time.sleep(0.05)
    (row,) = [s for s in lifecycle.status(profile) if s.name == "aws"]
    os.kill(row.processes["server"], signal.SIGKILL)
    deadline = time.monotonic() + 180
    while True:
        try:
            look(profile, ids)
            break
        except (BotoCoreError, ClientError):
            assert time.monotonic() < deadline, "the server did not come back with its data"
            time.sleep(0.2)


def test_its_data_is_for_the_owner_alone(profile: Profile) -> None:
    fill(profile)
    lifecycle.down(profile=profile)
    modes = {p.name: oct(p.stat().st_mode & 0o777) for p in (profile.root / "aws").iterdir()}
    assert set(modes.values()) == {"0o600"} and "data.pickle" in modes, modes


def test_reset_empties_it(profile: Profile) -> None:
    fill(profile)
    lifecycle.reset(profile=profile)
    assert client(profile, "s3").list_buckets()["Buckets"] == []
    lifecycle.down(profile=profile)
    lifecycle.up("aws", profile=profile)
    assert client(profile, "s3").list_buckets()["Buckets"] == [], "what was reset came back from disk"


SERVICES = (("s3", "list_buckets"), ("iam", "list_users"), ("ec2", "describe_vpcs"), ("kms", "list_keys"))


def test_a_key_of_another_profile_is_refused(profile: Profile) -> None:
    other = aws.access_key(Profile("other"))
    assert other != aws.access_key(profile)
    for service, call in SERVICES:
        with pytest.raises(ClientError, match="InvalidAccessKeyId"):
            getattr(client(profile, service, other, "x"), call)()


def test_nobody_without_a_key_may_ask_or_reset(profile: Profile) -> None:
    url = aws.endpoint(profile)
    for method, path in (("GET", "/"), ("POST", "/moto-api/reset"), ("GET", "/moto-api/data.json")):
        assert httpx.request(method, url + path, trust_env=False, timeout=60).status_code == 403, path


def test_keys_that_its_iam_and_sts_have_made_are_taken(profile: Profile) -> None:
    iam = client(profile, "iam")
    iam.create_user(UserName="robot")
    made = iam.create_access_key(UserName="robot")["AccessKey"]
    assert client(profile, "s3", made["AccessKeyId"], made["SecretAccessKey"]).list_buckets()["Buckets"] == []
    iam.create_role(RoleName="trainer", AssumeRolePolicyDocument="{}")
    arn = f"arn:aws:iam::{aws.ACCOUNT}:role/trainer"
    session = client(profile, "sts").assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
    assert client(profile, "s3", session["AccessKeyId"], session["SecretAccessKey"]).list_buckets()["Buckets"] == []


def test_the_variables_hide_an_account_that_the_shell_is_logged_in_to(
    profile: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "production")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "real")
    for key, value in profile.env().items():
        monkeypatch.setenv(key, value)
    session = boto3.Session()
    frozen = session.get_credentials().get_frozen_credentials()
    assert (frozen.access_key, frozen.token or None) == (aws.access_key(profile), None)
    assert session.client("sts").get_caller_identity()["Account"] == aws.ACCOUNT
