"""Terraform's resource classes as Pulumi sees them: names in camelCase, blocks as lists, values as Python's own.

What Terraform calls a block is a list of objects here, with a plural name. The block `timeouts` is left out: Pulumi has
its option `custom_timeouts` for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pulumi.provider.experimental.property_value import Computed, PropertyValue
from pulumi.runtime import rpc
from tf.iface import DataSource, Resource
from tf.schema import Attribute
from tf.types import Unknown

from iaclab.pulumi_platform import NAME

State = dict[str, Any]
Values = dict[str, PropertyValue]
_LEFT_OUT = "timeouts"


def camel(name: str) -> str:
    """`gpus_per_node` as `gpusPerNode`."""
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), name)


@dataclass(frozen=True)
class Kind:
    """One resource or data source of the Terraform provider."""

    source: type[Resource] | type[DataSource]

    @cached_property
    def attributes(self) -> dict[str, Attribute]:
        """Its attributes by Terraform's name, without the blocks."""
        return {a.name: a for a in self.source.get_schema().attributes if a.name != "id"}

    @cached_property
    def blocks(self) -> dict[str, dict[str, Attribute]]:
        """The attributes of each of its blocks."""
        found = self.source.get_schema().block_types
        return {b.type_name: {a.name: a for a in b.block.attributes} for b in found if b.type_name != _LEFT_OUT}

    @cached_property
    def names(self) -> dict[str, str]:
        """Pulumi's names by Terraform's."""
        return {name: camel(name) for name in self.attributes} | {name: f"{camel(name)}s" for name in self.blocks}

    @cached_property
    def inputs(self) -> set[str]:
        """What a program may set, by Terraform's names."""
        return {n for n, a in self.attributes.items() if a.required or a.optional} | set(self.blocks)

    @property
    def token(self) -> str:
        """Pulumi's type, `mlplatform:index:GpuNodePool`; of a data source its function."""
        name = camel(self.source.get_name())
        form = name[0].upper() + name[1:]
        return f"{NAME}:index:{form}" if Resource in self.source.__mro__ else f"{NAME}:index:get{form}"

    def to_state(self, values: Values) -> State:
        """Terraform's form of a program's inputs or of Pulumi's state; what is not named is absent."""
        state: State = {}
        for name, pulumis in self.names.items():
            if pulumis in values:
                plain = to_python(values[pulumis])
                state[name] = self._blocks(name, plain) if name in self.blocks else plain
        return state

    def _blocks(self, name: str, items: Any) -> Any:
        if not isinstance(items, list):
            return [] if items is None else items
        fields = self.blocks[name]
        return [i if i is Unknown else {field: i.get(camel(field)) for field in fields} for i in items]

    def no_blocks(self) -> State:
        """Every block of Terraform's, with nothing in it."""
        return {block.type_name: [] for block in self.source.get_schema().block_types}

    def complete(self, state: State) -> State:
        """With every name: defaults where Terraform has one, `None` for what is not set."""
        filled = self.no_blocks()
        for name, attribute in self.attributes.items():
            if name in self.inputs:
                filled[name] = None if attribute.default is Unknown else attribute.default
        return {**filled, **{name: value for name, value in state.items() if value is not None}}

    def to_values(self, state: State, secrets: frozenset[str] = frozenset()) -> Values:
        """Pulumi's form of a state; what is not set is left out. `secrets`: further names to keep secret."""
        values = {}
        for name, pulumis in self.names.items():
            value = state.get(name)
            if value is None or (value == [] and name in self.blocks):
                continue
            if name in self.blocks and value is not Unknown:
                value = [{camel(k): v for k, v in block.items() if v is not None} for block in value]
            hidden = name in secrets or (name in self.attributes and bool(self.attributes[name].sensitive))
            values[pulumis] = to_pulumi(value).with_secret(hidden)
        return values


def to_python(value: PropertyValue) -> Any:
    """A plain value; whole numbers are ints, what is not known yet is Terraform's `Unknown`."""
    inner = value.value
    if isinstance(inner, Computed) or inner == rpc.UNKNOWN:
        return Unknown
    if isinstance(inner, float):
        return int(inner) if inner.is_integer() else inner
    if isinstance(inner, tuple):
        return [to_python(item) for item in inner]
    if isinstance(inner, Mapping):
        return {key: to_python(item) for key, item in inner.items()}
    return inner


def to_pulumi(value: Any) -> PropertyValue:
    """A plain value as Pulumi's."""
    if value is Unknown:
        return PropertyValue(rpc.UNKNOWN)
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return PropertyValue(value)
    if isinstance(value, dict):
        return PropertyValue({key: to_pulumi(item) for key, item in value.items()})
    if isinstance(value, list | tuple | set | frozenset):
        return PropertyValue([to_pulumi(item) for item in value])
    return PropertyValue(float(value))
