"""A file that is no JSON, and has what moves a terminal's cursor in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "the notebook is no JSON, and holds control characters for the instructor's terminal",
    "aside": "JSON",
}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> str:
    del folder, notebook, values
    return '{"cells": \x1b[2J\x1b]0;owned\x07 [red]' + "{" * 3000
