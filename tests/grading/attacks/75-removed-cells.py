"""The graded cells are not there any more, nor the question."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "the graded cells are taken out", "notes": "is missing; it was put back"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    notebook["cells"] = [cell for cell in notebook["cells"] if not cell["metadata"].get("nbgrader", {}).get("grade")]
