"""The accelerator catalogue: which GPUs there are, and example prices (accelerators.toml says where they are from)."""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from iaclab.errors import LabError

MAX_PER_NODE = 8


@dataclass(frozen=True)
class Accelerator:
    """One kind of GPU.

    Args:
        name: as in configurations, e.g. ``a100-80gb``.
        product: the value of the node label ``nvidia.com/gpu.product``.
        memory_gb: memory of one GPU, GB.
        hourly_usd: example price of one GPU for one hour, US dollars.
        cpu: the machine's vCPUs for each GPU.
        memory_gib: the machine's memory for each GPU, GiB.
        machine: the family of machines that the figures are from.
    """

    name: str
    product: str
    memory_gb: int
    hourly_usd: float
    cpu: int
    memory_gib: int
    machine: str


@cache
def accelerators() -> dict[str, Accelerator]:
    """Every accelerator by its name, cheapest first."""
    raw = tomllib.loads(Path(__file__).with_name("accelerators.toml").read_text())
    found = [Accelerator(name=name, **entry) for name, entry in raw.items()]
    return {a.name: a for a in sorted(found, key=lambda a: a.hourly_usd)}


def accelerator(name: str) -> Accelerator:
    """The accelerator called `name`.

    Raises:
        LabError: there is none; the text names the nearest and all.
    """
    known = accelerators()
    if name not in known:
        near = difflib.get_close_matches(name.lower(), known, n=1)
        raise LabError(
            f"There is no accelerator '{name}'.",
            why="The catalogue has " + ", ".join(known) + ".",
            mend=f'accelerator = "{near[0] if near else next(iter(known))}"',
        )
    return known[name]


def gpu_hours_cost(name: str, gpus: float, hours: float) -> float:
    """What `gpus` GPUs cost for `hours` hours, US dollars, rounded to cents.

    Raises:
        LabError: an unknown accelerator, or a negative number.
    """
    if gpus < 0 or hours < 0:
        raise LabError("GPUs and hours must not be negative.", why=f"There are {gpus:g} GPUs and {hours:g} hours.")
    return round(accelerator(name).hourly_usd * gpus * hours, 2)
