"""The way through the course: order and weeks, what is in the making, how far the learner is, where to go on."""

from __future__ import annotations

import io
import json
import shutil
import tomllib
from pathlib import Path

import pytest
from rich.console import Console

from iaclab import learning_path, lessons, paths, preparation
from iaclab.checks import checks, progress
from iaclab.errors import LabError
from iaclab.show import path as show

ARGOCD = "04-argocd-deployment"
TINY = Path(__file__).with_name("lessons")
ROOT = paths.repo_root()
assert ROOT is not None


def step(name: str) -> learning_path.Step:
    return next(s for s in learning_path.steps() if s.lesson and s.lesson.id == name)


def pass_all(name: str) -> None:
    for exercise in step(name).exercises:
        progress.record(exercise.check, passed=True, points=checks()[exercise.check].points)


# --- the way ---------------------------------------------------------------------------------------------


def test_the_way_is_eight_lectures_four_labs_a_quiz_and_a_project_in_the_outlines_weeks() -> None:
    written = tomllib.loads(learning_path.FILE.read_text())["parts"]
    named = [(part.get("weeks", ""), [s["title"].split(":")[0] for s in part["steps"]]) for part in written]
    assert named == [
        ("", ["Start here"]),
        ("1–2", ["Lecture 1", "Lecture 2", "Lab 1"]),
        ("3–4", ["Lecture 3", "Lecture 4", "Lecture 5", "Lab 2"]),
        ("5–6", ["Lecture 6", "Lecture 7", "Lecture 8", "Lab 3", "Lab 4"]),
        ("7", ["Quiz", "Final project"]),
    ]
    for part, (weeks, titles) in zip(learning_path.parts(), named, strict=True):
        assert part.weeks == weeks
        for one, title in zip(part.steps, titles, strict=True):
            assert one.lesson is None or one.title.startswith((title, "Quiz", "Final")), (
                "a pattern takes another's file"
            )


def test_every_lecture_and_lab_that_is_written_is_on_the_way_once() -> None:
    on_it = [s.lesson.id for s in learning_path.steps() if s.lesson]
    written = [entry.id for entry in lessons.lessons() if entry.source.parent.name != "notebooks"]
    assert len(set(on_it)) == len(on_it)
    assert set(written) <= set(on_it), "add it to learning_path.toml"


def test_a_lesson_is_in_the_making_until_its_text_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "content" / "lectures"
    folder.mkdir(parents=True)
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    seventh = learning_path.steps()[9]
    assert (seventh.title, seventh.state, seventh.lesson) == ("Lecture 7: Policy as code", "in the making", None)
    shutil.copy(TINY / "good.md", folder / "07-policy-as-code.md")
    seventh = learning_path.steps()[9]
    assert (seventh.title, seventh.state, seventh.minutes) == ("A tiny lesson", "not started", 5)
    assert [one.check for one in seventh.exercises] == ["start.two-gpus"]


@pytest.mark.parametrize("source", lessons.sources(), ids=lambda path: path.stem)
def test_the_checks_of_a_lesson_are_those_of_its_notebook_in_its_order(source: Path) -> None:
    notebook = json.loads((ROOT / lessons.read(source).notebook).read_text())
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    text = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "markdown")
    found = learning_path.exercises(source)
    assert [one.check for one in found] == list(dict.fromkeys(learning_path._CHECK.findall(code)))
    assert all(f"# {one.heading}\n" in text + "\n" or f"# {one.heading} <" in text for one in found)
    assert {one.check for one in found} <= set(checks())


def test_what_looks_like_a_heading_or_a_check_in_a_file_that_a_cell_writes_is_neither() -> None:
    cell = '```{code-cell}\n%%writefile a\n## Two\n# iaclab.check("x.y")\n```\n'
    text = f'## One\n{cell}````\niaclab.check("a.b")\n```\n````\n'
    assert list(learning_path._exercises(text)) == []


# --- how far -----------------------------------------------------------------------------------------------


