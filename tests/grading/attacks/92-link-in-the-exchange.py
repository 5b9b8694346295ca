"""Handed in by eve: its notebook is a link to a neighbour's file, beside it lies a pipe."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "what lies in the exchange is a link to another one's notebook, and a pipe that collecting waits for",
    "inbound": "eve+lab9-attacks+2032-01-01 00:00:00.000000 UTC+CCCCCCCCCCCC",
    "aside": "is a symbolic link|is a pipe",
}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del notebook
    path = folder / "lab9-attacks.ipynb"
    path.unlink()
    path.symlink_to(f"{values['COURSE']}/submitted/00-honest/lab9-attacks/lab9-attacks.ipynb")
    os.mkfifo(folder / "a-pipe")
