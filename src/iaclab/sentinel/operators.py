"""Binary operators on defined values; `Problem` says what does not fit, the evaluator adds the place."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from iaclab.sentinel.limits import INTEGER, SIZE
from iaclab.sentinel.values import Value, a, equal, is_number, type_of


class Problem(Exception):
    """Operands that do not fit; `hint` says how to mend it."""

    def __init__(self, what: str, hint: str = "") -> None:
        super().__init__(what)
        self.what, self.hint = what, hint


def arithmetic(operator: str, left: Value, right: Value) -> Value:
    """`+ - * / %` on numbers, `+` on two strings or two lists."""
    if is_number(left) and is_number(right):
        return bounded(_numbers(operator, left, right))
    joins = isinstance(left, str | list) and type_of(left) == type_of(right)
    if operator != "+" or not joins:
        hint = "string(x) makes text of a number" if "string" in (type_of(left), type_of(right)) else ""
        raise Problem(f"{type_of(left)} {operator} {type_of(right)} is not defined", hint)
    return bounded(left + right)


def bounded(value: Value) -> Value:
    """The value, if it is not too large."""
    if isinstance(value, str | list | dict) and len(value) > SIZE:
        raise Problem(f"{a(value)} has grown beyond {SIZE} elements")
    if isinstance(value, int) and not isinstance(value, bool) and not -INTEGER <= value < INTEGER:
        raise Problem("an integer has grown beyond 64 bits", "float(x) holds larger numbers")
    if isinstance(value, float) and not math.isfinite(value):
        raise Problem("a number has grown too large")
    return value


def _numbers(operator: str, left: int | float, right: int | float) -> int | float:
    if operator in "/%" and right == 0:
        raise Problem("division by zero")
    try:
        if operator == "+":
            return left + right
        if operator == "-":
            return left - right
        if operator == "*":
            return left * right
        if operator == "/" and not (isinstance(left, int) and isinstance(right, int)):
            return left / right
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)  # towards zero
        return quotient if operator == "/" else left - quotient * right
    except OverflowError:
        raise Problem("a number has grown too large") from None


def compare(operator: str, left: Value, right: Value) -> bool:
    """A comparison, a set operator or a match; `operator` is spelled as in the source, with single spaces."""
    if operator.startswith(("not ", "is not")):
        return not compare(operator.removeprefix("not ").replace("is not", "is"), left, right)
    return _COMPARE[operator](left, right)


def _order(test: Callable[[Value, Value], bool]) -> Callable[[Value, Value], bool]:
    def run(left: Value, right: Value) -> bool:
        if not (is_number(left) and is_number(right)) and not (isinstance(left, str) and isinstance(right, str)):
            hint = "int(x) or float(x) makes a number of text" if "string" in (type_of(left), type_of(right)) else ""
            raise Problem(f"{a(left)} and {a(right)} have no order", hint)
        return test(left, right)

    return run


def _contains(left: Value, right: Value) -> bool:
    if isinstance(left, list):
        return any(equal(item, right) for item in left)
    if isinstance(left, dict):
        return any(equal(key, right) for key in left)
    if isinstance(left, str) and isinstance(right, str):
        return right in left
    hint = "give it a default before: (x else []) is for undefined; null must be asked for by `is null`"
    raise Problem(f"{a(left)} contains nothing to search in", hint if left is None else "")


def _matches(left: Value, right: Value) -> bool:
    if not isinstance(left, str) or not isinstance(right, str):
        raise Problem(f"{type_of(left)} matches {type_of(right)} is not defined", "both sides are strings")
    try:
        return re.search(right, left) is not None
    except re.error as error:
        raise Problem(f"the pattern is not a regular expression: {error}") from None


_COMPARE: dict[str, Callable[[Value, Value], bool]] = {
    "is": equal,
    "==": equal,
    "!=": lambda left, right: not equal(left, right),
    "<": _order(lambda left, right: left < right),
    "<=": _order(lambda left, right: left <= right),
    ">": _order(lambda left, right: left > right),
    ">=": _order(lambda left, right: left >= right),
    "contains": _contains,
    "in": lambda left, right: _contains(right, left),
    "matches": _matches,
}
