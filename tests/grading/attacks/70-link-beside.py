"""A link lies beside the notebook and leads to the hidden checks, another to a neighbour's folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {"aside": "is a symbolic link", "tries": "links beside the notebook lead to hidden checks and to /etc/passwd"}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del notebook
    (folder / "region.txt").symlink_to("/etc/passwd")
    (folder / "nodes.json").symlink_to(f"{values['REPO']}/grading/hidden/lab9-attacks.py")
    (folder / "others").symlink_to("..")
