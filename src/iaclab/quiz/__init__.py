"""The quiz: `iaclab.quiz.show(1)` shows a learner's own questions, `iaclab.quiz.practice()` others with explanations.

The bank is data (`content/quiz/*.toml`, one file for each lecture). Learners without it have its edition without the
key, `questions.json` beside this file, which the builder writes. A sheet is drawn from the learner's name alone, so the
grader draws the same one from the name of whoever handed it in.
"""

from __future__ import annotations

import random

from iaclab import paths
from iaclab.errors import LabError
from iaclab.quiz import bank, given, marking
from iaclab.quiz.draw import COUNT, Sheet, learner, sheet
from iaclab.quiz.page import Page, practice_page, sheet_page

__all__ = ["COUNT", "Page", "Sheet", "own_sheet", "practice", "read", "show"]

_AWAY = Page("The grader draws the questions from your name: they stand with their explanations below the answers.")


def own_sheet() -> Sheet | Page:
    """The sheet of the one who works here."""
    return _AWAY if paths.graded_folder() else _own()


def show(lecture: int) -> Page:
    """The questions of your sheet about one lecture, each with its four options."""
    if paths.graded_folder():
        return _AWAY
    return sheet_page(_own(), lecture)


def read(answer: object, lecture: int) -> None:
    """Say how your answers about a lecture are read, and keep them for `quiz.passed`; not whether they are right."""
    if paths.graded_folder():
        return
    own = _own()
    print("\n".join(marking.read(answer, [one.name for one in own.about(lecture)])))
    given.note(own, lecture, answer)


def practice(lecture: int | None = None, count: int = 3) -> Page:
    """Questions that are not on your sheet; each option, opened, says at once whether it is right, and why.

    Args:
        lecture: of one lecture only.
        count: how many.

    Raises:
        LabError: there is no such lecture, or no question whose explanation is here.
    """
    if paths.graded_folder():
        return Page("Practice is for you, not for the grader.")
    found = bank.load()
    own = sheet(learner(), found).ids
    left = [one for one in found.questions if one.right and one.id not in own and lecture in (None, one.lecture)]
    if not left:
        raise LabError(
            f"There is no practice question about lecture {lecture}.",
            why="Lectures with some: "
            + ", ".join(sorted({str(one.lecture) for one in found.questions if one.right}))
            + ".",
            mend="iaclab.quiz.practice()",
        )
    return practice_page(random.sample(left, min(count, len(left))))


def _own() -> Sheet:
    return sheet(learner(), bank.load())
