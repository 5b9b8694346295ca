"""Cells say of themselves what they are worth, that they are open, that people grade them, that they are tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "cells say themselves what they are worth, that they are no tests, that a person grades them"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    own: list[dict[str, Any]] = [
        {"points": 1000},
        {"points": -1000, "locked": False},
        {"solution": True, "locked": False, "points": 500},
        {"task": True, "grade": False, "points": 500},
    ]
    for cell in notebook["cells"]:
        meta = cell["metadata"].get("nbgrader", {})
        if meta.get("grade"):
            meta.update(own.pop(0))
            meta.pop("checksum", None)
    notebook["cells"].append(
        {
            "cell_type": "code",
            "id": "more",
            "source": "1000",
            "outputs": [],
            "execution_count": None,
            "metadata": {
                "nbgrader": {
                    "grade_id": "one-more",
                    "grade": True,
                    "locked": True,
                    "solution": False,
                    "task": False,
                    "points": 1000,
                    "schema_version": 3,
                    "cell_type": "code",
                }
            },
        }
    )
