"""The quiz: its bank holds to its form, a name decides its sheet, and what learners have gives no key away."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import iaclab
from iaclab import learning_path, paths, quiz, rebuild
from iaclab.build.text import Text, parse
from iaclab.checks import progress
from iaclab.errors import LabError
from iaclab.grading.answers import Answer
from iaclab.quiz import bank, draw, given, marking, page
from iaclab.quiz.bank import LETTERS, Question
from iaclab.tools.catalogue import catalogue

ROOT = paths.repo_root()
assert ROOT is not None
FOLDER = ROOT / "content" / "quiz"
BANK = bank.folder(FOLDER)
WHOLE = bank.bank(BANK)
GRADED = [one for one in BANK if not one.practice]
LEARNERS = [f"learner-{number}" for number in range(400)]
every = pytest.mark.parametrize("question", BANK, ids=lambda one: one.id)
CALLED = ["terraform", "kustomize", "helm", "kubectl", "argocd", "flux", "opa", "conftest", "sops", "age-keygen"]
CALLED += ["actionlint", "git"]
VOID = Answer(why="not answered")


# --- the bank --------------------------------------------------------------------------------------------


def test_there_are_more_than_ninety_questions_and_a_third_of_them_is_run() -> None:
    assert len(GRADED) >= 90
    for some in (BANK, GRADED):
        assert sum(one.kind == "run" for one in some) >= len(some) / 3


def test_every_lecture_has_at_least_as_many_questions_as_leave_a_choice() -> None:
    for lecture, (know, run) in draw.PLAN.items():
        kinds = Counter(one.kind for one in GRADED if one.lecture == lecture)
        assert kinds["know"] >= 3 * know, f"lecture {lecture}"
        assert kinds["run"] >= 2 * run, f"lecture {lecture}"
        assert sum(one.lecture == lecture for one in BANK if one.practice) >= 2, f"practice of lecture {lecture}"


def test_no_id_and_no_question_is_there_twice() -> None:
    for texts in ([one.id for one in BANK], [one.question + one.code for one in BANK]):
        assert len(set(texts)) == len(texts), [text for text, times in Counter(texts).items() if times > 1]


def _lecture(lesson: str) -> Text:
    source = ROOT / "content" / "lectures" / f"{lesson}.md"
    if not source.exists():
        pytest.skip(f"{lesson} is not in the tree yet: its headings cannot be looked up")
    return parse(source.read_text())


@pytest.mark.parametrize("lesson", sorted({one.lesson for one in BANK}))
def test_explanations_point_to_headings_with_cells(lesson: str) -> None:
    cells = {section.title: section.cells for section in _lecture(lesson).sections}
    wrong = {one.id: one.cell for one in BANK if one.lesson == lesson and not cells.get(one.cell)}
    assert not wrong, f"no such heading in {lesson}, or no code cell below it: {wrong}"


def test_the_lectures_of_the_bank_are_the_eight_of_the_course() -> None:
    assert {one.lecture for one in BANK} == set(range(1, 9)) == set(draw.PLAN)
    written = {path.stem for path in (ROOT / "content" / "lectures").glob("*.md")}
    assert not {one.lesson for one in BANK if any(w[:2] == one.lesson[:2] for w in written)} - written


@every
def test_options_have_about_one_length(question: Question) -> None:
    lengths = sorted(len(option) for option in question.options)
    assert lengths[-1] <= 2.5 * lengths[0] + 12, question.options


def test_length_and_place_give_no_answer_away() -> None:
    def others(one: Question) -> list[int]:
        return [len(option) for option in one.options if option != one.right]

    longest = [one.id for one in BANK if len(one.right) > max(others(one))]
    shortest = [one.id for one in BANK if len(one.right) < min(others(one))]
    assert len(longest) <= 0.35 * len(BANK), longest
    assert len(shortest) <= 0.35 * len(BANK), shortest
    places = Counter(one.options.index(one.right) for one in BANK)
    assert max(places.values()) <= 0.3 * len(BANK), places


def test_few_questions_ask_for_what_is_not_so() -> None:
    negated = [one.id for one in BANK if re.search(r"\bNOT\b|\bexcept\b|is not true|which .* not\b", one.question)]
    assert len(negated) <= 0.05 * len(BANK), negated


@every
def test_no_option_stands_for_others(question: Question) -> None:
    assert not [o for o in question.options if re.search(r"(all|none) of the (above|others)", o, re.IGNORECASE)]


def test_scripts_say_which_of_the_courses_tools_they_call() -> None:
    for one in BANK:
        assert set(one.needs) <= set(catalogue()), one.id
        called = {name for name in CALLED if re.search(rf"(^|[ (|&\n]){name} ", one.code)}
        assert set(one.needs) == called, one.id


def test_what_is_wrong_with_a_bank_is_said(tmp_path: Path) -> None:
    good = (FOLDER / "01-advanced-terraform.toml").read_text().split("[[questions]]")[:2]
    file = tmp_path / "01.toml"
    for old, new, said in (
        ('kind = "know"', 'kind = "run"', "of kind know, or of kind run with code"),
        ('explanation = "', 'explain = "', "explain, explanation: missing, or not known"),
        ("wrong = [", 'wrong = ["a",', "needs 4 different options"),
        ("lesson = ", "lecture = ", "it begins with lesson"),
        ('id = "', 'id = "" #', "something that is no text, or empty"),
    ):
        text = "[[questions]]".join(good)
        assert old in text
        file.write_text(text.replace(old, new))
        with pytest.raises(LabError, match=said):
            bank.folder(tmp_path)


# --- sheets ----------------------------------------------------------------------------------------------


def test_a_sheet_has_thirty_questions_ten_of_them_to_be_run_and_is_the_same_each_time() -> None:
    for name in LEARNERS[:40]:
        own = draw.sheet(name, WHOLE)
        assert len(own.asked) == len(own.ids) == draw.COUNT == 30
        assert [one.name for one in own.asked] == [f"q{number}" for number in range(1, 31)]
        assert Counter(one.question.lecture for one in own.asked) == {k: sum(v) for k, v in draw.PLAN.items()}
        assert sum(one.question.kind == "run" for one in own.asked) == 10
        assert not any(one.question.practice for one in own.asked)
        assert own == draw.sheet(name, bank.bank(reversed(BANK)))
        for lecture in draw.PLAN:
            assert [one.name for one in own.about(lecture)] == draw.names(lecture)


def test_learners_have_different_sheets_and_every_question_is_asked() -> None:
    sheets = [draw.sheet(name, WHOLE) for name in LEARNERS]
    assert len({own.code for own in sheets}) >= 0.9 * len(sheets), "some share a draw, few do"
    assert set().union(*(own.ids for own in sheets)) == {one.id for one in GRADED}


def test_on_no_sheet_is_a_letter_right_for_more_than_30_percent_and_none_is_worth_guessing() -> None:
    sheets = [draw.sheet(name, WHOLE) for name in LEARNERS]
    for own in sheets:
        counts = Counter(one.letter for one in own.asked)
        assert max(counts.values()) <= 0.3 * draw.COUNT, f"{own.learner}: {counts}"
    letters = Counter(one.letter for own in sheets for one in own.asked)
    for letter in LETTERS:
        assert 0.23 <= letters[letter] / letters.total() <= 0.27, letters


def test_whose_sheet_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IACLAB_LEARNER", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LOGNAME", "login")
    assert draw.learner() == "login"
    monkeypatch.setenv("JUPYTERHUB_USER", "hub")
    assert draw.learner() == "hub"
    monkeypatch.setenv("IACLAB_LEARNER", "own")
    assert draw.learner() == "own"


# --- what learners have ----------------------------------------------------------------------------------


def test_the_edition_is_fresh_draws_the_same_sheets_and_has_no_key() -> None:
    assert bank.EDITION.read_text() == bank.without_key(BANK, draw.turns(WHOLE)), "run: make notebooks"
    theirs = bank.edition(bank.EDITION)
    for one in theirs.questions:
        assert bool(one.right) == bool(one.explanation) == bool(one.cell) == one.practice
    for name in LEARNERS[:20]:
        assert draw.sheet(name, theirs).code == draw.sheet(name, WHOLE).code
    raw = bank.EDITION.read_text()
    assert not [one.id for one in GRADED if json.dumps(one.explanation, ensure_ascii=False)[1:-1] in raw]


def test_an_edition_does_not_grade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from iaclab.grading import nbgrader_job

    monkeypatch.setenv("IACLAB_QUIZ", str(bank.EDITION))
    with pytest.raises(LabError, match="Its bank is without the key"):
        nbgrader_job.brief_of("quiz")


def test_an_instructors_own_questions_join_the_courses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = (FOLDER / "04-argocd-deployment.toml").read_text().replace('id = "', 'id = "own-')
    (tmp_path / "04.toml").write_text(own)
    monkeypatch.setenv("IACLAB_QUIZ", f"{FOLDER}{os.pathsep}{tmp_path}")
    assert len(bank.load().questions) == len(BANK) + own.count("[[questions]]")
    monkeypatch.setenv("IACLAB_QUIZ", f"{FOLDER}{os.pathsep}{FOLDER}")
    with pytest.raises(LabError, match="is there twice"):
        bank.load()
    monkeypatch.setenv("IACLAB_QUIZ", f"{FOLDER}{os.pathsep}{bank.EDITION}")
    with pytest.raises(LabError, match="an edition stands alone"):
        bank.load()
    monkeypatch.setenv("IACLAB_QUIZ", str(tmp_path / "nowhere"))
    with pytest.raises(LabError, match="cannot be used"):
        bank.load()


def test_the_bank_without_its_key_is_one_command(tmp_path: Path) -> None:
    own = (FOLDER / "04-argocd-deployment.toml").read_text().replace('id = "', 'id = "own-')
    (tmp_path / "04.toml").write_text(own)
    env = {**os.environ, "IACLAB_QUIZ": f"{FOLDER}{os.pathsep}{tmp_path}"}
    command = [sys.executable, "-m", "iaclab.quiz"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    (tmp_path / "questions.json").write_text(done.stdout)
    both = bank.bank([*BANK, *bank.folder(tmp_path)])
    assert draw.sheet("ada", bank.edition(tmp_path / "questions.json")).code == draw.sheet("ada", both).code
    assert not [one.id for one in GRADED if one.explanation in done.stdout]
    done = subprocess.run(command, env=env | {"IACLAB_QUIZ": "nowhere"}, capture_output=True, text=True)
    assert done.returncode == 1
    assert "cannot be used" in done.stderr


def test_a_sheets_page_shows_every_option_and_no_key() -> None:
    own = draw.sheet("ada", WHOLE)
    for lecture in draw.PLAN:
        shown = page.sheet_page(own, lecture)
        text = shown._repr_markdown_() or ""
        assert own.code in text
        for one in own.about(lecture):
            assert all(option in text for option in one.options)
            assert one.question.code in text
            assert one.question.explanation not in text


def test_practice_explains_at_once_and_leaves_the_own_sheet_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_LEARNER", "ada")
    own = draw.sheet("ada", WHOLE)
    for _ in range(20):
        shown = quiz.practice(7, count=5)
        assert not [one.id for one in own.asked if one.question.question in shown.markdown]
        html = shown._repr_html_() or ""
        assert html.count("<details><summary>") == html.count("</summary>") == 20
        assert html.count("✔ Right.") == 5
        assert html.count("✘ Not this one.") == 15
        assert html.count("See lecture 7, “") == 5
    with pytest.raises(LabError, match="no practice question about lecture 9"):
        quiz.practice(9)


def test_practice_without_the_key_has_the_practice_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_QUIZ", str(bank.EDITION))
    shown = quiz.practice(count=500)
    assert (shown._repr_html_() or "").count("<section>") == sum(one.practice for one in BANK)


def test_what_the_page_shows_cannot_be_read_as_html() -> None:
    bad = Question("x", "01-x", "run", "<b>&`<i>`", ("`<a>`", "b", "c", "d"), code="</code><script>", right="b")
    html = page.practice_page([bad])._repr_html_() or ""
    assert "<script>" not in html
    assert "&lt;b&gt;&amp;<code>&lt;i&gt;</code>" in html


# --- what the learner is told: done, or not yet ------------------------------------------------------------


def answer(own: draw.Sheet, right: int) -> None:
    """Run the cells below the answers, of which the first so many are right."""
    letters = {one.name: one.letter for one in own.asked[:right]}
    wrong = {one.name: next(x for x in LETTERS if x != one.letter) for one in own.asked[right:]}
    for lecture in draw.PLAN:
        quiz.read({name: (letters | wrong)[name] for name in draw.names(lecture)}, lecture)


def on_the_way() -> tuple[str, int, int]:
    step = next(one for one in learning_path.steps() if one.lesson and one.lesson.id == "quiz")
    return step.state, step.points, step.worth


def test_with_80_percent_the_quiz_is_done_with_its_points_and_below_it_is_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("IACLAB_LEARNER", "ada")
    own = draw.sheet("ada", WHOLE)
    assert on_the_way() == ("not started", 0, 30)
    unanswered = iaclab.check("quiz.passed")
    assert "0 of 30 are right, 24 pass; 30 not answered" in unanswered.seen
    answer(own, 23)
    missed = iaclab.check("quiz.passed")
    assert (missed.passed, missed.points, on_the_way()) == (False, 23, ("running", 23, 30))
    assert "look again at lecture 7, 8" in missed.seen and "points: 23 of 30" in str(missed)
    answer(own, 24)
    passed = iaclab.check("quiz.passed")
    assert (passed.passed, passed.points, on_the_way()) == (True, 24, ("done", 24, 30))
    assert "points: 24 of 30" in (passed._repr_html_() or "")
    answer(own, 27)
    iaclab.check("quiz.passed")
    assert on_the_way() == ("done", 27, 30)
    answer(own, 3)
    iaclab.check("quiz.passed")
    assert on_the_way() == ("done", 27, 30), "a later miss takes nothing away"


def test_a_pass_survives_a_release_whose_sheet_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_LEARNER", "ada")
    answer(draw.sheet("ada", WHOLE), 30)
    iaclab.check("quiz.passed")
    for file in FOLDER.glob("*.toml"):
        (tmp_path / file.name).write_text(file.read_text().replace('id = "', 'id = "next-'))
    monkeypatch.setenv("IACLAB_QUIZ", str(tmp_path))
    assert on_the_way() == ("done", 30, 30)
    again = iaclab.check("quiz.passed")
    assert (again.points, "30 not answered" in again.seen) == (0, True), "answers to the old sheet count nothing"
    assert on_the_way() == ("done", 30, 30)


def test_a_lost_progress_file_is_made_anew_from_the_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_LEARNER", "ada")
    answer(draw.sheet("ada", WHOLE), 20)
    rebuild.ask_again(lambda lesson: None)
    assert on_the_way() == ("running", 20, 30) and progress.attempts("quiz.passed") == 0
    answer(draw.sheet("ada", WHOLE), 26)
    rebuild.ask_again(lambda lesson: None)
    assert on_the_way() == ("done", 26, 30)


@pytest.mark.parametrize("damage", ["{", "[]", '{"sheet": 3}', '{"sheet": "SHEET", "answers": {"q1": 7, "q99": "b"}}'])
def test_answers_that_cannot_be_read_are_none(damage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_LEARNER", "ada")
    answer(draw.sheet("ada", WHOLE), 30)
    given.file().write_text(damage.replace("SHEET", draw.sheet("ada", WHOLE).code))
    assert "30 not answered" in iaclab.check("quiz.passed").seen
    answer(draw.sheet("ada", WHOLE), 30)
    assert iaclab.check("quiz.passed").passed


def test_without_the_key_the_graders_feedback_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_LEARNER", "ada")
    monkeypatch.setenv("IACLAB_QUIZ", str(bank.EDITION))
    monkeypatch.setenv("HOME", str(tmp_path))
    answer(draw.sheet("ada", WHOLE), 30)
    away = iaclab.check("quiz.passed")
    assert not away.passed and away.points == 0 and "The key is not on this machine" in away.seen
    for time, score in (("2026-11-02 10:00:00 UTC", "30.0"), ("2026-11-09 10:00:00 UTC", "25.0")):
        page = tmp_path / "course" / "quiz" / "feedback" / time / "quiz.html"
        page.parent.mkdir(parents=True)
        page.write_text(f"<h4>quiz (Score: {score} / 30.0)</h4>")
    assert iaclab.check("quiz.passed").points == 25, "the newest page"
    assert on_the_way() == ("done", 25, 30)


# --- answers ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "letter", "why"),
    [
        ("b", "b", ""),
        ("B", "b", ""),
        (" b\n", "b", ""),
        (None, "", "not answered"),
        ("  ", "", "not answered"),
        ("e", "", "'e' is none of a, b, c, d"),
        ("ab", "", "'ab' is none of a, b, c, d"),
        (2, "", 'it is a number (2), and a letter in quotes is wanted, as in "b"'),
        (True, "", 'it is True or False (True), and a letter in quotes is wanted, as in "b"'),
        (["b"], "", "it is a list (['b']), and a letter in quotes is wanted, as in \"b\""),
        pytest.param(
            16**6000, "", 'it is a number (a very long one), and a letter in quotes is wanted, as in "b"', id="long"
        ),
        (b"b", "", "it is a bytes (b'b'), and a letter in quotes is wanted, as in \"b\""),
    ],
)
def test_how_an_answer_is_read(given: object, letter: str, why: str) -> None:
    assert marking.letter(given) == (letter, why)


def test_the_cell_below_says_how_answers_are_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("IACLAB_LEARNER", "ada")
    quiz.read({"q1": "A ", "q2": 3, "q9": "b"}, 1)
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "q1: a"
    assert said[1].startswith("q2: it is a number (3)")
    assert said[2:] == ["q3: not answered", "q4: not answered", "'q9': no question of this part"]
    quiz.read(["a", "b"], 1)
    assert "wrong type: it is a list" in capsys.readouterr().out
    quiz.read(None, 1)
    assert "Not answered yet" in capsys.readouterr().out


def test_points_and_feedback_of_a_part() -> None:
    part = marking.part(draw.sheet("ada", WHOLE), 1)
    right = {one.name: one.letter for one in part.asked}
    points, said = marking.mark(part, Answer(right), VOID)
    assert points == 4
    for one in part.asked:
        assert one.question.explanation in said
        assert f"“{one.question.cell}”" in said
    points, said = marking.mark(part, Answer(right | {"q1": 7, "q2": "x"}), Answer(f" {part.sheet.upper()} "))
    assert points == 2
    assert "✘ it is a number (7)" in said
    assert "✘ 'x' is none of a, b, c, d" in said
    for nothing in (VOID, Answer(why="ANSWER is not a literal"), Answer(["a"]), Answer({})):
        assert marking.mark(part, nothing, VOID)[0] == 0
    for one in part.asked:  # a sheet's name in digits, without quotes
        assert marking.mark(part, Answer({one.name: one.letter}), Answer(int(part.sheet, 16)))[0] == 0
    assert marking.mark(part, Answer(right), Answer(16**6000))[0] == 0
    assert "ANSWER is not a literal" in marking.mark(part, Answer(why="ANSWER is not a literal"), VOID)[1]


def test_answers_to_anothers_sheet_bring_nothing_and_show_no_key() -> None:
    mine, theirs = (marking.part(draw.sheet(name, WHOLE), 1) for name in ("ada", "bob"))
    right = Answer({one.name: one.letter for one in theirs.asked})
    points, said = marking.mark(mine, right, Answer(theirs.sheet))
    assert points == 0
    assert mine.sheet in said
    assert not [one for part in (mine, theirs) for one in part.asked if one.question.explanation in said]
