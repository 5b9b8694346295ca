"""One running platform for the whole folder: `argocd` with all that it needs, and `cluster-b`."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from running import command, processes_of

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

SERVICES = ("argocd", "cluster-b", "gpu-nodes")


@pytest.fixture(scope="package")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    """The shared profile, started once and taken down at the end; tests ask for `platform`."""
    profile = Profile("shared", state=tmp_path_factory.mktemp("shared"))
    lifecycle.up(*SERVICES, profile=profile)
    try:
        yield profile
    finally:
        lifecycle.down(profile=profile)


@pytest.fixture
def platform(shared: Profile, own_state: None) -> Profile:
    """The shared profile with everything up again, whatever the test before did to it."""
    return lifecycle.up(*SERVICES, profile=shared)


@pytest.fixture
def own(own_state: None) -> Iterator[Profile]:
    """A profile for one test; nothing of it runs yet, nothing of it is left."""
    profile = Profile("own")
    yield profile
    lifecycle.down(profile=profile)
    assert not processes_of(profile), "`down` left processes behind"


@pytest.fixture
def iaclab() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs the command `iaclab` on a profile and returns what it did."""

    def run(profile: Profile, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "IACLAB_STATE": str(profile.state), "IACLAB_PROFILE": profile.name, "COLUMNS": "200"}
        return subprocess.run(command(*args), env=env | variables, capture_output=True, text=True, timeout=240)

    return run
