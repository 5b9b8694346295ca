"""Kubernetes quantities: `500m`, `16`, `64Gi`."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

_UNITS = {"m": Decimal("0.001"), "": Decimal(1)}
_UNITS |= {unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)}
_UNITS |= {f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)}
_FORM = re.compile(r"([0-9.]+(?:[eE][+-]?[0-9]+)?)([A-Za-z]*)")


def quantity(text: str) -> Decimal:
    """The value of a Kubernetes quantity, not negative: `500m` is 0.5, `2Gi` is 2147483648.

    Raises:
        ValueError: it is not one.
    """
    match = _FORM.fullmatch(text)
    try:
        if match:
            return Decimal(match[1]) * _UNITS[match[2]]
    except (InvalidOperation, KeyError):
        pass
    raise ValueError(f"'{text}' is not a quantity such as 500m, 16 or 64Gi")