def test_a_lesson_is_not_started_running_and_done() -> None:
    assert (step(ARGOCD).state, step(ARGOCD).count) == ("not started", "0 of 7 checks")
    progress.record_opened(ARGOCD)
    assert step(ARGOCD).state == "running"
    progress.record("argocd.components", passed=True, points=1)
    assert (step(ARGOCD).state, step(ARGOCD).count, step(ARGOCD).points) == ("running", "1 of 7 checks", 1)
    pass_all(ARGOCD)
    progress.record("argocd.components", passed=False, points=0)
    assert (step(ARGOCD).state, step(ARGOCD).points, step(ARGOCD).worth) == ("done", 7, 7)


EVERY = [one.lesson.id for one in learning_path.steps() if one.lesson]


@pytest.mark.parametrize("name", EVERY)
def test_each_lesson_reaches_each_state_with_its_points(name: str) -> None:
    """Lectures, labs, the quiz and the final project alike, in the table of the notebook and in that of a terminal."""
    first, *others = [one.check for one in step(name).exercises]
    worth = {check: checks()[check].points for check in (first, *others)}
    of = sum(worth.values())

    def seen() -> tuple[str, int, int]:
        one = step(name)
        shown = (f"{one.state}, {len(one.passed)} of {1 + len(others)} checks", f"{one.points}/{of}")
        assert all(text in str(show.Path()) for text in shown)
        row = next(line for line in _terminal() if one.title.split(":")[0] in line)
        assert one.state in row and row.split()[-1] == shown[1]
        return one.state, one.points, one.worth

    assert of > 0, "a lesson without points is never done"
    assert seen() == ("not started", 0, of)
    progress.record_opened(name)
    assert seen() == ("running", 0, of)
    progress.record(first, passed=False, points=worth[first] - 1)
    assert seen() == ("running", worth[first] - 1, of), "a part of a check's points counts"
    for check in (first, *others):
        assert step(name).state == "running"
        progress.record(check, passed=True, points=worth[check])
    assert seen() == ("done", of, of)
    progress.record(first, passed=False, points=0)
    assert seen() == ("done", of, of), "what is done stays done"


def _terminal() -> list[str]:
    console = Console(width=100, file=io.StringIO())
    console.print(show.table(learning_path.parts(), 100))
    return console.file.getvalue().splitlines()  # type: ignore[attr-defined]


def test_points_that_an_earlier_release_gave_are_no_more_than_a_check_is_worth() -> None:
    progress.record("argocd.components", passed=True, points=50)
    assert (step(ARGOCD).points, step(ARGOCD).worth) == (1, 7)


def test_the_points_of_a_lab_are_those_of_its_checks() -> None:
    assert step("lab1-terraform-modules").worth == 100


def test_a_check_that_the_course_no_longer_has_counts_nothing_and_is_kept() -> None:
    progress.record("argocd.of-last-year", passed=True, points=3)
    assert step(ARGOCD).points == 0
    assert "argocd.of-last-year" in progress.load()


# --- where to go on ----------------------------------------------------------------------------------------


def test_one_goes_on_in_the_lesson_opened_last_at_its_first_open_check() -> None:
    assert learning_path.next_place().notebook == "notebooks/00-start-here.ipynb"
    progress.record_opened(ARGOCD)
    progress.record("argocd.components", passed=True, points=1)
    place = learning_path.next_place()
    assert place.notebook == f"lectures/{ARGOCD}.ipynb"
    assert place.exercise is not None and place.exercise.check == "argocd.root-vision"
    cells = {c["id"]: "".join(c["source"]) for c in json.loads((ROOT / place.notebook).read_text())["cells"]}
    ids = list(cells)
    begin = ids.index(place.fragment.removeprefix("#cell-id="))
    assert cells[ids[begin]].splitlines()[0].startswith("### Try it yourself") or "Your turn" in cells[ids[begin + 1]]
    check = list(cells.values()).index('iaclab.check("argocd.root-vision")')
    assert begin < check and "iaclab.check(" not in "".join(list(cells.values())[begin:check])
    pass_all(ARGOCD)
    assert learning_path.next_place().notebook == "notebooks/00-start-here.ipynb", "what is done is not gone back to"


