"""The notebook's metadata name a kernel of its own, tags that skip cells, and settings for those who open it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "metadata name a kernel, tags that skip cells or hide errors, and cells that count as trusted",
}


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    notebook["metadata"] = {
        "kernelspec": {"name": "../../../tmp/evil", "display_name": "<script>alert(1)</script>", "argv": ["sh"]},
        "language_info": {"name": "bash", "version": {"a": [1] * 100}},
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": {"x": "<script>"}}},
        "nbgrader": {"points": 1000},
        "celltoolbar": "Create Assignment",
        "nbconvert": {"template": "/etc/passwd"},
    }
    for cell in notebook["cells"]:
        cell["metadata"] |= {"trusted": True, "tags": ["skip-execution", "raises-exception", "nbgrader-passed"]}
        cell["metadata"]["execution"] = {"iopub.status.busy": "<script>"}
