"""The bank of questions: with its key as TOML, for whoever grades; without as JSON, for those who answer.

`IACLAB_QUIZ` names other places, separated by `:`: folders of TOML files, or editions.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Literal

from iaclab import paths
from iaclab.errors import LabError

EDITION = Path(__file__).with_name("questions.json")
LETTERS = "abcd"
_ORDER = "6"  # with this number the right options of the course stand evenly under the four letters
_NEEDED = {"id", "cell", "kind", "question", "right", "wrong", "explanation"}
_MAY = {"code", "practice", "needs"}


@dataclass(frozen=True)
class Question:
    """One question.

    Args:
        id: its name, of its own in the whole bank.
        lesson: the lecture that it is about, by id.
        kind: `know`, or `run`: run `code` and say what you see.
        question: its text, Markdown with code spans only.
        options: four, in an order that says nothing.
        code: a script for bash.
        practice: it is for practice alone, and on no sheet.
        needs: the tools that its code calls.
        right: the right option; empty where the key is not here, like the two that follow.
        explanation: why it is right.
        cell: the heading in the lesson whose cells show it.
    """

    id: str
    lesson: str
    kind: Literal["know", "run"]
    question: str
    options: tuple[str, ...]
    code: str = ""
    practice: bool = False
    needs: tuple[str, ...] = ()
    right: str = ""
    explanation: str = ""
    cell: str = ""

    @cached_property
    def place(self) -> int:
        """Where the right option stands; it needs the key."""
        return self.options.index(self.right)

    @property
    def lecture(self) -> int:
        """The lecture's number."""
        return int(self.lesson[:2])


@dataclass(frozen=True)
class Bank:
    """Questions, by id. `turns` are an edition's: of each draw the even turn (`draw.turns`), which the key tells."""

    questions: tuple[Question, ...]
    turns: tuple[int, ...] = ()

    @property
    def keyless(self) -> list[str]:
        """The questions without a key."""
        return [one.id for one in self.questions if not one.right]


def bank(questions: Iterable[Question], turns: Iterable[int] = ()) -> Bank:
    """A bank of questions in any order."""
    return Bank(tuple(sorted(questions, key=lambda one: one.id)), tuple(turns))


def load() -> Bank:
    """The bank: of the places that `IACLAB_QUIZ` names, else of the clone's bank, else of the learners' edition.

    Raises:
        LabError: a place is not there, or what it holds is no bank.
    """
    named = [Path(place) for place in os.environ.get("IACLAB_QUIZ", "").split(os.pathsep) if place]
    root = paths.repo_root()
    clone = root / "content" / "quiz" if root else None
    places = named or [clone if clone and clone.is_dir() else EDITION]
    return _load(tuple((place, _changed(place)) for place in places))


@cache
def _load(places: tuple[tuple[Path, int], ...]) -> Bank:
    if any(place.is_file() for place, _ in places):
        if len(places) > 1:
            raise _unusable(places[-1][0], "an edition stands alone: join folders, and make one of them")
        return edition(places[0][0])
    found = [one for place, _ in places for one in folder(place)]
    twice = [name for name, times in Counter(one.id for one in found).items() if times > 1]
    if twice:
        raise _unusable(places[-1][0], f"the question '{twice[0]}' is there twice")
    return bank(found)


def folder(place: Path) -> list[Question]:
    """The questions of a folder of TOML files, with their key.

    Raises:
        LabError: a file does not have the form.
    """
    return [one for path in sorted(place.glob("*.toml")) for one in _file(path)]


def edition(path: Path) -> Bank:
    """The bank of an edition.

    Raises:
        LabError: there is none, or it is damaged.
    """
    try:
        read = json.loads(path.read_text())
        questions = [Question(**{key: _frozen(value) for key, value in one.items()}) for one in read["questions"]]
        return bank(questions, map(int, read["turns"].split()))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unusable(path, f"{type(error).__name__}: {error}") from error


def without_key(questions: Iterable[Question], turns: Iterable[int]) -> str:
    """The edition for learners, as JSON text: only practice questions keep their key.

    Args:
        turns: of `draw.turns`.
    """
    entries = []
    for one in sorted(questions, key=lambda one: one.id):
        entry: dict[str, Any] = {"id": one.id, "lesson": one.lesson, "kind": one.kind, "question": one.question}
        entry["options"] = list(one.options)
        entry |= {"code": one.code, "needs": list(one.needs)} if one.code else {}
        if one.practice:
            entry |= {"practice": True, "right": one.right, "explanation": one.explanation, "cell": one.cell}
        entries.append(entry)
    edition = {"turns": " ".join(map(str, turns)), "questions": entries}
    return json.dumps(edition, indent=1, ensure_ascii=False) + "\n"


def digest(*parts: str) -> str:
    """A number from texts, the same on every machine, by which things are put in order or chosen."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _file(path: Path) -> list[Question]:
    try:
        read = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _unusable(path, " ".join(str(error).split())) from error
    lesson, entries = read.get("lesson"), read.get("questions")
    if not isinstance(lesson, str) or not lesson[:2].isdigit() or not isinstance(entries, list) or len(read) > 2:
        raise _unusable(path, 'it begins with lesson = "<a lecture\'s id>", then come [[questions]]')
    return [_entry(path, lesson, entry) for entry in entries]


def _entry(path: Path, lesson: str, entry: dict[str, Any]) -> Question:
    name = entry.get("id", "without an id")
    if wrong := (_NEEDED - set(entry)) | (set(entry) - _NEEDED - _MAY):
        raise _unusable(path, f"the question '{name}': {', '.join(sorted(wrong))}: missing, or not known")
    texts = [entry[key] for key in sorted(_NEEDED - {"wrong"})] + list(entry["wrong"])
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise _unusable(path, f"the question '{name}' has something that is no text, or empty")
    options = [entry["right"], *entry["wrong"]]
    if len(set(options)) != len(LETTERS):
        raise _unusable(path, f"the question '{name}' needs {len(LETTERS)} different options")
    if entry["kind"] not in ("know", "run") or (entry["kind"] == "run") != bool(entry.get("code")):
        raise _unusable(path, f"the question '{name}' is of kind know, or of kind run with code")
    return Question(
        id=name,
        lesson=lesson,
        kind=entry["kind"],
        question=entry["question"].strip(),
        options=tuple(sorted(options, key=lambda option: digest(_ORDER, name, option))),
        code=entry.get("code", "").strip(),
        practice=bool(entry.get("practice", False)),
        needs=tuple(entry.get("needs", ())),
        right=entry["right"],
        explanation=entry["explanation"].strip(),
        cell=entry["cell"],
    )


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _changed(place: Path) -> int:
    """When what is in a place was changed last, so that a bank in the making is read anew."""
    try:
        files = [place, *place.glob("*.toml")] if place.is_dir() else [place]
        return max(file.stat().st_mtime_ns for file in files)
    except OSError as error:
        raise _unusable(place, error.strerror or str(error)) from error


def _unusable(path: Path, why: str) -> LabError:
    return LabError(
        f"The questions in {path} cannot be used.", why=why, mend="echo $IACLAB_QUIZ   # unset: the course's"
    )
