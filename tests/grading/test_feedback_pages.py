"""What learners read on a feedback page: the lab's text as it looks in the notebook, outputs whole, no bare numbers."""

from __future__ import annotations

import nbformat

from iaclab.grading import nbgrader_marks as marks
from iaclab.grading import runner
from iaclab.grading.limits import Limits
from iaclab.grading.nbgrader_execute import DropRubrics
from iaclab.grading.nbgrader_markdown import to_html


def test_a_note_for_the_builder_is_not_shown() -> None:
    page = to_html("## Part 2: the network module <!-- covers: Part 2 / VPC Module -->\n\n<!-- mine -->")
    assert "Part 2: the network module</h2>" in page or "Part 2: the network module<a" in page
    assert "covers" not in page
    assert "mine" in page, "a learner's own comment hides nothing"


def test_a_stream_that_came_in_pieces_is_whole() -> None:
    pieces = [("stdout", "old-version"), ("stdout", "s\n"), ("stderr", "warning\n"), ("stdout", "end\n")]
    cell = nbformat.v4.new_code_cell("1", outputs=[nbformat.v4.new_output("stream", name=n, text=t) for n, t in pieces])
    runner.clean(cell, Limits())
    assert [(output.name, output.text) for output in cell.outputs] == [
        ("stdout", "old-versions\n"),
        ("stderr", "warning\n"),
        ("stdout", "end\n"),
    ]


def test_feedback_says_the_points_once() -> None:
    meta = {"grade": True, "locked": True, "solution": False, "task": False, "grade_id": "lab0-app", "points": 4}
    cell = nbformat.v4.new_code_cell('iaclab.check("lab0.app")', metadata={"nbgrader": meta})
    own = nbformat.v4.new_code_cell("1 + 1", outputs=[nbformat.v4.new_output("execute_result", {"text/plain": "2"})])
    nb = nbformat.v4.new_notebook(cells=[cell, own])
    marks.put(nb, {"lab0-app": (3.0, 4.0, "passed")})
    assert len(cell.outputs) == 2, "the second is what nbgrader reads"
    nb, _ = DropRubrics().preprocess(nb, {})
    assert [output.text for output in nb.cells[0].outputs] == ["3 of 4 points. passed\n"]
    assert nb.cells[1].outputs, "what a learner computed stays"
