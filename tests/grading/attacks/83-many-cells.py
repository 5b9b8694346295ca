"""A notebook of 5,000 cells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "the notebook has 5,000 cells", "aside": "cells"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    extra = {"cell_type": "code", "source": "", "outputs": [], "execution_count": None, "metadata": {}}
    notebook["cells"] += [{**extra, "id": f"more-{number}"} for number in range(5000)]
