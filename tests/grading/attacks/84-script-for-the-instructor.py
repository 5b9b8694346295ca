"""Text and outputs hold scripts, for the page in which the instructor grades: they would act with its rights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

ATTACK = {
    "tries": "text, pictures and outputs hold scripts that would act as the instructor in formgrader and feedback",
    "scripts": True,
}
SCRIPT = "<script>evil84()</script><img src=x onerror=evil84()><svg onload=evil84()></svg>"


def hand_in(folder: Path, notebook: dict[str, Any], values: dict[str, str]) -> None:
    del folder, values
    plain: dict[str, Any] = {"metadata": {}, "outputs": [], "execution_count": None}
    notebook["cells"] += [
        {"cell_type": "markdown", "id": "m84", "metadata": {}, "source": f"{SCRIPT} [x](javascript:evil84())"},
        {"cell_type": "raw", "id": "r84", "metadata": {"raw_mimetype": "text/html"}, "source": SCRIPT},
        {
            "cell_type": "code",
            "id": "c84",
            **plain,
            "source": "from IPython.display import HTML, SVG, Javascript, Markdown\n"
            f"display(HTML('{SCRIPT}'), Javascript('evil84()'), Markdown('{SCRIPT}'))\n"
            "display(SVG('<svg onload=\"evil84()\"/>'))\n"
            f"print('{SCRIPT}')\nraise ValueError('{SCRIPT}')",
        },
    ]
