"""Writes mocks from a real plan: `python -m iaclab.sentinel.mocks plan.json FOLDER`.

HCP Terraform offers the same files for download on the page of a run.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from iaclab.sentinel import terraform
from iaclab.sentinel.config import read_text
from iaclab.sentinel.errors import SentinelError
from iaclab.sentinel.values import Value, show


def write(plan: Path, folder: Path) -> list[Path]:
    """Make mock-<import>.sentinel for each import that a plan gives.

    Raises:
        SentinelError: it is not a plan in JSON.
    """
    try:
        found = terraform.imports(json.loads(read_text(plan)))
    except (ValueError, KeyError, AttributeError, TypeError):
        raise SentinelError(f"{plan}: not a plan in JSON", hint="terraform show -json plan > plan.json") from None
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, fields in found.items():
        path = folder / f"mock-{name.replace('/', '-')}.sentinel"
        path.write_text("\n".join(f"{key} = {_literal(value)}\n" for key, value in fields.items()))
        written.append(path)
    return written


def _literal(value: Value, depth: int = 0) -> str:
    """A value as Sentinel writes it, a line for each element."""
    if isinstance(value, list | dict) and value:
        tabs = "\t" * (depth + 1)
        inner = (
            [f"{json.dumps(str(key))}: {_literal(item, depth + 1)}" for key, item in value.items()]
            if isinstance(value, dict)
            else [_literal(item, depth + 1) for item in value]
        )
        lines = "".join(f"{tabs}{line},\n" for line in inner)
        start, end = "{}" if isinstance(value, dict) else "[]"
        return f"{start}\n{lines}{tabs[:-1]}{end}"
    if isinstance(value, list | dict):
        return "{}" if isinstance(value, dict) else "[]"
    return json.dumps(value) if isinstance(value, str | float) else show(value)


if __name__ == "__main__":
    try:
        for made in write(Path(sys.argv[1]), Path(sys.argv[2])):
            print(made)
    except IndexError:
        sys.exit("Usage: python -m iaclab.sentinel.mocks plan.json FOLDER")
    except SentinelError as problem:
        sys.exit(str(problem))
