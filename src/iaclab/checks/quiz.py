"""The quiz's own check: how many of the learner's answers are right, for who practises with the key at hand."""

from __future__ import annotations

from iaclab.checks.record import Check
from iaclab.quiz import given, marking
from iaclab.quiz.draw import COUNT

CHECKS = {
    "passed": Check(
        title=f"at least {marking.PASS} of your {COUNT} answers are right",
        needs=(),
        probe=lambda profile: given.count(),
        expect=lambda seen: seen.right >= marking.PASS,
        earned=lambda seen: seen.right,
        points=COUNT,
        hints=(
            "Answer every question: a guess costs nothing. Each cell below your answers has to be run.",
            "Read the sections of the lectures that are named, and run the scripts of their questions.",
            "iaclab.quiz.practice(4)   # questions about lecture 4 alone, each with its explanation",
        ),
    ),
}
