"""Cells have the ids of other cells, ids that are no ids, and marks that are no tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "cells have each other's ids, paths and scripts as ids, lists as metadata", "notes": "is missing"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    cells = notebook["cells"]
    ids = [cell["id"] for cell in cells]
    for cell, other in zip(cells, reversed(ids), strict=True):
        cell["id"] = other
    cells[0]["id"] = "../../../x"
    cells[1]["id"] = "<script>"
    cells[2]["id"] = cells[3]["id"]
    for cell in cells:
        meta = cell["metadata"].get("nbgrader", {})
        if meta.get("grade_id") == "lab9-gpus":
            meta["grade_id"] = "../lab9-gpus\n"
        elif meta.get("grade_id") == "lab9-nodes":
            cell["metadata"]["nbgrader"] = ["lab9-nodes"]
        elif meta.get("grade_id") == "question-total":
            cell["metadata"] = {"nbgrader": {"grade_id": {"a": 1}, "points": float("inf")}}
