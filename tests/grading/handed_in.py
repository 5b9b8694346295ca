"""What the sample class hands in: a good, an average and a cheating submission of the small lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOOD = {
    "task-region": "%%writefile region.txt\neu-west-1",
    "task-nodes": 'import json\n\njson.dump(["gpu-1", "gpu-2", "gpu-3"], open("nodes.json", "w"))',
    "answer-gpus": "ANSWER = 24",
    "essay-where": "In Git: a change is reviewed, and can be taken back.",
}
AVERAGE = {
    "task-nodes": 'import json\n\njson.dump(["gpu-1", "gpu-1", "gpu-2"], open("nodes.json", "w"))',
    "answer-gpus": "ANSWER = 3 * 8",  # no literal
    "essay-where": "In a wiki.",
}
TRICKS = """
ip = get_ipython()
ip.input_transformers_cleanup.append(lambda lines: [])
import builtins, sys
import iaclab.checks.record as record
record.Check.run = lambda self, *a, **k: record.Result(self.title, True, "", "", self.points)
sys.modules["iaclab.checks"].check = lambda *a, **k: None
"""
CHEATING = {
    "task-region": TRICKS,
    "start": "",
    "lab0-region": "print('passed')",
    "question-gpus": "10",
}


def fill(path: Path, work: dict[str, str]) -> dict[str, Any]:
    """Put a learner's work into the cells of a fetched notebook, by nbgrader's ids."""
    notebook: dict[str, Any] = json.loads(path.read_text())
    for cell in notebook["cells"]:
        grade_id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if grade_id in work:
            cell["source"] = work[grade_id]
    path.chmod(0o644)
    path.write_text(json.dumps(notebook))
    return notebook


def cheat(path: Path) -> None:
    """As `fill`, and the notebook says of itself that its cells are worth more, and that one is graded twice."""
    notebook = fill(path, CHEATING)
    for cell in notebook["cells"]:
        meta = cell["metadata"].get("nbgrader", {})
        if meta.get("grade") and not meta.get("solution"):
            meta["points"] = 1000
            cell["outputs"] = [
                {"output_type": "execute_result", "data": {"text/plain": "1000"}, "metadata": {}, "execution_count": 1}
            ]
    twice = next(
        cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == "lab0-nodes"
    )
    notebook["cells"].append({**twice, "id": "twice", "source": "1000"})
    path.write_text(json.dumps(notebook))
