"""The notebook itself is a link to the instructor's version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"aside": "is a symbolic link", "tries": "the notebook is a link to the instructor's version of it"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del notebook
    path = folder / "lab9-attacks.ipynb"
    path.unlink()
    path.symlink_to(f"{values['COURSE']}/source/lab9-attacks/lab9-attacks.ipynb")
