"""docs/provider.md is what the schema says, and its examples work."""

from __future__ import annotations

from pathlib import Path

import pytest
from terraform_cli import Terraform
from tf.checker import check_attributes
from tf.schema import Attribute
from tf.utils import Diagnostics

from iaclab import terraform_provider
from iaclab.terraform_provider import docs
from iaclab.terraform_provider.provider import MlPlatform

EXAMPLES = Path(terraform_provider.__file__).with_name("examples")


def every_attribute() -> list[Attribute]:
    provider = MlPlatform()
    schemas = [k.get_schema() for k in [*provider.get_resources(), *provider.get_data_sources()]]
    blocks = [block.block for schema in schemas for block in schema.block_types]
    return [attribute for holder in [*schemas, *blocks] for attribute in holder.attributes]


def test_the_page_is_fresh() -> None:
    assert docs.page().read_text() == docs.render(), "run: python -m iaclab.terraform_provider.docs"


def test_every_attribute_is_described_and_sound() -> None:
    diagnostics = Diagnostics()
    check_attributes(diagnostics, every_attribute())
    assert not diagnostics.has_errors(), str(diagnostics)
    assert [a.name for a in every_attribute() if not a.description] == []


@pytest.mark.platform
def test_the_examples_are_formatted_and_work_together(terraform: Terraform) -> None:
    terraform.run("fmt", "-check", str(EXAMPLES))
    (terraform.folder / "versions.tf").unlink()
    terraform.apply("\n".join(path.read_text() for path in sorted(EXAMPLES.glob("*.tf"))))
    assert len(terraform.addresses()) == 3
    assert terraform.outputs()["cheapest_large"] == "a100-80gb"
    assert terraform.outputs()["training_run"] == 31703.04
