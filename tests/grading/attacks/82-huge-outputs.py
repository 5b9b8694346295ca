"""A notebook of 100 MB: outputs that were typed in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "the notebook holds 100 MB of outputs", "aside": "too large|larger than|more than"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    cell = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * (100 << 20)}]
