"""Every graded cell is there twice: the first one is easy."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "every graded cell and the answer are there several times, the easy ones first",
    "notes": "the locked cell lab9-region was changed",
}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    doubled = []
    for cell in notebook["cells"]:
        if cell["metadata"].get("nbgrader"):
            easy = copy.deepcopy(cell)
            easy |= {"id": f"easy-{len(doubled)}", "source": "100"}
            doubled += [easy, copy.deepcopy(easy) | {"id": f"easier-{len(doubled)}"}]
        doubled.append(cell)
    notebook["cells"] = doubled
