"""AWS' API on this machine (moto): S3, IAM, STS, EC2, EKS, DynamoDB, KMS, Secrets Manager and more, no account.

Its variables replace any AWS account that the user's shell is logged in to, so that nothing real is ever touched.
"""

from __future__ import annotations

import base64
import hashlib
import sys
from typing import Any

import httpx

from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

REGION = "eu-west-1"
ACCOUNT = "123456789012"  # moto's own


def endpoint(profile: Profile) -> str:
    """The URL that serves every AWS API."""
    return f"http://{HOST}:{profile.port('aws')}"


def access_key(profile: Profile) -> str:
    """The profile's access key id: 20 characters as AWS makes them, from a random credential."""
    digest = hashlib.sha256(profile.secret("aws-access-key").encode()).digest()
    return "AKIA" + base64.b32encode(digest).decode()[:16]


def s3(profile: Profile) -> Any:
    """An S3 client (boto3) with the profile's own keys, whatever the shell's variables say."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=endpoint(profile),
        region_name=REGION,
        aws_access_key_id=access_key(profile),
        aws_secret_access_key=profile.secret("aws-secret-key"),
        config=Config(connect_timeout=3, read_timeout=20, s3={"addressing_style": "path"}),
    )


def _write_settings(profile: Profile) -> None:
    """The files behind the variables: a client that reads only files finds this API too, never a real account."""
    folder = profile.folder("aws")
    write_private(
        folder / "credentials",
        f"""[default]
aws_access_key_id = {access_key(profile)}
aws_secret_access_key = {profile.secret("aws-secret-key")}
""",
    )
    write_private(
        folder / "config",
        f"""[default]
region = {REGION}
endpoint_url = {endpoint(profile)}
s3 =
    addressing_style = path
""",
    )


def _programs(profile: Profile) -> list[Program]:
    _write_settings(profile)
    data = profile.folder("aws") / "data.pickle"
    return [
        Program(
            "server",
            [sys.executable, "-m", "iaclab.platform.aws_server", HOST, str(profile.port("aws")), str(data)],
            env={**_env(profile), "IACLAB_AWS_KEY": access_key(profile)},
            ports=("aws",),
        )
    ]


def _ask(profile: Profile, method: str, path: str) -> httpx.Response:
    """One request in the profile's name; moto reads the key and the service from this header."""
    scope = f"{access_key(profile)}/20260101/{REGION}/s3/aws4_request"
    header = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    return httpx.request(
        method, endpoint(profile) + path, headers={"Authorization": header}, timeout=10, trust_env=False
    )


def _ready(profile: Profile) -> str | None:
    try:
        answer = _ask(profile, "GET", "/")
    except httpx.HTTPError as error:
        return f"it does not answer ({type(error).__name__})"
    return None if "ListAllMyBucketsResult" in answer.text else f"listing buckets says {answer.status_code}"


def _env(profile: Profile) -> dict[str, str]:
    folder = profile.root / "aws"
    return {
        "AWS_ACCESS_KEY_ID": access_key(profile),
        "AWS_SECRET_ACCESS_KEY": profile.secret("aws-secret-key"),
        "AWS_SESSION_TOKEN": "",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint(profile),
        "AWS_PROFILE": "default",
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def _clear(profile: Profile) -> None:
    _ask(profile, "POST", "/moto-api/reset").raise_for_status()


SERVICES = [
    Service(
        name="aws",
        title="AWS' API (moto): S3, IAM, EC2, EKS, KMS and more",
        programs=_programs,
        ready=_ready,
        env=_env,
        clear=_clear,
    )
]
