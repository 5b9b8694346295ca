"""Handed in by ben, late: the name, the timestamp and the files' times say that it was early."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "the submission's name, its timestamp and the times of its files say that it is old",
    "inbound": "ben+lab9-attacks+2001-01-01 00:00:00.000000 UTC+BBBBBBBBBBBB",
    "early": True,
}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del notebook, values
    (folder / "timestamp.txt").write_text("2001-01-01 00:00:00.000000 UTC")
    for path in (*folder.iterdir(), folder):
        os.utime(path, (1e9, 1e9))
