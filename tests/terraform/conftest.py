"""One platform for the provider's tests, and Terraform in a fresh folder for each."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from terraform_cli import REQUIRE, Terraform

from iaclab.mlplatform.api import Api
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile


@pytest.fixture(scope="package")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A running cluster, AWS' API and Terraform's settings for all tests: the variables of a learner's shell."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IACLAB_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("IACLAB_KUBECONFIG", raising=False)
        profile = Profile("acceptance")
        try:
            lifecycle.up("cluster", "aws", "terraform", profile=profile)
            yield {**os.environ, **profile.env()}
        finally:
            lifecycle.down(profile=profile)


@pytest.fixture(scope="package")
def initialised(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Terraform:
    """A folder after `terraform init`, to copy."""
    terraform = Terraform(tmp_path_factory.mktemp("initialised"), environment)
    terraform.write(REQUIRE).run("init")
    return terraform


@pytest.fixture
def terraform(initialised: Terraform, tmp_path: Path) -> Terraform:
    """Terraform in a fresh folder. What a test makes stays until the platform goes: a namespace takes 5 s to end."""
    folder = tmp_path / "configuration"
    shutil.copytree(initialised.folder, folder, symlinks=True)
    (folder / "main.tf").rename(folder / "versions.tf")
    return Terraform(folder, dict(initialised.env))


_numbers = itertools.count(1)


@pytest.fixture
def unique() -> str:
    """A name that no other test uses, for tests that run with several parameters."""
    return f"unique-{next(_numbers)}"


@pytest.fixture
def api(environment: dict[str, str]) -> Api:
    """The cluster's API."""
    return Api(Path(environment["KUBECONFIG"]))


@pytest.fixture
def s3(environment: dict[str, str]) -> Any:
    """An S3 client with the profile's keys."""
    import boto3

    return boto3.Session(
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
    ).client("s3", endpoint_url=environment["AWS_ENDPOINT_URL"])
