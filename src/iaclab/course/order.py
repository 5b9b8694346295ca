"""Which lessons a run has, and in which order."""

from __future__ import annotations

from iaclab import learning_path, lessons
from iaclab.lessons import Lesson


def in_order() -> list[Lesson]:
    """Every lesson: those of the learning path in its order, then the others."""
    way = [step.lesson for step in learning_path.steps() if step.lesson]
    return way + [entry for entry in lessons.lessons() if entry.id not in {lesson.id for lesson in way}]


def chosen(names: list[str]) -> list[Lesson]:
    """The lessons whose ids begin with one of these names, all without names.

    Raises:
        LabError: a name that begins no lesson's.
    """
    every = in_order()
    for name in names:
        if not any(entry.id.startswith(name) for entry in every):
            lessons.lesson(name)  # names the nearest
    return [entry for entry in every if not names or entry.id.startswith(tuple(names))]
