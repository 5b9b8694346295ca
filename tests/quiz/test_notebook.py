"""The quiz as a learner opens it: unfilled it runs from the top to the end, twice, and shows thirty questions."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from iaclab import paths
from iaclab.quiz import bank, draw

ROOT = paths.repo_root()
assert ROOT is not None


@pytest.mark.platform
def test_it_runs_to_its_end_and_shows_the_learners_own_questions(tmp_path: Path) -> None:
    own = draw.sheet("ada", bank.bank(bank.folder(ROOT / "content" / "quiz")))
    os.environ["IACLAB_LEARNER"] = "ada"  # the test's environment is put back at its end
    for _ in range(2):
        notebook = nbformat.read(ROOT / "labs" / "quiz.ipynb", as_version=4)
        NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
        outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
        shown = "".join(output.get("data", {}).get("text/markdown", "") for output in outputs)
        assert [one.name for one in own.asked if f"**{one.name}.** {one.question.question}" not in shown] == []
        said = "".join(output.get("text", "") for output in outputs)
        assert said.count(": not answered") == 30
        practice = [output.data["text/html"] for output in outputs if "text/html" in output.get("data", {})]
        assert practice[0].count("<details>") == 12
