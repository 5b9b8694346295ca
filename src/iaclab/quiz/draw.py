"""Whose sheet holds which questions: a learner's name chooses one of some thousand draws, each with even letters.

On no sheet is a letter right for more than 30 % of the questions. Only the key tells which draws are so: whoever has it
tries a draw's turns until one is, and an edition for learners lists the turns, so that both come to the same sheet.
"""

from __future__ import annotations

import getpass
import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, permutations

from iaclab.errors import LabError
from iaclab.quiz.bank import LETTERS, Bank, Question, digest

PLAN = {  # lecture: how many questions of kind know, and how many of kind run
    1: (2, 2),
    2: (2, 1),
    3: (3, 1),
    4: (3, 1),
    5: (3, 1),
    6: (2, 1),
    7: (2, 2),
    8: (3, 1),
}
COUNT = sum(map(sum, PLAN.values()))
DRAWS = 4000  # two learners of thirty have the same sheet in one class of ten
MOST = COUNT * 3 // 10  # questions with the same right letter on a sheet
_ORDERS = tuple(permutations(range(len(LETTERS))))
_Drawn = list[tuple[Question, tuple[int, ...]]]  # with the order of its options


@dataclass(frozen=True)
class Asked:
    """A question on a sheet: its name there (`q1`), and its options in the learner's order."""

    name: str
    question: Question
    options: tuple[str, ...]

    @property
    def letter(self) -> str:
        """The right letter; it needs the key."""
        return LETTERS[self.options.index(self.question.right)]


@dataclass(frozen=True, repr=False)
class Sheet:
    """A learner's questions; `code` is short, and differs where anything on it differs."""

    learner: str
    asked: tuple[Asked, ...]

    @property
    def code(self) -> str:
        """What the sheet is called."""
        return digest(*(text for one in self.asked for text in (one.question.id, *one.options)))[:6]

    def __repr__(self) -> str:
        runs = sum(bool(one.question.code) for one in self.asked)
        return f"sheet {self.code} of {self.learner}: {len(self.asked)} questions, {runs} of them to be run"

    @property
    def ids(self) -> set[str]:
        """The questions on it."""
        return {one.question.id for one in self.asked}

    def about(self, lecture: int) -> tuple[Asked, ...]:
        """Those about one lecture.

        Raises:
            LabError: there are none.
        """
        found = tuple(one for one in self.asked if one.question.lecture == lecture)
        if not found:
            raise LabError(f"There are no questions about lecture {lecture}.", mend="iaclab.quiz.show(1)")
        return found


def sheet(name: str, bank: Bank) -> Sheet:
    """The sheet of a learner.

    Raises:
        LabError: the bank has too few questions, or is an edition of another form.
    """
    number = int(digest("sheet", name)[:8], 16) % DRAWS
    pools = _pools(bank)
    if bank.keyless:
        if len(bank.turns) != DRAWS:
            raise LabError("These questions for learners are of another version.", mend="python -m iaclab.quiz")
        turn = bank.turns[number]
    else:
        turn = _even_turn(number, pools)
    drawn = enumerate(_draw(number, turn, pools), start=1)
    asked = (Asked(f"q{at}", one, tuple(one.options[place] for place in order)) for at, (one, order) in drawn)
    return Sheet(name, tuple(asked))


def turns(bank: Bank) -> Iterator[int]:
    """Of every draw the first turn whose letters are even. It needs the key."""
    pools = _pools(bank)
    return (_even_turn(number, pools) for number in range(DRAWS))


def _pools(bank: Bank) -> list[tuple[list[Question], int]]:
    """From which questions how many are drawn, in the order of a sheet."""
    pools = []
    for lecture, counts in PLAN.items():
        for kind, wanted in zip(("know", "run"), counts, strict=True):
            pool = [q for q in bank.questions if (q.lecture, q.kind, q.practice) == (lecture, kind, False)]
            if len(pool) < wanted:
                raise LabError(f"The bank has {len(pool)} questions about lecture {lecture} of kind {kind}.")
            pools.append((pool, wanted))
    return pools


def _draw(number: int, turn: int, pools: list[tuple[list[Question], int]]) -> _Drawn:
    """One turn of a draw: it takes from `random` only what every version of Python gives alike."""
    chance = random.Random(number * 1_000_003 + turn).random
    drawn: _Drawn = []
    for pool, wanted in pools:
        left = list(pool)
        for _ in range(wanted):
            one = left.pop(int(chance() * len(left)))
            drawn.append((one, _ORDERS[int(chance() * len(_ORDERS))]))
    return drawn


def _even_turn(number: int, pools: list[tuple[list[Question], int]]) -> int:
    for turn in count():
        letters = Counter(order.index(one.place) for one, order in _draw(number, turn, pools))
        if max(letters.values()) <= MOST:
            return turn
    raise AssertionError


def names(lecture: int) -> list[str]:
    """What the questions about a lecture are called on every sheet: `q1` to `q4` for the first."""
    first = sum(sum(counts) for number, counts in PLAN.items() if number < lecture) + 1
    return [f"q{number}" for number in range(first, first + sum(PLAN[lecture]))]


def learner() -> str:
    """Who works here: `IACLAB_LEARNER`, else the hub's user, else the login name."""
    own = os.environ.get("IACLAB_LEARNER") or os.environ.get("JUPYTERHUB_USER")
    return own or getpass.getuser()
