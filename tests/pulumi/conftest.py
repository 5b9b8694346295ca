"""One platform for the tests of Pulumi, and a program in a fresh folder for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from programs import Program

from iaclab.mlplatform.api import Api
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws


@pytest.fixture(scope="package")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """A running cluster, AWS' API and Pulumi's settings for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IACLAB_STATE", str(tmp_path_factory.mktemp("state")))
        patch.delenv("IACLAB_KUBECONFIG", raising=False)
        profile = Profile("pulumi")
        try:
            lifecycle.up("cluster", "aws", "terraform", "pulumi", profile=profile)
            yield profile
        finally:
            lifecycle.down(profile=profile)


@pytest.fixture(scope="package")
def environment(profile: Profile) -> dict[str, str]:
    """The variables of a learner's shell."""
    return {**os.environ, **profile.env()}


@pytest.fixture
def program(environment: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest) -> Program:
    """A project with the test's own name; what it makes stays until the platform goes."""
    name = request.node.name.split("[")[0].removeprefix("test_").replace("_", "-")[:40].strip("-")
    return Program(tmp_path / name, dict(environment))


@pytest.fixture
def api(environment: dict[str, str]) -> Api:
    """The cluster's API."""
    return Api(Path(environment["KUBECONFIG"]))


@pytest.fixture
def s3(profile: Profile) -> Any:
    """An S3 client with the profile's keys."""
    return aws.s3(profile)
