"""A learner's own answers as they were read last, in the quiz's workspace folder: what `quiz.passed` counts.

Nobody else reads them: the grader marks what stands in the notebook that was handed in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from iaclab import paths, preparation
from iaclab.platform.profile import write_private
from iaclab.quiz import bank, draw, marking
from iaclab.quiz.draw import Sheet

LESSON = "quiz"
# The line of a page of nbgrader's feedback that has the points.
_SCORE = re.compile(rf"<h4>{LESSON} \(Score: (\d+)[.\d]* / {draw.COUNT}[.0]*\)</h4>")


def file() -> Path:
    """Where they are kept."""
    return preparation.workspace_folder(LESSON) / "answers.json"


def note(sheet: Sheet, lecture: int, answer: object) -> None:
    """Keep what a cell says about one lecture, in place of what it said before; answers to another sheet go."""
    kept = {name: letter for name, letter in letters(sheet).items() if name not in draw.names(lecture)}
    if isinstance(answer, Mapping):
        kept |= {one.name: marking.letter(answer.get(one.name))[0] for one in sheet.about(lecture)}
    preparation.workspace(LESSON)
    write_private(file(), json.dumps({"sheet": sheet.code, "answers": {k: v for k, v in kept.items() if v}}, indent=1))


def letters(sheet: Sheet) -> dict[str, str]:
    """The answers to this sheet, by question; none where the file is not there, damaged, or of another sheet."""
    try:
        read = json.loads(file().read_text())
        if read["sheet"] != sheet.code:
            return {}
        found = {name: marking.letter(letter)[0] for name, letter in read["answers"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {name: letter for name, letter in found.items() if letter}


def count() -> marking.Count:
    """How many answers of the one who works here are right: by the key, and where it is not here, by the grader's word.

    Raises:
        LabError: there is neither, or the bank cannot be used.
    """
    found = bank.load()
    own = draw.sheet(draw.learner(), found)
    if found.keyless and (points := _graded()) is not None:
        return marking.Count(points, 0, ())
    return marking.count(own, letters(own))


def _graded() -> int | None:
    """The points on the newest page of feedback that nbgrader has fetched, where it puts them by itself."""
    tops = {top for top in (paths.repo_root(), Path.home()) if top}
    pages = [p for top in tops for deep in ("", "*/") for p in top.glob(f"{deep}{LESSON}/feedback/*/{LESSON}.html")]
    for page in sorted(pages, key=lambda page: page.parent.name, reverse=True):  # its folder is named by the time
        if score := _SCORE.search(page.read_text(errors="replace")):
            return int(score[1])
    return None
