"""Handed in by eve in the name of ada, later than hers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "a submission in another one's name, newer than that one's own",
    "by": "eve",
    "inbound": "ada+lab9-attacks+2031-01-01 00:00:00.000000 UTC+AAAAAAAAAAAA",
    "aside": "it claims to be of ada, and eve handed it in",
}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del values
    for cell in notebook["cells"]:
        cell["source"] = ""
    (folder / "region.txt").write_text("nowhere")
