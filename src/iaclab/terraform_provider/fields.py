"""Small pieces that the resources share: types, checks of configurations, and errors as diagnostics."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeGuard

from tf.blocks import SetNestedBlock
from tf.schema import Attribute, Block
from tf.types import Number, String, Unknown
from tf.utils import Diagnostics

from iaclab.errors import LabError

State = dict[str, Any]
_DNS = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


def same_quantity(one: Any, other: Any) -> bool:
    """Whether two quantities, or `None`s, have the same value."""
    from iaclab.mlplatform.quantity import quantity

    if one in (None, Unknown) or other in (None, Unknown):
        return one is other
    try:
        return quantity(one) == quantity(other)
    except ValueError:
        return bool(one == other)


def known(value: Any) -> TypeGuard[Any]:
    """Whether a value is set and known at this moment."""
    return value is not None and value is not Unknown


# --- checks of a configuration: each adds a diagnostic at the attribute's own line ----------------------


def check_name(diags: Diagnostics, config: State, field: str, what: str) -> None:
    """A DNS label: what Kubernetes allows as a name."""
    value = config.get(field)
    if known(value) and not _DNS.fullmatch(value):
        diags.add_error(
            f"{what} '{value}' is not a valid name",
            "A name has lower-case letters, digits and dashes, begins and ends with a letter or a digit, and has at"
            " most 63 of them.",
            path=[field],
        )


def check_whole(diags: Diagnostics, config: State, field: str, least: int, most: int) -> None:
    """A whole number between two bounds."""
    value = config.get(field)
    if known(value) and not (_is_whole(value) and least <= Decimal(str(value)) <= most):
        diags.add_error(f"{field} must be a whole number from {least} to {most}", f"It is {value}.", path=[field])


def check_quantity(diags: Diagnostics, config: State, field: str) -> None:
    """A Kubernetes quantity."""
    from iaclab.mlplatform.quantity import quantity

    value = config.get(field)
    if known(value):
        try:
            quantity(value)
        except ValueError as error:
            diags.add_error(f"{field} is not a quantity", f"{error}.", path=[field])


def _is_whole(value: Any) -> bool:
    number = Decimal(str(value))
    return number == number.to_integral_value()


# --- timeouts ------------------------------------------------------------------------------------------


def timeouts(**defaults: str) -> SetNestedBlock:
    """The block `timeouts { create = "60s" }` with these operations and their defaults."""
    about = "How long to wait for it, as `90s` or `5m`."
    block = SetNestedBlock(
        "timeouts",
        Block([Attribute(n, String(), f"{about} Default: `{v}`.", optional=True) for n, v in defaults.items()]),
    )
    block.max_items = 1
    return block


def seconds(state: State, operation: str, default: str) -> float:
    """The time that the block `timeouts` gives an operation, in seconds."""
    for block in state.get("timeouts") or []:
        if known(block) and known(block.get(operation)):
            return _seconds(block[operation]) or _seconds(default) or 0
    return _seconds(default) or 0


def _seconds(text: str) -> float | None:
    match = _DURATION.fullmatch(text)
    return int(match[1] or 0) * 60 + int(match[2] or 0) if match and text else None


def check_timeouts(diags: Diagnostics, config: State) -> None:
    """Durations that can be read."""
    blocks = config.get("timeouts")
    for block in blocks if known(blocks) else []:
        for operation, text in block.items() if known(block) else []:
            if known(text) and _seconds(text) is None:
                diags.add_error(
                    f"timeouts.{operation} is not a duration", f"It is '{text}'; write 90s or 5m.", path=["timeouts"]
                )


# --- errors --------------------------------------------------------------------------------------------


def tell(diags: Diagnostics, error: Exception, path: list[Any] | None = None) -> None:
    """An exception as a diagnostic: what happened, why, and the command that mends it."""
    if isinstance(error, LabError):
        detail = "\n".join(filter(None, [error.why, f"Mend: {error.mend}" if error.mend else ""]))
        diags.add_error(error.what, detail, path=path)
    else:
        diags.add_error(
            "The provider mlplatform has failed",
            f"{type(error).__name__}: {error}\nThis is a fault of the provider; the log has more: TF_LOG=trace.",
        )


def told(otherwise: Callable[[State], State | None]) -> Callable[[Any], Any]:
    """Decorate an operation `(self, ctx, state, …)`: its exceptions become diagnostics.

    Args:
        otherwise: the state to answer after an exception, from the operation's first state.
    """

    def decorate(operation: Callable[..., State | None]) -> Callable[..., State | None]:
        @functools.wraps(operation)
        def wrapped(self: Any, ctx: Any, state: Any, *rest: Any) -> State | None:
            try:
                return operation(self, ctx, state, *rest)
            except Exception as error:
                tell(ctx.diagnostics, error)
                return otherwise(state)

        return wrapped

    return decorate


def nothing(state: State) -> State | None:
    """After a failed create or update: Terraform keeps what it had."""
    return None


def unchanged(state: State) -> State | None:
    """After a failed read or delete: the resource is still there."""
    return state


def or_null(values: dict[str, str], before: dict[str, str] | None) -> dict[str, str] | None:
    """A map as the state writes it: no values are null where the configuration has no map."""
    return None if not values and before is None else values


def decimal(value: float) -> int | str:
    """A number as Terraform's wire format needs it: a float would be read back with all its binary digits."""
    return int(value) if value == int(value) else repr(value)


class Price(Number):  # type: ignore[misc]
    """A number with decimals; a float in Python."""

    def encode(self, value: Any) -> Any:
        return decimal(value) if known(value) else value

    def decode(self, value: Any) -> Any:
        return float(value) if known(value) else value
