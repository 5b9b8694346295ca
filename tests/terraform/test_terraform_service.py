"""The service `terraform`: the mirror, and what a lesson's shell gets."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from terraform_cli import REQUIRE, Terraform

from iaclab import tools
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.terraform_provider import SOURCE

pytestmark = pytest.mark.platform


@pytest.fixture
def profile() -> Iterator[Profile]:
    profile = lifecycle.up("terraform", profile=Profile("settings"))
    yield profile
    lifecycle.down(profile=profile)


def test_it_is_ready_without_a_process(profile: Profile) -> None:
    (row,) = [s for s in lifecycle.status(profile) if s.name == "terraform"]
    assert (row.state, row.processes) == ("ready", {})


def test_a_lock_file_of_one_profile_holds_in_another(profile: Profile, tmp_path: Path) -> None:
    other = lifecycle.up("terraform", profile=Profile("other"))
    lifecycle.down(profile=other)
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    Terraform(first, {**os.environ, **profile.env()}).write(REQUIRE).run("init")
    second.mkdir()
    for name in ("main.tf", ".terraform.lock.hcl"):
        shutil.copy(first / name, second)
    Terraform(second, {**os.environ, **other.env()}).run("init", "-lockfile=readonly")


def test_the_provider_starts_in_a_shell_without_the_variables_too(profile: Profile, tmp_path: Path) -> None:
    terraform = Terraform(tmp_path, {**os.environ, **profile.env()}).write(REQUIRE)
    terraform.run("init")
    terraform.env = {"PATH": "/usr/bin:/bin:" + str(Path(str(shutil.which("terraform"))).parent), "HOME": str(tmp_path)}
    assert "mlplatform_gpu_node_pool" in terraform.run("providers", "schema", "-json")


@pytest.mark.parametrize("name", ["time", "kubectl"])
def test_a_provider_in_the_cache_is_served_without_the_registry(profile: Profile, tmp_path: Path, name: str) -> None:
    here = tools.find(f"terraform-provider-{name}")
    if here is None:
        pytest.skip(f"terraform-provider-{name} is not here: iaclab tools install terraform-provider-{name}")
    source = {"time": "hashicorp/time", "kubectl": "gavinbunney/kubectl"}[name]
    (tmp_path / "main.tf").write_text(REQUIRE.replace(SOURCE, source).replace("mlplatform", name))
    done = subprocess.run(
        ["terraform", "init", "-no-color"],
        cwd=tmp_path,
        env={**os.environ, **profile.env()},
        capture_output=True,
        text=True,
    )
    assert f"Installed {source} v{here.version}" in done.stdout, done.stdout + done.stderr
