"""The graded cells of a submission, brought back to what the gradebook knows of them.

A submission's metadata is written by whoever handed it in. Which cells are graded, for how many points, and what stands
in the locked ones is taken from the gradebook, where `nbgrader generate_assignment` put it; of a submission's own cells
only the text of those that learners are to write in counts. Nothing here fails for what a submission says of itself.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from nbgrader.preprocessors import NbGraderPreprocessor  # type: ignore[import-untyped]

from iaclab.build import lab, notebook
from iaclab.grading import intake
from iaclab.grading.limits import Limits

_KEPT = ("tags", "collapsed")  # of a cell's metadata


@dataclass(frozen=True)
class Known:
    """A cell as the gradebook has it; `points` is None where it is not graded."""

    id: str
    cell_type: str
    source: str
    checksum: str | None
    locked: bool
    solution: bool
    points: float | None

    def metadata(self) -> dict[str, Any]:
        """nbgrader's metadata of this cell."""
        meta = {
            "schema_version": lab.SCHEMA,
            "grade_id": self.id,
            "grade": self.points is not None,
            "locked": self.locked,
            "solution": self.solution,
            "task": False,
            "cell_type": self.cell_type,
        }
        if self.checksum:
            meta["checksum"] = self.checksum
        return meta if self.points is None else meta | {"points": self.points}


def known(gradebook: Gradebook, assignment: str, name: str) -> dict[str, Known]:
    """The cells of a notebook that nbgrader keeps track of, in their order.

    Raises:
        MissingEntry: the gradebook has no such notebook.
    """
    found = gradebook.find_notebook(name, assignment)
    points = {cell.name: float(cell.max_score) for cell in found.grade_cells}
    solutions = {cell.name for cell in found.solution_cells}
    return {
        cell.name: Known(
            cell.name,
            cell.cell_type,
            cell.source,
            cell.checksum,
            bool(cell.locked),
            cell.name in solutions,
            points.get(cell.name),
        )
        for cell in found.source_cells
    }


def restore(nb: Any, table: dict[str, Known]) -> list[str]:
    """Bring a submission's notebook back to the known cells, in place; returns what was wrong with it, in words.

    A cell that is there twice counts where it is first; one that is missing is put at the end.
    """
    notes = []
    times = Counter(_id_of(cell) for cell in nb.cells)
    seen: set[str] = set()
    for cell in nb.cells:
        name = _id_of(cell)
        cell.metadata = type(nb.metadata)({k: v for k, v in cell.metadata.items() if k in _KEPT})
        if name not in table or name in seen:
            continue
        seen.add(name)
        notes += _restore_one(cell, table[name])
    notes += [f"the cell {name} is there {times[name]} times; the first one counts" for name in seen if times[name] > 1]
    for name, entry in table.items():
        if name not in seen:
            notes.append(f"the cell {name} is missing; it was put back")
            nb.cells.append(_new(entry))
    notebook.name(nb.cells)
    return sorted(notes)


class RestoreCells(NbGraderPreprocessor):  # type: ignore[misc]
    """`restore` as a step of `nbgrader autograde`, in the place of DeduplicateIds and OverwriteCells."""

    def preprocess(self, nb: Any, resources: Any) -> tuple[Any, Any]:
        """Restore all cells."""
        about = resources["nbgrader"]
        clean = intake.notebook(nb, Limits())
        nb.cells, nb.metadata = clean.cells, clean.metadata
        with Gradebook(about["db_url"]) as gradebook:
            table = known(gradebook, about["assignment"], about["notebook"])
        for note in restore(nb, table):
            self.log.warning("%s: %s", about["student"], note)
        return nb, resources


def _id_of(cell: Any) -> str:
    meta = cell.metadata.get("nbgrader")
    name = meta.get("grade_id") if isinstance(meta, dict) else None
    return name if isinstance(name, str) else ""


def _restore_one(cell: Any, entry: Known) -> list[str]:
    import nbformat

    notes = []
    if cell.cell_type != entry.cell_type:
        notes.append(f"the cell {entry.id} was made a {cell.cell_type} cell")
        right = _blank(entry.cell_type, cell.source)
        cell.clear()
        cell.update(right)
    if entry.locked and cell.source != entry.source:
        notes.append(f"the locked cell {entry.id} was changed")
        cell.source = entry.source
    cell.metadata["nbgrader"] = nbformat.notebooknode.from_dict(entry.metadata())
    if entry.locked:
        cell.metadata.update(editable=False, deletable=False)
    return notes


def _new(entry: Known) -> Any:
    cell = _blank(entry.cell_type, entry.source)
    _restore_one(cell, entry)
    return cell


def _blank(cell_type: str, text: str) -> Any:
    import nbformat

    return nbformat.v4.new_code_cell(text) if cell_type == "code" else nbformat.v4.new_markdown_cell(text)
