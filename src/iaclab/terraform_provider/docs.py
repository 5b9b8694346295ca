"""docs/provider.md from the provider's schema: `python -m iaclab.terraform_provider.docs`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from tf.iface import AbstractResource
from tf.schema import Attribute, NestedBlock
from tf.types import Unknown
from tf.utils import Diagnostics

from iaclab import paths
from iaclab.errors import LabError
from iaclab.mlplatform.accelerators import accelerators
from iaclab.terraform_provider.provider import MlPlatform

_EXAMPLES = Path(__file__).with_name("examples")
_HEAD = """# The Terraform provider `mlplatform`

<!-- Made by `python -m iaclab.terraform_provider.docs` from the provider's schema: edit that. -->

It manages the course's ML platform: teams and GPU node pools in the local cluster, model buckets in the local S3.
What it makes is real there: quotas hold, and pods are scheduled on its nodes. `iaclab up cluster aws terraform` starts
what it needs, and `eval "$(iaclab env)"` sets the variables by which `terraform init` finds it.
"""
_CATALOGUE = """## The accelerator catalogue

Prices are for one GPU and one hour, in US dollars: public on-demand list prices of AWS EC2 (us-east-1, as published in
2025), the machine's price over its GPUs, rounded. They are examples for exercises, not offers.

| accelerator | `nvidia.com/gpu.product` | memory | price | CPUs and memory with each GPU | from machine |
|---|---|---|---|---|---|"""
_GAPS = """## What the provider cannot do

It is written in Python on [`tf`](https://python-tf.readthedocs.io) 1.2, which leaves out parts of Terraform's schema:

- no object, tuple or dynamic types, and no nested attributes: what would be a list of objects is a map for each
  field, by name (`mlplatform_accelerators`)
- nested blocks are sets only, no lists and no single blocks: they have no order, and `timeouts` is a set of one
- a diagnostic cannot point into a set: one about a block stands at the resource and names the field
- no write-only attributes and no ephemeral resources: `token` and `kubeconfig` are in the state, in clear text
- a function's error cannot say which argument is wrong; its text does
- a destroy is not planned with the provider: what forbids it shows at apply
- no `moved` between resources of different types
- defaults inside nested blocks: a field that is left out is null there

Three faults of `tf` 1.2.0 are mended in `src/iaclab/terraform_provider/mends.py`, each with a test: unknown values of
which something is known (`jsonencode` of an unknown) are decoded, a default comes back when its attribute is removed,
and what follows from the configuration (names, costs) is known in the plan of a new resource.
"""


def render() -> str:
    """The whole page."""
    provider = MlPlatform()
    settings = provider.get_provider_schema(Diagnostics())
    parts = [_HEAD, _example("provider"), "## Settings\n", *_attributes(settings.attributes)]
    for title, kinds in (("Resources", provider.get_resources()), ("Data sources", provider.get_data_sources())):
        parts.append(f"## {title}\n")
        for kind in kinds:
            parts += _kind(kind, provider.get_model_prefix())
    parts.append("## Functions\n")
    for function in provider.get_functions():
        signature, name = function.get_signature(), function.get_name()
        words = ", ".join(f"{p.name} {_type(p.type.tf_type())}" for p in signature.parameters)
        result = _type(signature.return_type.type.tf_type())
        parts += [f"### `provider::mlplatform::{name}({words})` → {result}\n", signature.description + "\n"]
        parts += [f"- `{p.name}`: {p.description}" for p in signature.parameters]
        parts += ["", _example(name)]
    parts += [_CATALOGUE, *_accelerators(), _GAPS]
    return "\n".join(parts)


def _kind(kind: type[AbstractResource], prefix: str) -> Iterator[str]:
    schema, name = kind.get_schema(), kind.get_name()
    yield f"### `{prefix}{name}`\n"
    yield f"{schema.description}\n"
    yield _example(name)
    yield from _attributes(schema.attributes)
    for block in schema.block_types:
        yield from _block(block)
    if hasattr(kind, "import_"):
        yield f"Import: `terraform import {prefix}{name}.NAME ID`, where the id is its `name`.\n"


def _example(name: str) -> str:
    return f"```hcl\n{(_EXAMPLES / f'{name}.tf').read_text().rstrip()}\n```\n"


def _block(block: NestedBlock) -> Iterator[str]:
    often = "at most one" if block.max_items == 1 else "any number, in any order"
    yield f"Block `{block.type_name}` ({often}):\n"
    yield from _attributes(block.block.attributes)


def _attributes(attributes: Iterable[Attribute]) -> Iterator[str]:
    yield "| attribute | type | | |"
    yield "|---|---|---|---|"
    for attribute in attributes:
        kind = _type(attribute.type.tf_type())
        yield f"| `{attribute.name}` | {kind} | {_notes(attribute)} | {attribute.description} |"
    yield ""


def _notes(attribute: Attribute) -> str:
    notes = ["required" if attribute.required else "optional" if attribute.optional else "computed"]
    if attribute.default is not Unknown:
        notes.append(f"default `{json.dumps(attribute.default)}`")
    if attribute.requires_replace:
        notes.append("a change replaces the resource")
    if attribute.sensitive:
        notes.append("sensitive")
    return ", ".join(notes)


def _type(encoded: bytes) -> str:
    """Terraform's JSON for a type, in words: `["map","string"]` is map of string."""
    kind = json.loads(encoded)
    return str(kind) if isinstance(kind, str) else " of ".join(kind)


def _accelerators() -> Iterator[str]:
    for a in accelerators().values():
        share = f"{a.cpu}, {a.memory_gib} GiB"
        yield f"| `{a.name}` | {a.product} | {a.memory_gb} GB | {a.hourly_usd:.2f} | {share} | {a.machine} |"
    yield ""


def page() -> Path:
    """Where the page lies.

    Raises:
        LabError: this is not a clone of the course.
    """
    root = paths.repo_root()
    if root is None:
        raise LabError("The documentation is in a clone of the course only.", mend="git clone …")
    return root / "docs" / "provider.md"


if __name__ == "__main__":
    page().write_text(render())
