"""Handed in by eve without the file that feedback is found by: stock nbgrader then stops the feedback of everybody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "the file by which feedback is found is missing, which stops the feedback of the whole class",
    "inbound": "eve+lab9-attacks+2033-01-01 00:00:00.000000 UTC+DDDDDDDDDDDD",
    "aside": "submission_secret.txt is missing",
}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del notebook, values
    (folder / "submission_secret.txt").unlink()
