"""`make bench`: every benchmark, or those named: `python -m bench platform start`.

A benchmark is a module beside this one with a TITLE and a generator `rows()`. Each prints a table; nothing is
asserted, because times depend on the machine: read the ratios.
"""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from bench.table import show

HERE = Path(__file__).parent
OWN = {"__init__", "__main__", "memory", "table"}


def main(names: list[str]) -> int:
    """Run the benchmarks called `names`, all without names; returns the exit code."""
    known = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in OWN)
    if unknown := set(names) - set(known):
        print(f"There is no benchmark {', '.join(sorted(unknown))}. There are: {', '.join(known)}.", file=sys.stderr)
        return 2
    console = Console(width=120)
    met = True
    for name in names or known:
        with tempfile.TemporaryDirectory(prefix="iaclab-bench-") as scratch:
            os.environ["IACLAB_STATE"] = f"{scratch}/state"
            os.environ["IACLAB_WORKSPACE"] = f"{scratch}/workspace"
            module = importlib.import_module(f"bench.{name}")
            met = show(module.TITLE, module.rows(), console) and met
    console.print("every target was met" if met else "a target was missed (other work on this machine shows here too)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
