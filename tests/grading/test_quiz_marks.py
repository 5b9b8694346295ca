"""The quiz from release to feedback: each learner's own questions, marked by literals, in the sandbox."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from typing import Any

import nbformat
import pytest
from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from town import GOOD, TEACHER, Town

from iaclab import paths
from iaclab.grading import Limits, World, runner
from iaclab.quiz import bank, draw, given
from iaclab.quiz.draw import Sheet

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox, bubblewrap, needs Linux")
ROOT = paths.repo_root()
assert ROOT is not None
BANK = bank.folder(ROOT / "content" / "quiz")
WHOLE = bank.bank(BANK)
NOTEBOOK = "quiz.ipynb"
PASS = 24


def sheet(name: str) -> Sheet:
    return draw.sheet(name, WHOLE)


def wrong(letter: str) -> str:
    return "abcd"[("abcd".index(letter) + 1) % 4]


def answers(own: Sheet, *, bad: int = 0) -> dict[str, str]:
    """The cells of a sheet's answers by grade_id; the last `bad` of them are wrong."""
    given = {one.name: one.letter for one in own.asked}
    given |= {one.name: wrong(one.letter) for one in own.asked[len(own.asked) - bad :]}
    cells = {
        f"answer-lecture-{number}": "ANSWER = " + repr({name: given[name] for name in draw.names(number)})
        for number in draw.PLAN
    }
    return cells | {"answer-sheet": f"ANSWER = {own.code!r}"}


def careless() -> dict[str, str]:
    """Right letters, written in every way that is taken."""
    own = sheet("careless")
    cells = answers(own)
    for number in draw.PLAN:
        letters = {one.name: f" {one.letter.upper()} " for one in own.about(number)}
        cells[f"answer-lecture-{number}"] = f"x = 1\nANSWER: dict = {letters!r}  # mine"
    cells["answer-sheet"] = "ANSWER = None"
    return cells


def malformed() -> dict[str, str]:
    """Each part in another wrong form but the last, in which three of four are right."""
    own = sheet("malformed")
    right = {number: {one.name: one.letter for one in own.about(number)} for number in draw.PLAN}
    last = right[8] | {"q27": 3}
    return {
        "answer-sheet": f"ANSWER = '{own.code}'",
        "answer-lecture-1": f"ANSWER = dict({right[1]!r})",  # code
        "answer-lecture-2": f"ANSWER = {list(right[2].values())!r}",
        "answer-lecture-3": "ANSWER = " + repr({name: [letter] for name, letter in right[3].items()}),
        "answer-lecture-4": "ANSWER = {",
        "answer-lecture-5": f"answers = {right[5]!r}",
        "answer-lecture-6": "ANSWER = {'q20': 0x" + "f" * 9000 + "}",
        "answer-lecture-7": "ANSWER = " + repr(dict.fromkeys(right[7], True)),
        "answer-lecture-8": f"ANSWER = {last!r}",
    }


def of_another() -> dict[str, str]:
    return answers(sheet("perfect"))


WORK: dict[str, Callable[[], dict[str, str]]] = {
    "perfect": lambda: answers(sheet("perfect")),
    "passes": lambda: answers(sheet("passes"), bad=30 - PASS),
    "average": lambda: answers(sheet("average"), bad=11),
    "careless": careless,
    "empty": dict,
    "malformed": malformed,
    "copied": of_another,
    "copied-as-own": lambda: of_another() | {"answer-sheet": f"ANSWER = {sheet('copied-as-own').code!r}"},
    "missing": lambda: answers(sheet("missing")),
}


def by_chance() -> int:
    """What another's letters bring on this learner's own sheet."""
    theirs, own = sheet("perfect"), sheet("copied-as-own")
    return sum(a.letter == b.letter for a, b in zip(theirs.asked, own.asked, strict=True))


POINTS = {
    "perfect": 30,
    "passes": PASS,
    "average": 19,
    "careless": 30,
    "empty": 0,
    "malformed": 3,
    "copied": 0,
    "copied-as-own": by_chance(),
    "missing": 30 - sum(draw.PLAN[3]),
}


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with Town() as town:
        shutil.copytree(ROOT / "content" / "quiz", town.clone / "content" / "quiz")
        shutil.copyfile(ROOT / "content" / "labs" / "quiz.md", town.clone / "content" / "labs" / "quiz.md")
        town.own(town.clone / "content", TEACHER)
        town.run(TEACHER, "python", "iaclab.build", "--instructor")
        town.run(TEACHER, "nbgrader", "generate_assignment", "quiz")
        yield town


def released(town: Town) -> dict[str, Any]:
    return dict(json.loads((town.inside / "release" / "quiz" / NOTEBOOK).read_text()))


def id_of(cell: dict[str, Any]) -> str:
    return str(cell["metadata"].get("nbgrader", {}).get("grade_id", ""))


def hand_in(town: Town, student: str) -> None:
    folder = town.inside / "submitted" / student / "quiz"
    folder.mkdir(parents=True)
    notebook, work = released(town), WORK[student]()
    for cell in notebook["cells"]:
        cell["source"] = work.get(id_of(cell), cell["source"])
    if student == "missing":
        notebook["cells"] = [cell for cell in notebook["cells"] if id_of(cell) != "answer-lecture-3"]
    (folder / NOTEBOOK).write_text(json.dumps(notebook))


