"""Marks as outputs of graded cells, in the form that nbgrader reads scores from (`determine_grade`)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from iaclab.build import lab

RUBRIC = "rubric"  # the tag of a cell that instructors see in formgrader and learners never


def put(nb: Any, marks: dict[str, tuple[float, float, str]]) -> None:
    """Give each locked graded cell an output that says its points, in place; whatever it had is gone.

    Args:
        nb: a notebook whose graded cells are those of the gradebook (`nbgrader_cells.restore`).
        marks: (points, of, comment) by grade_id. A cell without a mark gets none of its points.
    """
    import nbformat

    for cell in nb.cells:
        meta = cell.metadata.get("nbgrader", {})
        if not meta.get("grade") or meta.get("solution"):
            continue  # what learners write in is graded by hand
        points, of, comment = marks.get(meta["grade_id"], (0.0, meta["points"], "it was not graded"))
        points = max(0.0, min(float(points), float(meta["points"])))
        cell.execution_count = None
        cell.outputs = [
            nbformat.v4.new_output(
                "stream", name="stdout", text=f"{points:g} of {of:g} points. {comment}".strip() + "\n"
            ),
            nbformat.v4.new_output("execute_result", data={"text/plain": repr(points)}),
        ]


def take_outputs(nb: Any, ran: Any) -> None:
    """Copy the outputs of a notebook that ran into one with the same cells in the same order (others at its end)."""
    for cell, other in zip(nb.cells, ran.cells, strict=False):
        if cell.cell_type == other.cell_type == "code" and cell.source == other.source:
            cell.outputs, cell.execution_count = other.outputs, other.execution_count


def rubrics(instructor_cells: list[Any]) -> dict[str, str]:
    """The rubric of each essay, by its grade_id."""
    found = {}
    for essay, after in pairwise(instructor_cells):
        if "essay" in lab.tags_of(essay) and RUBRIC in lab.tags_of(after):
            found[essay.metadata["nbgrader"]["grade_id"]] = after.source
    return found


def put_rubrics(nb: Any, found: dict[str, str]) -> None:
    """Put each rubric after its essay, in place, for the one who grades by hand."""
    import nbformat

    cells = []
    for cell in nb.cells:
        if RUBRIC in lab.tags_of(cell):
            continue  # a submission's own
        cells.append(cell)
        if text := found.get(cell.metadata.get("nbgrader", {}).get("grade_id", "")):
            cells.append(nbformat.v4.new_markdown_cell(f"**Rubric**\n\n{text}", metadata={"tags": [RUBRIC]}))
    nb.cells = cells
