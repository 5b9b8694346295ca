"""While the platform is down, or its variables are not set: the error says so, and no state is lost."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from terraform_cli import Terraform

pytestmark = pytest.mark.platform

POOL = """
resource "mlplatform_gpu_node_pool" "x" {
  name        = "%s"
  accelerator = "l4"
  node_count  = 1
}
"""
BUCKET = 'resource "mlplatform_model_bucket" "x" { name = "%s" }'


@pytest.fixture
def down(terraform: Terraform, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The variables of a platform that does not run: its port is closed, and nobody else can open it meanwhile."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        config = yaml.safe_load(Path(terraform.env["KUBECONFIG"]).read_text())
        config["clusters"][0]["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path = tmp_path / "down"
        path.write_text(yaml.safe_dump(config))
        yield {**terraform.env, "KUBECONFIG": str(path), "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


def words(said: str) -> str:
    return " ".join(said.replace("│", " ").split())


def test_without_a_cluster_the_command_that_mends_is_named(terraform: Terraform, down: dict[str, str]) -> None:
    terraform.env = down
    said = words(terraform.apply(POOL % "down-pool", fails=True))
    assert "The cluster does not answer." in said and "Mend: iaclab up cluster" in said
    assert terraform.addresses() == []


def test_without_s3_the_command_that_mends_is_named(terraform: Terraform, down: dict[str, str]) -> None:
    terraform.env = down
    said = words(terraform.apply(BUCKET % "down-models", fails=True))
    assert "The AWS API does not answer." in said and "Mend: iaclab up aws" in said


def test_nothing_is_forgotten_while_the_platform_is_down(terraform: Terraform, down: dict[str, str]) -> None:
    up = terraform.env
    terraform.apply(POOL % "kept" + BUCKET % "kept-models")
    terraform.env = down
    said = words(terraform.run("plan", "-no-color", fails=True))
    assert "The cluster does not answer." in said and "The AWS API does not answer." in said
    terraform.run("destroy", "-auto-approve", "-refresh=false", fails=True)
    assert sorted(terraform.addresses()) == ["mlplatform_gpu_node_pool.x", "mlplatform_model_bucket.x"]
    terraform.env = up
    assert terraform.actions() == {}


@pytest.mark.parametrize(
    ("variable", "hcl", "said_first"),
    [
        ("KUBECONFIG", POOL % "unset", "No cluster is named."),
        ("AWS_ENDPOINT_URL", BUCKET % "unset-models", "No S3 endpoint is named."),
    ],
)
def test_no_cluster_and_no_account_is_used_that_nobody_named(
    terraform: Terraform, variable: str, hcl: str, said_first: str
) -> None:
    terraform.env = {key: value for key, value in terraform.env.items() if key != variable}
    said = words(terraform.apply(hcl, fails=True))
    assert said_first in said and 'eval "$(iaclab env)"' in said


def test_what_needs_no_platform_works_without_one(terraform: Terraform, down: dict[str, str]) -> None:
    terraform.env = down
    terraform.write(POOL % "valid")
    terraform.run("validate")
    terraform.apply('output "c" { value = provider::mlplatform::gpu_hours_cost("l4", 1, 10) }')
    assert terraform.outputs() == {"c": 8}


def test_a_provider_block_may_name_the_platform(terraform: Terraform, down: dict[str, str]) -> None:
    """As for a second cluster, by an alias."""
    config, url = terraform.env["KUBECONFIG"], terraform.env["AWS_ENDPOINT_URL"]
    terraform.env = down
    block = f'provider "mlplatform" {{\n kubeconfig = "{config}"\n s3_endpoint = "{url}"\n}}\n'
    terraform.apply(block + POOL % "named" + BUCKET % "named-models")
    assert len(terraform.addresses()) == 2
