"""Values, undefined, and three-valued logic.

A value is one of Python's own (bool, int, float, str, list, dict, None for null), `Undefined`, or something callable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from iaclab.sentinel.errors import Place

Value = Any


@dataclass(frozen=True)
class Undefined:
    """No value; `place` is where it first came up, `why` what was asked for there."""

    place: Place | None = None
    why: str = ""

    def __str__(self) -> str:
        return "undefined"


@dataclass(frozen=True)
class Builtin:
    """A function written in Python. Where `lenient`, an argument that is undefined reaches it."""

    name: str
    call: Callable[..., Value]
    lenient: bool = False


class Namespace(Mapping[str, Value]):
    """What an import gives: fields by their names."""

    def __init__(self, name: str, fields: dict[str, Value], complete: bool = False) -> None:
        self.name, self.fields = name, fields
        self.complete = complete  # asking for another field is an error, not undefined

    def __getitem__(self, key: str) -> Value:
        return self.fields[key]

    def __iter__(self) -> Any:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)


def type_of(value: Value) -> str:
    """The name of a value's type, as `types.type_of` says it."""
    if isinstance(value, Undefined):
        return "undefined"
    if value is None:
        return "null"
    for kind, name in ((bool, "bool"), (int, "int"), (float, "float"), (str, "string"), (list, "list"), (dict, "map")):
        if isinstance(value, kind):
            return name
    return "map" if isinstance(value, Namespace) else "func"


def a(value: Value) -> str:
    """The type of a value with its article, for messages."""
    kind = type_of(value)
    return kind if kind in ("null", "undefined") else f"{'an' if kind == 'int' else 'a'} {kind}"


def is_number(value: Value) -> bool:
    """Whether it is an int or a float; a bool is neither."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def equal(left: Value, right: Value) -> bool:
    """Equality without Python's `True == 1`; ints and floats compare by value."""
    if is_number(left) and is_number(right):
        return bool(left == right)
    if type_of(left) != type_of(right):
        return False
    if isinstance(left, list):
        return len(left) == len(right) and all(map(equal, left, right))
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(equal(left[key], right[key]) for key in left)
    return bool(left == right)


def both(left: bool | Undefined, right: Callable[[], bool | Undefined]) -> bool | Undefined:
    """`and`: false decides without a look at what follows; an undefined left side stays undefined."""
    if isinstance(left, Undefined):
        return left
    return right() if left else False


def either(left: bool | Undefined, right: Callable[[], bool | Undefined]) -> bool | Undefined:
    """`or`: true decides wherever it stands; without a true one, undefined stays undefined."""
    if left is True:
        return True
    other = right()
    return left if isinstance(left, Undefined) and other is not True else other


def passes(value: Value) -> bool:
    """Whether a `main` of this value lets pass: true, or nothing found (zero, an empty string, list or map)."""
    if isinstance(value, bool):
        return value
    return is_number(value) and value == 0 if not isinstance(value, str | list | dict) else len(value) == 0


def show(value: Value, top: bool = True) -> str:
    """A value as `print` and messages show it; strings inside collections are quoted."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    if isinstance(value, str):
        return value if top else '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
    if isinstance(value, list):
        return "[" + ", ".join(show(item, False) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{show(k, False)}: {show(v, False)}" for k, v in value.items()) + "}"
    if isinstance(value, Namespace):
        return f"import {value.name}"
    return f"func {value.name}" if isinstance(value, Builtin) else str(value)
