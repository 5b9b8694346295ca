"""The functions that every policy has."""

from __future__ import annotations

from collections.abc import Callable

from iaclab.sentinel.limits import SIZE
from iaclab.sentinel.operators import Problem, bounded
from iaclab.sentinel.values import Builtin, Undefined, Value, a, is_number, show, type_of


def functions(log: Callable[[str], None]) -> dict[str, Value]:
    """All of them by name; `log` takes the lines of `print`."""

    def print_(*values: Value) -> bool:
        log(" ".join(map(show, values)))
        return True

    lenient = Builtin("print", print_, lenient=True)
    plain = (append, bool_, delete, error, float_, int_, keys, length, range_, string, values)
    named = {f.__name__.rstrip("_"): Builtin(f.__name__.rstrip("_"), f) for f in plain}
    return {"print": lenient, **named}


def append(target: Value, item: Value) -> Undefined:
    """Put an item at the end of a list, in place."""
    if not isinstance(target, list):
        raise Problem(f"append needs a list, not {a(target)}")
    target.append(item)
    bounded(target)
    return Undefined(why="append returns nothing")


def delete(target: Value, key: Value) -> Undefined:
    """Take a key out of a map, in place; one that is not there is no error."""
    if not isinstance(target, dict):
        raise Problem(f"delete needs a map, not {a(target)}")
    target.pop(key, None)
    return Undefined(why="delete returns nothing")


def error(*values: Value) -> Value:
    """Stop with a message."""
    raise Problem(" ".join(map(show, values)), "the policy itself called error()")


def keys(target: Value) -> list[Value]:
    """The keys of a map."""
    if not isinstance(target, dict):
        raise Problem(f"keys needs a map, not {a(target)}")
    return list(target)


def values(target: Value) -> list[Value]:
    """The values of a map."""
    if not isinstance(target, dict):
        raise Problem(f"values needs a map, not {a(target)}")
    return list(target.values())


def length(target: Value) -> int:
    """How long a string, list or map is."""
    if not isinstance(target, str | list | dict):
        raise Problem(f"{a(target)} has no length")
    return len(target)


def range_(*bounds: Value) -> list[int]:
    """Integers: range(end), range(start, end), range(start, end, step)."""
    if not all(type_of(bound) == "int" for bound in bounds) or not 1 <= len(bounds) <= 3 or bounds[2:] == (0,):
        raise Problem("range takes one to three integers; the step is not 0")
    found = range(*bounds)
    if len(found) > SIZE:
        raise Problem(f"a list has at most {SIZE} elements")
    return list(found)


def int_(value: Value) -> Value:
    """As an integer, cut off towards zero; text that is none gives undefined."""
    try:
        return bounded(int(value, 0) if isinstance(value, str) else int(value))
    except (TypeError, ValueError, OverflowError):
        return Undefined(why=f"int({show(value, False)})")


def float_(value: Value) -> Value:
    """As a float; text that is none gives undefined."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return Undefined(why=f"float({show(value, False)})")


def string(value: Value) -> Value:
    """As text; of a list, map or null undefined."""
    known = isinstance(value, str | bool) or is_number(value)
    return show(value) if known else Undefined(why=f"string of {type_of(value)}")


def bool_(value: Value) -> Value:
    """As a bool: "true" and "1", "false" and "0", and numbers; other text gives undefined."""
    if isinstance(value, bool) or is_number(value):
        return bool(value)
    words = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
    return words.get(str(value).lower(), Undefined(why=f"bool({show(value, False)})"))
