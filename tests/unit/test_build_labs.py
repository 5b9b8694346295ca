"""What the builder makes of a lab's one text, and what it refuses; each case changes one thing in a tiny lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from iaclab.build import lab, rules
from iaclab.build.notebook import instructor, render
from iaclab.lessons import read

TINY = Path(__file__).with_name("lessons") / "labs" / "good-lab.md"
SECRETS = ("secret-of-the-task", "secret-of-the-skeleton", "secret-of-the-question", "secret-of-the-essay")
HIDDEN = """
from iaclab.checks.record import Check

CHECKS = {"two-gpus.secret-of-the-hidden-check": Check("seen", lambda p: 1, bool, ("", "", ""), points=3)}
"""
CHECK = 'iaclab.check("start.two-gpus")\n'
QUESTION = ":tags: [question]\n:name: first-wave\n:points: 2\n"
ESSAY = '+++ {"tags": ["essay"], "name": "why", "points": 5}'
FAULTS = {
    "a task without a check": (CHECK, "1 + 1\n", "30: a solution without a check in the next code cell"),
    "a solution after no task": ("# Your turn: two pods.", "1 + 1", "23: a solution that comes after no task"),
    "a check that is not there": ("two-gpus", "tow-gpus", "37: there is no check 'start.tow-gpus'"),
    "a check twice": ("argocd.components", "start.two-gpus", "50: 'start.two-gpus' stands in the lab twice"),
    "a question without a name": (":name: first-wave\n", "", "56: a question without `name`"),
    "a question without points": (":points: 2\n", "", "56: a question without `points`, a whole number"),
    "a question without an answer": (
        'ANSWER = [\n    "secret-of-the-question",\n    "b",\n]',
        "ANSWER = None",
        "56: a q",
    ),
    "a question that computes": (
        '"b",\n]',
        '"b".upper(),\n]',
        "56: a question's cell holds comments and one statement",
    ),
    "an essay without points": (', "points": 5', "", "70: an essay without `points`, a whole number"),
    "an essay without a rubric": ('{"tags": ["rubric"]}', "", "70: an essay without a rubric right after it"),
    "a rubric without an essay": ('{"tags": ["essay"], "name": "why", "points": 5}', "", "74: a rubric without an es"),
    "an essay that never ends": ("\nThe secret-of-the-essay.", "\n## On\n\nand on.", "70: an essay holds a heading"),
    "a block break that is no JSON": (ESSAY, "+++ {essay}", "1: a block break `+++` or a cell's options cannot be"),
    "several things at once": ("[question]", "[question, solution]", "56: a cell is one of question, solution"),
    "files that are not there": (
        ":tags: [solution]\n\n%%w",
        ":tags: [solution]\n:files: no/such\n\n%%w",
        "23: the sol",
    ),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    target = tmp_path / "content" / "labs" / "good-lab.md"
    target.parent.mkdir(parents=True)
    target.write_text(TINY.read_text())
    return target


@pytest.fixture
def with_hidden(source: Path) -> Path:
    path = source.parents[2] / "grading" / "hidden" / "good-lab.py"
    path.parent.mkdir(parents=True)
    path.write_text(HIDDEN)
    return source


def cells_of(text: str) -> dict[str, Any]:
    """The cells with nbgrader's metadata, by its id."""
    found = json.loads(text)["cells"]
    return {cell["metadata"]["nbgrader"]["grade_id"]: cell for cell in found if "nbgrader" in cell["metadata"]}


def said(cell: dict[str, Any]) -> str:
    return "".join(cell["source"])


def test_a_good_lab_breaks_no_rule(with_hidden: Path) -> None:
    assert rules.faults(with_hidden) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_with_its_line(name: str, source: Path) -> None:
    old, new, expected = FAULTS[name]
    text = source.read_text()
    assert text.count(old) == 1, f"the tiny lab has {old!r} {text.count(old)} times"
    source.write_text(text.replace(old, new))
    found = [fault.removeprefix(f"{source}:") for fault in rules.faults(source)]
    assert found[0].startswith(expected), found


def test_a_hidden_check_hangs_on_a_check_of_the_lab(with_hidden: Path) -> None:
    path = with_hidden.parents[2] / "grading" / "hidden" / "good-lab.py"
    path.write_text(HIDDEN.replace("two-gpus.", "three-gpus."))
    assert "hangs on no check of this lab" in rules.faults(with_hidden)[0]
    path.write_text("CHECKS = 1 / 0")
    assert "ZeroDivisionError" in rules.faults(with_hidden)[0]


