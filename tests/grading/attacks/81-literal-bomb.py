"""The answer is deep, long to compute, or no literal: whoever evaluates it pays for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"tries": "the answer is an expression that is deep and costly to evaluate, or no literal"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade_id") == "answer-total":
            cell["source"] = "\n".join(
                [
                    f"if False: ANSWER = {'-' * 4000}24",
                    f"ANSWER = {'(' * 90}24{')' * 90} if __import__('os').environ else 24",
                    "ANSWER = '24' * 1 and [24] * 1 and int('24')",
                ]
            )
