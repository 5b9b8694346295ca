"""How nbgrader's `generate_assignment` makes a lab's student version: what is cut, and what stays.

Its steps are nbgrader's own, with one replaced (`CutSolutions`) and one added (`NameCells`); `nbgrader_settings.py` has
the list.
"""

from __future__ import annotations

from typing import Any

from nbgrader.preprocessors import ClearSolutions, NbGraderPreprocessor  # type: ignore[import-untyped]

from iaclab.build import lab, notebook

_CUT = {"solution", "rubric"}  # cells that only instructors have
_OPEN = {"task", "quiz", "sheet"}  # cells that learners get as they are written
_REGION = "BEGIN SOLUTION"


class CutSolutions(ClearSolutions):  # type: ignore[misc]
    """Takes out what is the instructor's: cells tagged `solution` or `rubric`, a question's answer, a model answer.

    A task's cell stays as it is written, but for a region that nbgrader's own marks enclose.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.text_stub = "*Write your answer here.*"
        self.code_stub = {"python": "# Your turn"}  # raises nothing: a notebook that is not filled in runs to its end

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Cut whole cells first, then within the others."""
        nb.cells = [cell for cell in nb.cells if not _CUT & set(lab.tags_of(cell))]
        return tuple(super().preprocess(nb, resources))

    def preprocess_cell(self, cell: Any, resources: Any, cell_index: int) -> tuple[Any, Any]:
        """Cut within one cell."""
        tags = lab.tags_of(cell)
        if "question" in tags:
            cell.source = lab.unanswered(cell.source)
        elif not _OPEN & set(tags) or _REGION in cell.source:
            return tuple(super().preprocess_cell(cell, resources, cell_index))
        return cell, resources


class NameCells(NbGraderPreprocessor):  # type: ignore[misc]
    """Gives every cell an id from what is left of it: one made from the answer would give the answer away."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Name all cells."""
        notebook.name(nb.cells)
        return nb, resources
