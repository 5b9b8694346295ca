"""The graded test cells say something else: they pass whatever there is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "the graded test cells are edited: they pass", "notes": "the locked cell .* was changed"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            cell["source"] = "print('✔ passed')\n1000"
            cell["outputs"] = [
                {"output_type": "execute_result", "data": {"text/plain": "1000"}, "metadata": {}, "execution_count": 1}
            ]
