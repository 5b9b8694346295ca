"""The cells of a submission are brought back to the gradebook's, and nbgrader reads the points that were given."""

from __future__ import annotations

import copy
from typing import Any

import nbformat
import pytest
from nbgrader import utils  # type: ignore[import-untyped]
from nbgrader.nbgraderformat import MetadataValidator  # type: ignore[import-untyped]

from iaclab.grading import nbgrader_marks as marks
from iaclab.grading.nbgrader_cells import Known, restore

TABLE = {
    "task-app": Known("task-app", "code", "# Your turn.", "0" * 32, locked=False, solution=True, points=None),
    "lab0-app": Known("lab0-app", "code", 'iaclab.check("lab0.app")', None, locked=True, solution=False, points=10),
    "essay-why": Known("essay-why", "markdown", "*Write*", None, locked=False, solution=True, points=5),
}


def submission(**changes: dict[str, Any]) -> Any:
    """A submission with the three cells; `changes` are for a cell's own fields and, under `nbgrader`, its metadata."""
    nb = nbformat.v4.new_notebook()
    for name, known in TABLE.items():
        new = nbformat.v4.new_code_cell if known.cell_type == "code" else nbformat.v4.new_markdown_cell
        cell = new(f"mine: {name}" if not known.locked else known.source)
        change = dict(changes.get(name.replace("-", "_"), {}))
        cell.metadata["nbgrader"] = {**known.metadata(), **change.pop("nbgrader", {})}
        cell.update(change)
        nb.cells.append(nbformat.notebooknode.from_dict(cell))
    return nb


def by_id(nb: Any) -> dict[str, Any]:
    return {cell.metadata.nbgrader.grade_id: cell for cell in nb.cells if "nbgrader" in cell.metadata}


def test_an_honest_submission_stays_as_it_is() -> None:
    nb = submission()
    before = [cell.source for cell in nb.cells]
    assert restore(nb, TABLE) == []
    assert [cell.source for cell in nb.cells] == before


POISON: dict[str, tuple[dict[str, Any], str]] = {
    "more points": ({"lab0_app": {"nbgrader": {"points": 1000}}}, ""),
    "negative points": ({"lab0_app": {"nbgrader": {"points": -1}}}, ""),
    "points as a text": ({"lab0_app": {"nbgrader": {"points": "ten"}}}, ""),
    "no longer graded": ({"lab0_app": {"nbgrader": {"grade": False}}}, ""),
    "a solution now": ({"lab0_app": {"nbgrader": {"solution": True}}}, ""),
    "another check": ({"lab0_app": {"source": "True"}}, "the locked cell lab0-app was changed"),
    "made Markdown": ({"lab0_app": {"cell_type": "markdown"}}, "the cell lab0-app was made a markdown cell"),
    "an essay as code": (
        {"essay_why": {"cell_type": "code", "outputs": []}},
        "the cell essay-why was made a code cell",
    ),
    "an old schema": ({"lab0_app": {"nbgrader": {"schema_version": 1}}}, ""),
    "fields that are none": ({"lab0_app": {"nbgrader": {"score": 10, "comment": "well done"}}}, ""),
    "metadata that is no table": (
        {"lab0_app": {"metadata": {"nbgrader": "yes"}}},
        "the cell lab0-app is missing; it was",
    ),
    "a missing cell": ({"lab0_app": {"metadata": {}}}, "the cell lab0-app is missing; it was put back"),
}


@pytest.mark.parametrize("name", POISON)
def test_whatever_a_submission_says_of_itself_the_graded_cells_are_the_gradebooks(name: str) -> None:
    changes, note = POISON[name]
    nb = submission(**copy.deepcopy(changes))
    notes = restore(nb, TABLE)
    assert any(note in said for said in notes) if note else notes == [], notes
    MetadataValidator().validate_nb(nb)
    cells = by_id(nb)
    assert sorted(cells) == sorted(TABLE)
    for grade_id, known in TABLE.items():
        assert cells[grade_id].metadata.nbgrader == known.metadata()
        assert cells[grade_id].cell_type == known.cell_type
    assert cells["lab0-app"].source == TABLE["lab0-app"].source
    assert cells["task-app"].source == "mine: task-app"


def test_of_two_with_the_same_id_the_first_counts_as_for_the_grader() -> None:
    nb = submission()
    nb.cells.append(copy.deepcopy(nb.cells[0]))
    nb.cells[-1].source = "another"
    assert restore(nb, TABLE) == ["the cell task-app is there 2 times; the first one counts"]
    assert by_id(nb)["task-app"].source == "mine: task-app"
    assert len({cell.id for cell in nb.cells}) == len(nb.cells)


@pytest.mark.parametrize("points", [0, 1, 2.5, 1 / 3, 10])
def test_nbgrader_reads_the_points_that_were_given(points: float) -> None:
    nb = submission()
    restore(nb, TABLE)
    by_id(nb)["lab0-app"].outputs = [nbformat.v4.new_output("error", ename="E", evalue="", traceback=[])]
    marks.put(nb, {"lab0-app": (points, 10, "what was seen")})
    assert utils.determine_grade(by_id(nb)["lab0-app"]) == (points, 10)
    assert utils.determine_grade(by_id(nb)["essay-why"]) == (None, 5), "graded by hand"
    nbformat.validate(nb)


def test_a_cell_without_a_mark_gets_nothing_and_no_mark_is_above_the_cells_points() -> None:
    nb = submission()
    restore(nb, TABLE)
    marks.put(nb, {})
    assert utils.determine_grade(by_id(nb)["lab0-app"]) == (0, 10)
    marks.put(nb, {"lab0-app": (11, 11, "")})
    assert utils.determine_grade(by_id(nb)["lab0-app"]) == (10, 10)


def test_a_rubric_is_beside_the_essay_and_a_submissions_own_is_not() -> None:
    nb = submission()
    nb.cells.append(nbformat.v4.new_markdown_cell("full points for me", metadata={"tags": ["rubric"]}))
    marks.put_rubrics(nb, {"essay-why": "- 5 points: a reason"})
    said = [cell.source for cell in nb.cells if "rubric" in cell.metadata.get("tags", [])]
    assert said == ["**Rubric**\n\n- 5 points: a reason"]
