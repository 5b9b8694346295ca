"""`python -m iaclab.build [--check]`: write every notebook, or fail when one is not fresh."""

from __future__ import annotations

import sys

from iaclab.build.notebook import build_all
from iaclab.errors import LabError


def main() -> int:
    """Build or check; returns the exit code."""
    try:
        stale = build_all(write="--check" not in sys.argv)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    if stale and "--check" in sys.argv:
        print("These notebooks are older than their text; run `make notebooks`:", *stale, sep="\n  ", file=sys.stderr)
        return 1
    if "--check" not in sys.argv:
        print(f"{len(stale)} notebooks written" if stale else "every notebook is fresh")
    return 0


if __name__ == "__main__":
    sys.exit(main())
