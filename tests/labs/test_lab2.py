"""Lab 2 for real: the solution and another right design get all points, typical errors lose the right ones."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab2_desk import LESSON, SOURCE, Desk, Submission, cases, desk, said, written

from iaclab import lessons
from iaclab.build import hidden, lab
from iaclab.build.notebook import render
from iaclab.checks import checks, lab2
from iaclab.platform import lifecycle

pytestmark = pytest.mark.platform
HERE = Path(__file__).with_name("lab2")
WRONG = cases(HERE / "wrong")
BY_HAND = 10  # points of the design question


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    with desk(tmp_path_factory.mktemp("lab2")) as ready:
        yield ready


@pytest.fixture(scope="module")
def other_design(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[Submission]]:
    """A whole lab with other decisions, in a process of its own."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        yield pool.submit(written, tmp_path_factory.mktemp("lab2-helm"), HERE / "designs" / "helm")


@pytest.fixture(scope="module")
def solved(untouched: Desk) -> Desk:
    """The desk once every cell of the lab with its solutions has run."""
    lifecycle.reset(profile=untouched.profile)
    wrong = {}
    for index, cell in untouched.solve():
        text = said(cell)
        if "Error" in text or "✘ not yet" in text:
            wrong[index] = f"{cell.source[:200]}\n{text[-1500:]}"
    assert not wrong, "\n\n".join(wrong.values())
    return untouched


def test_nothing_done_is_worth_nothing(untouched: Desk) -> None:
    submission = untouched.judge([cell.source for cell in untouched.cells])
    assert submission.points - submission.questions == 0
    assert not any(result.away for result in submission.results.values()), "a check says that the platform is down"


def test_the_notebook_runs_to_its_end_unfilled_for_no_points(untouched: Desk) -> None:
    notebook = nbformat.reads(render(lessons.lesson(LESSON)), as_version=4)
    ran = [untouched.run(cell.source) for cell in notebook.cells if cell.cell_type == "code"]
    failed = [said(cell)[-800:] for cell in ran if any(o.output_type == "error" for o in cell.outputs)]
    assert not failed, "\n\n".join(failed)
    assert said(ran[-1]).endswith(f"\n0 points of {lab2.POINTS}\n")
    assert not any("solution" in cell.metadata.get("tags", []) for cell in notebook.cells)


def test_the_solution_gets_all_points(solved: Desk) -> None:
    submission = solved.judge([cell.source for cell in solved.cells])
    assert not submission.missed
    assert submission.points == 100 - BY_HAND


@pytest.mark.if_time(minutes=15)
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_submission_loses_the_right_points_and_hears_why(solved: Desk, name: str) -> None:
    case: dict[str, Any] = WRONG[name]
    submission = solved.submit(case)
    assert sorted(submission.missed) == sorted(case["fails"]), submission.missed
    assert submission.points == case["score"]
    for check, words in case["says"].items():
        assert words in str(submission.results[check])


@pytest.mark.if_time(minutes=15)
def test_half_a_lab_gets_the_points_of_its_half(solved: Desk) -> None:
    solved.restore(solved.heading("## Task 6"))
    submission = solved.judge([cell.source for cell in solved.cells])
    later = ["canary", "promoted", "aborted", "policy", "incident", "staging", "orphans"]
    assert sorted(submission.missed) == sorted(later)
    assert submission.points == 57


@pytest.mark.if_time(minutes=15)
def test_another_right_design_gets_all_points(other_design: Future[Submission]) -> None:
    """Helm instead of Kustomize, accounts instead of project roles, one list of environments, a background analysis."""
    submission = other_design.result()
    assert not submission.missed
    assert submission.points == 100 - BY_HAND


def test_the_checks_are_those_of_the_notebook_and_worth_a_hundred_points_with_the_rest() -> None:
    graded = lab.graded(SOURCE)
    assert {f"lab2.{name}" for name in lab2.CHECKS} == {e.check for e in graded if e.kind == "check"}
    assert {f"lab2.{name}" for name in lab2.CHECKS} == {name for name in checks() if name.startswith("lab2.")}
    assert {name.split(".")[0] for name in hidden.load(SOURCE)} <= lab2.CHECKS.keys()
    assert sum(entry.points for entry in graded) == 100
    assert sum(entry.points for entry in graded if entry.kind == "essay") == BY_HAND
