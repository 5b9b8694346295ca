"""`iaclab.answer`: an answer of the wrong type says which type it has and which is wanted."""

from __future__ import annotations

import json

import pytest

import iaclab
from iaclab import lessons, paths
from iaclab.build import lab
from iaclab.grading.answers import kind

ROOT = paths.repo_root()
assert ROOT is not None
VALUES = {"text": "a", "truth": True, "number": 2, "list": ["a"], "set": {"a"}, "table": {"a": 1}}
LABS = [path for path in lessons.sources() if path.parent.name == "labs"]


@pytest.mark.parametrize("wanted", VALUES)
@pytest.mark.parametrize("given", VALUES)
def test_a_wrong_type_is_named_with_the_right_one(given: str, wanted: str, capsys: pytest.CaptureFixture[str]) -> None:
    iaclab.answer(VALUES[given], wanted)
    said = capsys.readouterr().out
    if given == wanted:
        assert said == f"Your answer: {VALUES[given]}\n"
    else:
        assert "wrong type" in said and repr(VALUES[given]) in said
        example = said.strip().rpartition("ANSWER = ")[2]
        assert kind(eval(example)) == wanted, "what mends it is of the wanted type"


def test_no_answer_is_no_wrong_one(capsys: pytest.CaptureFixture[str]) -> None:
    iaclab.answer(None, "set")
    assert "Not answered yet" in capsys.readouterr().out


def test_a_type_that_no_question_asks_for_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    iaclab.answer(range(3), "list")
    assert "it is a range" in capsys.readouterr().out


@pytest.mark.parametrize("source", LABS, ids=lambda path: path.stem)
def test_every_question_of_a_lab_shows_its_answer_with_the_type_that_is_right(source: object) -> None:
    entry = next(one for one in lessons.lessons() if one.source == source)
    code = ["".join(cell["source"]) for cell in json.loads((ROOT / entry.notebook).read_text())["cells"]]
    shown = [one for one in code if one.startswith("iaclab.answer(")]
    asked = [one for one in lab.graded(entry.source) if one.kind == "question"]
    assert len(shown) == len(asked)
    for line, question in zip(shown, asked, strict=True):
        assert line.startswith(f'iaclab.answer(ANSWER, "{kind(question.expected)}")')