def test_what_is_released_holds_no_answer_and_is_what_the_clone_has(town: Town) -> None:
    text = (town.inside / "release" / "quiz" / NOTEBOOK).read_text()
    assert not [one.id for one in BANK if one.explanation in text or one.right in text]
    theirs = [cell["source"] for cell in json.loads((ROOT / "labs" / NOTEBOOK).read_text())["cells"]]
    assert [cell["source"] for cell in released(town)["cells"]] == theirs
    points = {id_of(c): c["metadata"]["nbgrader"].get("points") for c in released(town)["cells"] if id_of(c)}
    assert sum(filter(None, points.values())) == 30


def test_a_learner_sees_the_sheet_that_the_grader_draws(town: Town) -> None:
    """Without the course's texts: the edition in the package is enough."""
    code = "from iaclab import paths; paths.repo_root = lambda: None; import iaclab; print(iaclab.quiz.own_sheet())"
    said = town.run(GOOD, sys.executable, "-c", code)
    assert said.strip() == str(sheet(town.name(GOOD)))


def test_a_submission_finds_the_questions_and_no_key() -> None:
    cell = nbformat.v4.new_code_cell(
        "from iaclab.quiz import bank; print(len(bank.load().keyless), bank.load().turns[:1])"
    )
    look = nbformat.v4.new_code_cell(
        f"%%bash\ngrep -rls --include='*.toml' --include='*.md' --exclude-dir=proc --exclude-dir=sys "
        f"-F {shlex.quote(secret())} / | wc -l"
    )
    with World.open("quiz") as world, world.desk() as desk:
        report = runner.run(nbformat.v4.new_notebook(cells=[cell, look]), world, desk, Limits(cell=200, notebook=300))
    said = ["".join(output.get("text", "") for output in one.outputs).strip() for one in (cell, look)]
    turn = bank.edition(bank.EDITION).turns[:1]
    assert said == [f"{sum(not one.practice for one in BANK)} {turn}", "0"], report


def secret() -> str:
    """A part of an explanation that nobody else writes."""
    return next(one.explanation for one in BANK if not one.practice and "`" not in one.explanation)[:60]


def test_all_are_graded_with_their_own_questions(town: Town) -> None:
    for student in WORK:
        hand_in(town, student)
    town.own(town.inside / "submitted", TEACHER)
    said = town.run(TEACHER, "iaclab", "grade", "quiz", "--workers", "1")
    with Gradebook(f"sqlite:///{town.inside / 'gradebook.db'}") as book:
        found = {one.student.id: (one.score, one.max_score) for one in book.assignment_submissions("quiz")}
    assert found == {student: (points, 30) for student, points in POINTS.items()}, said


def test_every_notebook_ran_to_its_end_but_where_the_learner_broke_a_cell(town: Town) -> None:
    report = json.loads((town.inside / "reports" / "quiz.json").read_text())["graded"]
    broken = {student: entry["notes"] for student, entry in report.items() if entry["notes"]}
    assert set(broken) == {"malformed", "missing"}
    assert broken["missing"] == ["the cell answer-lecture-3 is missing; it was put back"]
    assert all("SyntaxError" in note or "error" in note for note in broken["malformed"])


def test_what_was_graded_is_graded_anew_when_its_questions_change(town: Town) -> None:
    assert town.run(TEACHER, "iaclab", "grade", "quiz", "--workers", "1").count("unchanged") == len(WORK)
    file = town.clone / "content" / "quiz" / "01-advanced-terraform.toml"
    before = file.read_text()
    asked = sheet("perfect").about(1)[0].question
    assert asked.explanation in before
    file.write_text(before.replace(asked.explanation, "In other words."))
    said = town.run(TEACHER, "iaclab", "grade", "quiz", "--workers", "1")
    file.write_text(before)
    assert "perfect: 30 of 30" in said
    assert said.count("unchanged") == sum(asked.id not in sheet(student).ids for student in WORK)


def test_nbgraders_own_command_gives_the_same_marks(town: Town) -> None:
    town.run(TEACHER, "nbgrader", "autograde", "quiz", "--student=average", "--force")
    with Gradebook(f"sqlite:///{town.inside / 'gradebook.db'}") as book:
        assert book.find_submission("quiz", "average").score == POINTS["average"]


@pytest.mark.parametrize("student", ["average", "empty", "copied"])
def test_feedback_explains_the_own_questions_and_no_others(town: Town, student: str) -> None:
    from bs4 import BeautifulSoup

    town.run(TEACHER, "nbgrader", "generate_feedback", "quiz", f"--student={student}", "--force")
    page = (town.inside / "feedback" / student / "quiz" / "quiz.html").read_text()
    score = given._SCORE.search(page)
    assert score and int(score[1]) == POINTS[student], "what a learner without the key is told by `quiz.passed`"
    text = " ".join(BeautifulSoup(page, "html.parser").get_text().split())
    own = sheet(student).ids
    shown = {one.id for one in BANK if " ".join(one.explanation.split()) in text}
    assert shown == (set() if student == "copied" else own)
    if student == "copied":
        assert f"yours is {sheet('copied').code}" in text
