"""Model buckets: S3 buckets with versions, lifecycle rules, tags and encryption."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

from iaclab.errors import LabError

OWNER_TAG = "mlplatform:managed"  # hidden from `tags`: tells a bucket of ours from somebody else's
ENCRYPTION = ("AES256", "aws:kms")
_P = ParamSpec("_P")
_T = TypeVar("_T")
_connecting = threading.Lock()  # boto3's session is not made for several threads


@dataclass(frozen=True, order=True)
class Rule:
    """One lifecycle rule.

    Args:
        id: its name in the bucket.
        prefix: the keys it holds for; empty is all.
        expiration_days: delete objects (or hide them, where there are versions) this long after their upload.
        noncurrent_expiration_days: delete versions this long after they were replaced.
    """

    id: str
    prefix: str = ""
    expiration_days: int | None = None
    noncurrent_expiration_days: int | None = None


@dataclass(frozen=True)
class Bucket:
    """What a bucket is like.

    Args:
        name: as S3 allows it.
        versioning: keep every version of an object.
        encryption: of new objects, `AES256` or `aws:kms`.
        tags: of the bucket.
        rules: its lifecycle rules.
    """

    name: str
    versioning: bool = True
    encryption: str = "AES256"
    tags: dict[str, str] = field(default_factory=dict)
    rules: frozenset[Rule] = frozenset()


def connect(endpoint: str | None = None) -> Any:
    """An S3 client for `endpoint` (default: the variable AWS_ENDPOINT_URL); never for an account that nobody named.

    Raises:
        LabError: neither is set.
    """
    url = endpoint or os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not url:
        raise LabError(
            "No S3 endpoint is named.",
            why="AWS_ENDPOINT_URL must be the URL of the platform's AWS API.",
            mend='iaclab up aws && eval "$(iaclab env)"',
        )
    with _connecting:
        import boto3  # 0.3 s
        from botocore.config import Config

        settings = Config(
            connect_timeout=3, read_timeout=20, retries={"total_max_attempts": 2}, s3={"addressing_style": "path"}
        )
        return boto3.client("s3", endpoint_url=url, config=settings)


def in_words(function: Callable[_P, _T]) -> Callable[_P, _T]:
    """Turn what goes wrong on the way to S3 into a LabError."""

    @functools.wraps(function)
    def wrapped(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return function(*args, **kwargs)
        except ClientError as error:
            what = error.response.get("Error", {})
            raise LabError(
                f"S3 refuses {error.operation_name}.",
                why=f"{what.get('Code')}: {what.get('Message')}",
                mend="iaclab env   # are these the variables of your shell?",
            ) from error
        except BotoCoreError as error:
            raise LabError("The AWS API does not answer.", why=str(error), mend="iaclab up aws") from error

    return wrapped


@in_words
def refuse_foreign(s3: Any, name: str) -> None:
    """Raise a LabError where a bucket of this name is there and was not made here.

    One without tags and objects is taken for ours: a creation that was killed leaves such a bucket.
    """
    if not _exists(s3, name):
        return
    tags = _tags(s3, name)
    if OWNER_TAG not in tags and (tags or not _is_empty(s3, name)):
        raise LabError(
            f"The bucket {name} exists already.",
            why="It was made by somebody else.",
            mend="choose another name, or take it over with terraform import",
        )


@in_words
def put(s3: Any, bucket: Bucket) -> None:
    """Make S3 hold exactly this bucket; idempotent. Objects stay as they are.

    Raises:
        LabError: S3 refuses, or does not answer.
    """
    new = not _exists(s3, bucket.name)
    if new:
        region = s3.meta.region_name
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        s3.create_bucket(Bucket=bucket.name, **where)
    tags = {**bucket.tags, OWNER_TAG: "true"}
    s3.put_bucket_tagging(
        Bucket=bucket.name, Tagging={"TagSet": [{"Key": k, "Value": v} for k, v in sorted(tags.items())]}
    )
    versioning = not new and _versioning(s3, bucket.name)
    if bucket.versioning != versioning:  # a bucket that never had versions cannot be suspended
        status = "Enabled" if bucket.versioning else "Suspended"
        s3.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": status})
    by_default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": bucket.encryption}}
    s3.put_bucket_encryption(Bucket=bucket.name, ServerSideEncryptionConfiguration={"Rules": [by_default]})
    s3.put_public_access_block(
        Bucket=bucket.name,
        PublicAccessBlockConfiguration=dict.fromkeys(
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    if bucket.rules:
        rules = [_to_s3(rule) for rule in sorted(bucket.rules, key=lambda r: r.id)]
        s3.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": rules})
    elif not new:
        s3.delete_bucket_lifecycle(Bucket=bucket.name)


@in_words
def get(s3: Any, name: str) -> Bucket | None:
    """The bucket as S3 holds it, `None` where there is none."""
    if not _exists(s3, name):
        return None
    tags = {key: value for key, value in _tags(s3, name).items() if key != OWNER_TAG}
    rules = _or_none(s3.get_bucket_lifecycle_configuration, Bucket=name) or {"Rules": []}
    encryption = _or_none(s3.get_bucket_encryption, Bucket=name)
    algorithm = ""
    if encryption:
        first = encryption["ServerSideEncryptionConfiguration"]["Rules"][0]
        algorithm = first["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"]
    return Bucket(
        name=name,
        versioning=_versioning(s3, name),
        encryption=algorithm,
        tags=tags,
        rules=frozenset(_from_s3(rule) for rule in rules["Rules"]),
    )


@in_words
def delete(s3: Any, name: str, force: bool = False) -> None:
    """Delete the bucket; with `force`, every object and version in it first.

    Raises:
        LabError: it holds objects, and `force` is not set.
    """
    if not _exists(s3, name):
        return
    if force:
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=name):
            found = page.get("Versions", []) + page.get("DeleteMarkers", [])
            if found:
                keys = [{"Key": o["Key"], "VersionId": o["VersionId"]} for o in found]
                s3.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
    elif not _is_empty(s3, name):
        raise LabError(
            f"The bucket {name} is not empty.",
            why="It holds objects or earlier versions of objects, and force_destroy is false.",
            mend=f"aws s3 ls --recursive s3://{name}   # then apply with force_destroy = true, or empty it",
        )
    s3.delete_bucket(Bucket=name)


# --- S3's own forms ------------------------------------------------------------------------------------


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


def _or_none(call: Callable[..., Any], **arguments: Any) -> Any:
    """The answer, or `None` where S3 says that there is no such configuration."""
    from botocore.exceptions import ClientError

    try:
        return call(**arguments)
    except ClientError as error:
        if _code(error).startswith(("NoSuch", "ServerSideEncryptionConfigurationNotFound", "404")):
            return None
        raise


def _exists(s3: Any, name: str) -> bool:
    return _or_none(s3.head_bucket, Bucket=name) is not None


def _tags(s3: Any, name: str) -> dict[str, str]:
    found = _or_none(s3.get_bucket_tagging, Bucket=name) or {"TagSet": []}
    return {tag["Key"]: tag["Value"] for tag in found["TagSet"]}


def _versioning(s3: Any, name: str) -> bool:
    return bool(s3.get_bucket_versioning(Bucket=name).get("Status") == "Enabled")


def _is_empty(s3: Any, name: str) -> bool:
    found = s3.list_object_versions(Bucket=name, MaxKeys=1)
    return not (found.get("Versions") or found.get("DeleteMarkers"))


def _to_s3(rule: Rule) -> dict[str, Any]:
    entry: dict[str, Any] = {"ID": rule.id, "Status": "Enabled", "Filter": {"Prefix": rule.prefix}}
    if rule.expiration_days is not None:
        entry["Expiration"] = {"Days": rule.expiration_days}
    if rule.noncurrent_expiration_days is not None:
        entry["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule.noncurrent_expiration_days}
    return entry


def _from_s3(entry: dict[str, Any]) -> Rule:
    days = entry.get("Expiration", {}).get("Days")
    noncurrent = entry.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays")
    prefix = entry.get("Filter", {}).get("Prefix", entry.get("Prefix", ""))
    return Rule(entry["ID"], prefix or "", days, noncurrent)