def test_without_the_checks_cell_one_goes_on_at_its_heading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(ROOT / "content", tmp_path / "content")
    (tmp_path / "lectures").mkdir()
    (tmp_path / "lectures" / f"{ARGOCD}.ipynb").write_text('{"cells": [')  # half saved
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    assert learning_path.next_place("04").fragment == "#When-a-component-is-down"


def test_a_lesson_can_be_named_by_its_beginning_and_a_wrong_name_is_answered() -> None:
    assert learning_path.next_place("lab2").notebook == "labs/lab2-gitops-argocd.ipynb"
    for wrong in ("lab", "zz"):
        with pytest.raises(LabError, match=wrong) as error:
            learning_path.next_place(wrong)
        assert error.value.mend.startswith("iaclab resume ")


def test_when_all_is_done_that_is_said() -> None:
    for one in learning_path.steps():
        if one.lesson:
            pass_all(one.lesson.id)
    with pytest.raises(LabError, match="is done"):
        learning_path.next_place()
    assert "Every lesson that is written is done." in str(show.Path())


# --- what comes before -------------------------------------------------------------------------------------


@pytest.fixture
def two_lessons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clone with lecture 3 and lecture 4, which comes after it; neither needs a service."""
    folder = tmp_path / "content" / "lectures"
    folder.mkdir(parents=True)
    tiny = (TINY / "good.md").read_text().replace("[cluster]", "[]")
    (folder / "03-first.md").write_text(tiny.replace("A tiny lesson", "The first"))
    (folder / "04-second.md").write_text(tiny.replace("minutes", "after: [03-first]\n  minutes"))
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "")


def test_a_lesson_opened_too_early_says_so_offers_what_comes_before_and_goes_on(
    two_lessons: None, capsys: pytest.CaptureFixture[str]
) -> None:
    preparation.prepare("04-second")
    said = capsys.readouterr().out
    assert "before    The first (0 of 1 checks)   iaclab resume 03-first\n" in said
    assert "Nothing keeps you from going on." in said
    assert "ready in" in said and Path.cwd().name == "04-second"
    assert "04-second" in progress.opened()
    progress.record("start.two-gpus", passed=True, points=1)
    preparation.prepare("04-second")
    assert "before" not in capsys.readouterr().out


def test_in_a_notebook_the_offer_is_a_link(two_lessons: None) -> None:
    missing = learning_path.missing_before(lessons.lesson("04-second"))
    html = show._Offer(missing)._repr_mimebundle_()["text/html"]
    assert '<a href="../lectures/03-first.ipynb#Try-it">The first</a> (0 of 1 checks)' in html


def test_a_lesson_goes_on_where_progress_cannot_be_kept(
    two_lessons: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(lesson: str) -> None:
        raise LabError("Progress cannot be kept.")

    monkeypatch.setattr(progress, "record_opened", full)
    preparation.prepare("04-second")
    assert "ready in" in capsys.readouterr().out


# --- how it shows itself ----------------------------------------------------------------------------------


def test_the_table_has_words_beside_marks_and_links_to_the_next_check() -> None:
    progress.record_opened(ARGOCD)
    bundle = show.Path()._repr_mimebundle_()
    assert "◐ Lecture 4: Argo CD deployment: running, 0 of 7 checks, 0/7, 2 h" in bundle["text/plain"]
    assert f'href="../lectures/{ARGOCD}.ipynb#cell-id=' in bundle["text/html"]
    assert "◐&nbsp;running" in bundle["text/html"]
    assert "days 3–5 · after Lecture 3</small>" in bundle["text/html"]
    assert "<script" not in bundle["text/html"]


def test_what_is_done_can_be_left_out() -> None:
    pass_all(ARGOCD)
    assert "Lecture 4" in str(show.Path())
    assert "Lecture 4" not in str(show.Path(open_only=True))