def test_the_instructor_version_has_everything(with_hidden: Path) -> None:
    text = instructor(read(with_hidden))
    assert all(secret in text for secret in (*SECRETS, "secret-of-the-rubric"))
    cells = cells_of(text)
    assert list(cells) == [
        "task-two-gpus",
        "start-two-gpus",
        "task-components",
        "argocd-components",
        "answer-first-wave",
        "question-first-wave",
        "essay-why",
    ]
    points = {name: cell["metadata"]["nbgrader"].get("points") for name, cell in cells.items()}
    assert points["start-two-gpus"] == 4, "one for the visible check, three for the hidden one"
    assert (points["question-first-wave"], points["essay-why"], points["task-two-gpus"]) == (2, 5, None)
    assert sum(entry.points for entry in lab.graded(with_hidden)) == sum(filter(None, points.values()))
    assert f"**points** {sum(filter(None, points.values()))}" in text


def test_the_graded_cells_are_a_table_for_the_grader(with_hidden: Path) -> None:
    first, second, question, essay = lab.graded(with_hidden)
    assert (first.check, first.hidden) == ("start.two-gpus", ("two-gpus.secret-of-the-hidden-check",))
    assert (second.check, second.hidden) == ("argocd.components", ())
    assert question.expected == ["secret-of-the-question", "b"]
    assert (essay.kind, essay.points) == ("essay", 5)


def test_the_student_version_has_no_secret(with_hidden: Path) -> None:
    text = render(read(with_hidden))
    assert "secret-of" not in text
    assert "kubectl apply" not in text
    cells = cells_of(text)
    assert said(cells["task-two-gpus"]) == "# Your turn: two pods."
    assert said(cells["task-components"]) == "# Your turn: name the node.\n# Your turn"
    assert said(cells["answer-first-wave"]) == (
        "# A list of two strings, „größer“ first.\nANSWER = None  # in this order"
    )
    assert said(cells["essay-why"]) == "*Write your answer here.*"
    assert said(cells["start-two-gpus"]) == (
        'iaclab.check("start.two-gpus")  # 4 points, 3 of them for what is looked at after you submit'
    )


def test_the_ids_of_the_student_version_tell_nothing_of_the_answers(source: Path) -> None:
    """An id is made from a cell's text: whoever guesses the answer could otherwise prove the guess."""
    before = render(read(source))
    text = source.read_text()
    for secret in (*SECRETS, "secret-of-the-rubric"):
        text = text.replace(secret, "something-else")
    source.write_text(text)
    assert render(read(source)) == before


def test_graded_cells_are_locked_and_the_learners_own_are_not(source: Path) -> None:
    cells = cells_of(render(read(source)))
    for name, cell in cells.items():
        locked = cell["metadata"].get("editable") is False
        assert locked is name.startswith(("start-", "argocd-", "question-")), name
        assert cell["metadata"]["nbgrader"]["schema_version"] == 3


def test_a_student_version_is_built_to_the_same_bytes_twice(source: Path) -> None:
    assert render(read(source)) == render(read(source))


def test_a_solution_may_lie_in_a_folder(source: Path) -> None:
    root = source.parents[2]
    folder = root / "tests" / "labs" / "solution"
    (folder / "modules").mkdir(parents=True)
    (folder / "modules" / "main.tf").write_text("# secret-of-the-file\n")
    (folder / "deploy").write_text("#!/bin/bash\n")
    (folder / "deploy").chmod(0o755)
    old = ":tags: [solution]\n\n%%bash -e\nkubectl apply -f secret-of-the-task.yaml\n"
    assert old in source.read_text()
    new = ":tags: [solution]\n:files: tests/labs/solution\n\n%%bash -e\n./deploy\n"
    source.write_text(source.read_text().replace(old, new))
    assert rules.faults(source) == []
    solutions = [
        said(cell)
        for cell in json.loads(instructor(read(source)))["cells"]
        if "solution" in cell["metadata"].get("tags", [])
    ]
    assert solutions[1:] == [
        "%%bash -e\nmkdir -p modules",
        "%%writefile deploy\n#!/bin/bash",
        "%%writefile modules/main.tf\n# secret-of-the-file",
        "%%bash -e\nchmod +x deploy",
        "%%bash -e\n./deploy",
    ]
    assert "secret-of" not in render(read(source))
