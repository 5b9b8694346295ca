"""Which checks were passed, and how often one was tried: a small file in the state folder, nothing else."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path
from typing import Any

from filelock import FileLock

from iaclab import paths
from iaclab.platform.profile import write_private


def progress_file() -> Path:
    """Where progress is kept."""
    return paths.state_dir() / "progress.json"


def load() -> dict[str, dict[str, Any]]:
    """Progress by check; a damaged file is set aside and a new one begun."""
    path = progress_file()
    try:
        data = json.loads(path.read_text())
        if isinstance(data, dict) and all(isinstance(entry, dict) for entry in data.values()):
            return data
        raise ValueError("not a table of checks")
    except FileNotFoundError:
        return {}
    except ValueError:
        number = len(list(path.parent.glob("progress.json.damaged-*"))) + 1
        with contextlib.suppress(OSError):
            path.rename(path.with_name(f"progress.json.damaged-{number}"))
        return {}


def attempts(name: str) -> int:
    """How often a check was run without passing since it last passed."""
    return int(load().get(name, {}).get("misses", 0))


def record(name: str, *, passed: bool, points: int) -> None:
    """Note the result of a check."""
    path = progress_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_name("progress.lock")):
        data = load()
        entry = data.setdefault(name, {"misses": 0})
        if passed:
            entry.update(misses=0, passed=time.strftime("%Y-%m-%dT%H:%M:%S%z"), points=points)
        else:
            entry["misses"] = int(entry.get("misses", 0)) + 1
        write_private(path, json.dumps(data, indent=1, sort_keys=True))
