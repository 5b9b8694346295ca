"""The provider's schema as Pulumi wants it, made from Terraform's."""

from __future__ import annotations

import json
from typing import Any

from tf.schema import Attribute
from tf.types import Bool, List, Map, Number, TfType
from tf.utils import Diagnostics

from iaclab.pulumi_platform import NAME, VERSION
from iaclab.pulumi_platform.bridge import Kind, camel


def document(resources: dict[str, Kind], functions: dict[str, Kind], platform: Any) -> str:
    """The JSON document of `pulumi package get-schema`."""
    settings = {a.name: a for a in platform.get_provider_schema(Diagnostics()).attributes}
    variables = {camel(name): _property(a) for name, a in settings.items()}
    return json.dumps(
        {
            "name": NAME,
            "version": VERSION,
            "description": "The course's ML platform: teams, GPU node pools, model buckets.",
            "config": {"variables": variables},
            "provider": {"inputProperties": variables},
            "types": {t: d for kind in resources.values() for t, d in _types(kind).items()},
            "resources": {token: _resource(kind) for token, kind in resources.items()},
            "functions": {token: _function(kind) for token, kind in functions.items()},
        }
    )


def _resource(kind: Kind) -> dict[str, Any]:
    every = _properties(kind)
    inputs = {kind.names[n]: every[kind.names[n]] for n in kind.inputs}
    always = [kind.names[n] for n, a in kind.attributes.items() if a.required or a.computed]
    return {
        "description": kind.source.get_schema().description,
        "inputProperties": dict(sorted(inputs.items())),
        "requiredInputs": [kind.names[n] for n, a in kind.attributes.items() if a.required and n != "name"],
        "properties": every,
        "required": sorted(always),
    }


def _function(kind: Kind) -> dict[str, Any]:
    every = _properties(kind)
    inputs = {kind.names[n]: every[kind.names[n]] for n in kind.inputs}
    needed = [kind.names[n] for n, a in kind.attributes.items() if a.required]
    return {
        "description": kind.source.get_schema().description,
        "inputs": {"properties": inputs, "required": needed},
        "outputs": {"properties": every},
    }


def _properties(kind: Kind) -> dict[str, Any]:
    found = {kind.names[name]: _property(attribute) for name, attribute in kind.attributes.items()}
    for name in kind.blocks:
        found[kind.names[name]] = {"type": "array", "items": {"$ref": f"#/types/{_type_token(name)}"}}
    return found


def _types(kind: Kind) -> dict[str, Any]:
    return {
        _type_token(name): {
            "type": "object",
            "properties": {camel(n): _property(a) for n, a in fields.items()},
            "required": [camel(n) for n, a in fields.items() if a.required],
        }
        for name, fields in kind.blocks.items()
    }


def _type_token(block: str) -> str:
    name = camel(block)
    return f"{NAME}:index:{name[0].upper()}{name[1:]}"


def _property(attribute: Attribute) -> dict[str, Any]:
    found = {**_type(attribute.type), "description": attribute.description}
    return {**found, "secret": True} if attribute.sensitive else found


def _type(type_: TfType) -> dict[str, Any]:
    if isinstance(type_, List):  # a set is one too
        return {"type": "array", "items": _type(type_.element_type)}
    if isinstance(type_, Map):
        return {"type": "object", "additionalProperties": _type(type_.element_type)}
    if isinstance(type_, Bool):
        return {"type": "boolean"}
    if isinstance(type_, Number):
        return {"type": "number"}
    return {"type": "string"}
