"""Answers are read from the source, as literals; nothing of them is executed."""

from __future__ import annotations

from typing import Any

import nbformat
import pytest

from iaclab.grading.answers import Answer, answer, answers, is_right


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ('ANSWER = "b"', "b"),
        ("# a note\nANSWER = 3  # three", 3),
        ('ANSWER = "a"\nANSWER = "b"', "b"),
        ('ANSWER: str = "b"', "b"),
        ("ANSWER = -1.5", -1.5),
        ('ANSWER = {"a", "b"}', {"a", "b"}),
        ('print("x")\nANSWER = ["a"]\nimport os', ["a"]),
        ("ANSWER = False", False),
    ],
)
def test_reads_literals(source: str, value: Any) -> None:
    assert answer(source) == Answer(value)


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("", "no line ANSWER"),
        ("ANSWER = None", "not answered"),
        ('ANSWER = input("?")', "not a literal"),
        ('ANSWER = "a"\nANSWER = other', "not a literal"),
        ("if True:\n    ANSWER = 1", "no line ANSWER"),
        ("ANSWER == 1", "no line ANSWER"),
        ("ANSWER = 10 ** 10 ** 10", "not a literal"),
        ('ANSWER = "a" * 10**9', "not a literal"),
        ("ANSWER = __import__('os').system('touch /tmp/x')", "not a literal"),
        ("ANSWER = [x for x in range(3)]", "not a literal"),
        ("ANSWER = {[]: 1}", "not a literal"),
        ("%%bash\nANSWER=b", "not Python"),
        ("ANSWER = ", "not Python"),
        ("ANSWER = " + "(" * 4000 + ")" * 4000, "not Python"),
        ("ANSWER = " + "-" * 9000 + "1", "not"),
        ("ANSWER = 1\0", "not Python"),
        ("#" * 20_000, "characters"),
    ],
)
def test_says_why_there_is_none(source: str, why: str) -> None:
    found = answer(source)
    assert not found.is_given and why in found.why


@pytest.mark.parametrize(
    ("given", "expected", "right"),
    [
        (" Sync  Wave", "sync wave", True),
        (["a", "b"], ("a", "b"), True),
        ({"a", "b"}, {"b", "a"}, True),
        (["b", "a"], ["a", "b"], False),
        (True, 1, False),
        (1, True, False),
        ("1", 1, False),
        (2.0, 2, True),
        ({"a": 1}, {"a": 1}, True),
    ],
)
def test_compares(given: Any, expected: Any, right: bool) -> None:
    assert is_right(Answer(given), expected) is right


def test_no_answer_is_never_right() -> None:
    assert not is_right(Answer(why="not answered"), None)


def test_finds_the_cells_of_questions() -> None:
    def cell(name: str, source: str, kind: str = "code") -> Any:
        return getattr(nbformat.v4, f"new_{kind}_cell")(source, metadata={"nbgrader": {"grade_id": name}})

    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell("ANSWER = 1"),
            cell("answer-waves", "ANSWER = 2"),
            cell("question-waves", "ANSWER = 3"),
            cell("answer-text", "ANSWER = 4", "markdown"),
        ]
    )
    assert answers(notebook) == {"waves": Answer(2)}
