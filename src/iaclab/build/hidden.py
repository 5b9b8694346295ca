"""Hidden checks of a lab: plain check records in `grading/hidden/<lesson id>.py`, on the instructor's side only."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from iaclab.checks.record import Check
from iaclab.errors import LabError


def hidden_file(source: Path) -> Path:
    """Where the hidden checks of the lab with this text lie: beside `content/`, in `grading/hidden/`."""
    return source.parents[2] / "grading" / "hidden" / f"{source.stem}.py"


def load(source: Path) -> dict[str, Check]:
    """The hidden checks of a lab by `visible check.what`, e.g. `app.no-secret-in-git`; none where there is no file.

    Raises:
        LabError: the file cannot be run, or has no table `CHECKS` of check records.
    """
    path = hidden_file(source.resolve())
    if not path.exists():
        return {}
    spec = importlib.util.spec_from_file_location(f"iaclab_hidden_{source.stem.replace('-', '_')}", path)
    assert spec and spec.loader  # a path that ends in .py always has both
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        found = dict(module.CHECKS)
    except Exception as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from error
    if wrong := [name for name, record in found.items() if not isinstance(record, Check)]:
        raise _unusable(path, f"{wrong[0]} is no Check")
    return found


def _unusable(path: Path, why: str) -> LabError:
    return LabError(f"The hidden checks in {path} cannot be used.", why=why, mend=f"python {path}")
