"""The standard imports: strings, types, json, decimal, and the collection helpers."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from typing import Any

from iaclab.sentinel.operators import Problem, bounded
from iaclab.sentinel.values import Builtin, Namespace, Undefined, Value, a, is_number, show, type_of

Caller = Callable[[Value, list[Value]], Value]  # calls a function of the policy


def standard(name: str, call: Caller) -> Namespace | None:
    """The standard import of that name, or None."""
    makers: dict[str, Callable[[], dict[str, Value]]] = {
        "strings": lambda: _wrap(_STRINGS, "strings"),
        "types": lambda: {"type_of": Builtin("types.type_of", type_of, lenient=True)},
        "json": lambda: _wrap({"marshal": _marshal, "unmarshal": _unmarshal}, "json"),
        "decimal": lambda: _wrap({"new": _decimal}, "decimal"),
        "collection": lambda: _wrap(_collection(call), "collection"),
        "collection/maps": lambda: _wrap({"get": _get}, "maps"),
    }
    return Namespace(name, makers[name](), complete=True) if name in makers else None


def _wrap(functions: dict[str, Callable[..., Value]], name: str) -> dict[str, Value]:
    return {key: Builtin(f"{name}.{key}", function) for key, function in functions.items()}


# --- strings -----------------------------------------------------------------------------------------------


def _text(function: Callable[..., Value]) -> Callable[..., Value]:
    def run(*arguments: Value) -> Value:
        wrong = next((a for a in arguments if not isinstance(a, str)), None)
        if wrong is not None or None in arguments:
            raise Problem(f"a string is needed, not {a(wrong)}", "string(x) makes text of a number")
        return bounded(function(*arguments))

    return run


def _join(items: Value, separator: str) -> str:
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise Problem("join needs a list of strings")
    return str(bounded(separator.join(items)))


def _split(text: str, separator: str) -> list[str]:
    return text.split(separator) if separator else list(text)


_STRINGS: dict[str, Callable[..., Value]] = {
    "has_prefix": _text(lambda text, start: text.startswith(start)),
    "has_suffix": _text(lambda text, end: text.endswith(end)),
    "join": _join,
    "split": _text(_split),
    "to_lower": _text(lambda text: text.lower()),
    "to_upper": _text(lambda text: text.upper()),
    "trim": _text(lambda text, characters: text.strip(characters)),
    "trim_left": _text(lambda text, characters: text.lstrip(characters)),
    "trim_right": _text(lambda text, characters: text.rstrip(characters)),
    "trim_prefix": _text(lambda text, start: text.removeprefix(start)),
    "trim_suffix": _text(lambda text, end: text.removesuffix(end)),
    "replace": _text(lambda text, old, new: text.replace(old, new)),
}

# --- json --------------------------------------------------------------------------------------------------


def _marshal(value: Value) -> str:
    try:
        return str(bounded(json.dumps(value)))
    except (TypeError, ValueError):
        raise Problem(f"{a(value)} has no form in JSON") from None


def _unmarshal(text: Value) -> Value:
    try:
        return json.loads(text)
    except (TypeError, ValueError) as error:
        raise Problem(f"this is not JSON: {error}") from None


# --- decimal -----------------------------------------------------------------------------------------------


def _decimal(value: Value) -> Namespace:
    """An exact number with methods, from a number, text, or another of its kind."""
    number = _exact(value)

    def method(name: str, work: Callable[[Decimal], Value]) -> Builtin:
        return Builtin(f"decimal.{name}", lambda other: work(_exact(other)))

    def divide(other: Decimal) -> Namespace:
        if not other:
            raise Problem("division by zero")
        return _decimal(number / other)

    work: dict[str, Callable[[Decimal], Value]] = {
        "add": lambda other: _decimal(number + other),
        "subtract": lambda other: _decimal(number - other),
        "multiply": lambda other: _decimal(number * other),
        "divide": divide,
        "is": lambda other: number == other,
        "is_not": lambda other: number != other,
        "less_than": lambda other: number < other,
        "less_than_or_equals": lambda other: number <= other,
        "greater_than": lambda other: number > other,
        "greater_than_or_equals": lambda other: number >= other,
    }
    plain = {"string": str(number), "float": float(number), "int": int(number)}
    return Namespace("decimal", plain | {name: method(name, function) for name, function in work.items()})


def _exact(value: Value) -> Decimal:
    text = value["string"] if isinstance(value, Namespace) and "string" in value else value
    try:
        number = Decimal(str(text) if is_number(text) else text)
    except (InvalidOperation, TypeError, ValueError):
        raise Problem(f"{show(value, False)} is no decimal number") from None
    if not number.is_finite() or abs(number.adjusted()) > 1000:
        raise Problem("a decimal number is too large")
    return number


# --- collections -------------------------------------------------------------------------------------------


def _collection(call: Caller) -> dict[str, Callable[..., Value]]:
    def wanted(item: Value, function: Value) -> bool:
        answer = call(function, [item])
        if not isinstance(answer, bool):
            raise Problem(f"the function must answer true or false, not {a(answer)}")
        return answer

    def find(items: Value, function: Value) -> Value:
        """The first item for which the function is true."""
        return next((i for i in _items(items) if wanted(i, function)), Undefined(why="nothing was found"))

    def reject(items: Value, function: Value) -> list[Value]:
        """The items for which the function is false."""
        return [item for item in _items(items) if not wanted(item, function)]

    return {"find": find, "reject": reject}


def _items(items: Value) -> list[Value]:
    if not isinstance(items, list | dict):
        raise Problem(f"a list or a map is needed, not {a(items)}")
    return list(items.values()) if isinstance(items, dict) else items


def _get(holder: Value, path: Value, default: Value) -> Any:
    """What stands at a path like `change.after.tags` of a map, or the default."""
    for key in str(path).split("."):
        if isinstance(holder, list) and key.isdigit() and int(key) < len(holder):
            holder = holder[int(key)]
        elif isinstance(holder, dict) and key in holder:
            holder = holder[key]
        else:
            return default
    return holder
