"""What a benchmark yields, and the table it is printed in."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Row:
    """One measurement: `value` in `unit`, beside `against` (the same unit) where there is something to compare with.

    `at_most` is the target: for the ratio where there is one, else for the value.
    """

    name: str
    value: float
    unit: str = "s"
    against: float | None = None
    than: str = ""
    at_most: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value divided by what it is compared with."""
        return self.value / self.against if self.against else None

    @property
    def good(self) -> bool | None:
        """Whether the target is met; `None` where there is none."""
        if self.at_most is None:
            return None
        return (self.ratio if self.ratio is not None else self.value) <= self.at_most


def median(times: Iterable[float]) -> float:
    """The middle one of several runs."""
    return statistics.median(times)


def timed(work: Callable[[], object]) -> float:
    """Seconds that `work` takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


def show(title: str, rows: Iterable[Row], console: Console) -> bool:
    """Print rows as they come; returns whether every target was met."""
    table = Table("what", "measured", "compared with", "ratio", "target", "", title=title, title_justify="left")
    met = True
    for row in rows:
        console.print(f"[dim]{row.name}: {row.value:.2f} {row.unit}[/]", highlight=False)
        against = f"{row.against:.2f} {row.unit} ({row.than})" if row.against else row.than
        target = "" if row.at_most is None else f"≤ {row.at_most:.3g}{' ×' if row.ratio else ' ' + row.unit}"
        verdict = {None: "", True: "✔", False: "✘ missed"}[row.good]
        table.add_row(
            row.name,
            f"{row.value:.2f} {row.unit}",
            against,
            f"{row.ratio:.2f} ×" if row.ratio else "",
            target,
            verdict,
        )
        met = met and row.good is not False
    console.print(table)
    return met
