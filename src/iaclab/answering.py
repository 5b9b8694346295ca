"""`iaclab.answer(ANSWER, "set")`: shows a learner's answer to a question, and says so where its type is wrong.

It judges nothing: the points are given for what stands in the answer's cell, later and elsewhere.
"""

from __future__ import annotations

from iaclab.grading.answers import kind

_FORMS = {  # what it is called, and how it is written
    "text": ("a text", '"word"'),
    "truth": ("True or False", "True"),
    "number": ("a number", "3"),
    "list": ("a list", '["x", "y"]'),
    "set": ("a set", '{"x", "y"}'),
    "table": ("a dictionary", '{"x": 1}'),
}


def what(value: object) -> str:
    """What a value is, in words: a number, a text …"""
    found = kind(value)
    return _FORMS[found][0] if found in _FORMS else f"a {type(value).__name__}"


def answer(given: object, wanted: str) -> None:
    """Print the answer; where it has another type than the question asks for, say which it has and which is wanted.

    Args:
        given: the learner's answer, `None` where there is none yet.
        wanted: text, truth, number, list, set or table.
    """
    name, example = _FORMS[wanted]
    found = kind(given)
    if given is None:
        print(f"Not answered yet: the question asks for {name}, as in ANSWER = {example}")
    elif found == wanted:
        print("Your answer:", given)
    else:
        print(f"Your answer has the wrong type: it is {what(given)} ({given!r}), and the question asks for {name}.")
        print(f"Mend: write it as in ANSWER = {example}")
