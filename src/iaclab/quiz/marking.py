"""How answers are read, and what they bring. An answer is a letter in quotes; case and blanks do not matter."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from iaclab.answering import what
from iaclab.errors import LabError
from iaclab.grading.answers import Answer
from iaclab.quiz.bank import LETTERS
from iaclab.quiz.draw import COUNT, Asked, Sheet

PASS = COUNT * 4 // 5


@dataclass(frozen=True)
class Part:
    """The questions about one lecture on a learner's sheet, with their key: what a submission is marked by."""

    sheet: str
    asked: tuple[Asked, ...]


def part(sheet: Sheet, lecture: int) -> Part:
    """A lecture's part of a sheet."""
    return Part(sheet.code, sheet.about(lecture))


@dataclass(frozen=True)
class Count:
    """How a whole sheet stands: answers that are right, questions without one, lectures with some that is not right."""

    right: int
    unanswered: int
    weak: tuple[int, ...]

    def __str__(self) -> str:
        text = f"{self.right} of {COUNT} are right, {PASS} pass"
        text += f"; {self.unanswered} not answered" if self.unanswered else ""
        return text + (f"; look again at lecture {', '.join(map(str, self.weak))}" if self.weak else "")


def count(sheet: Sheet, letters: Mapping[str, str]) -> Count:
    """Count a sheet's answers, letters by question.

    Raises:
        LabError: the key is not here.
    """
    if not all(one.question.right for one in sheet.asked):
        raise LabError(
            "The key is not on this machine: your instructor has it, and this reads the points in the feedback.",
            mend="nbgrader fetch_feedback quiz",
        )
    right = {one.name for one in sheet.asked if letters.get(one.name) == one.letter}
    weak = sorted({one.question.lecture for one in sheet.asked if one.name not in right})
    return Count(len(right), sum(not letters.get(one.name) for one in sheet.asked), tuple(weak))


def letter(given: object) -> tuple[str, str]:
    """The letter that an answer is, or why it is none."""
    if given is None or (isinstance(given, str) and not given.strip()):
        return "", "not answered"
    if not isinstance(given, str):
        return "", f'it is {what(given)} ({_short(given)}), and a letter in quotes is wanted, as in "b"'
    found = given.strip().casefold()
    return (found, "") if found in tuple(LETTERS) else ("", f"{_short(given)} is none of {', '.join(LETTERS)}")


def read(given: object, names: Sequence[str]) -> list[str]:
    """How a cell's answers are read, one line for each question; it does not say which are right."""
    form = f'a dictionary from question to letter, as in ANSWER = {{"{names[0]}": "b"}}'
    if given is None:
        return [f"Not answered yet: the questions ask for {form}"]
    if not isinstance(given, Mapping):
        return [f"Your answer has the wrong type: it is {what(given)} ({_short(given)}), and wanted is {form}"]
    lines = []
    for name in names:
        found, why = letter(given.get(name))
        lines.append(f"{name}: {found or why}")
    return lines + [f"{_short(name)}: no question of this part" for name in given if name not in names]


def mark(part: Part, answers: Answer, sheet: Answer) -> tuple[int, str]:
    """The points of a part, and what to tell the learner: each question again, the right option, and why.

    Args:
        part: the questions.
        answers: what the cell with the answers says.
        sheet: what the cell with the sheet's name says.
    """
    said = sheet.value.strip().casefold() if isinstance(sheet.value, str) else _short(sheet.value)
    if sheet.is_given and said and said != part.sheet:
        return 0, (
            f"These are answers to the sheet {said[:40]}, and yours is {part.sheet}. A sheet is drawn from a name: "
            "yours in the course is not the one with which you worked, or your course is of another version. "
            "Ask your instructor."
        )
    table = answers.value if answers.is_given else {}
    lines = []
    if not answers.is_given:
        lines = [answers.why]
    elif not isinstance(table, Mapping):
        lines, table = read(table, [one.name for one in part.asked]), {}
    points = 0
    for one in part.asked:
        found, why = letter(table.get(one.name))
        points += found == one.letter
        lines += ["", *_feedback(one, found, why)]
    return points, "\n".join(lines)


def _feedback(one: Asked, found: str, why: str) -> Iterable[str]:
    verdict = "✔ right." if found == one.letter else f"✘ {'not right' if found else why}; {one.letter}) is right."
    yield f"{one.name}. {one.question.question}"
    if one.question.code:
        yield from ("    " + line for line in one.question.code.splitlines())
    for name, option in zip(LETTERS, one.options, strict=True):
        yield f"  {name}) {option}" + " ← yours" * (name == found)
    yield f"  {verdict} {one.question.explanation}"
    yield f"  See {one.question.lesson}, “{one.question.cell}”."


def _short(given: object) -> str:
    try:
        text = repr(given)
    except ValueError:  # a number with more digits than Python writes
        return "a very long one"
    return text if len(text) <= 40 else text[:39] + "…"
