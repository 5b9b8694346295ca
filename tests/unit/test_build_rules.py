"""What the builder refuses: each tiny lesson has one thing wrong with it, and is named for it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from iaclab.build import rules
from iaclab.build.notebook import build_all
from iaclab.errors import LabError

TINY = Path(__file__).with_name("lessons")
FAULTS = {
    "good": [],
    "no-front-matter": ["1: no front matter with the key `iaclab`"],
    "front-matter-is-not-yaml": ["1: the front matter is not YAML: "],
    "front-matter-is-a-list": ["1: the front matter is not YAML: it is a list, not a table"],
    "no-title": ["1: the front matter lacks `title`"],
    "no-objectives": ["1: the front matter lacks `objectives`, a list of sentences"],
    "no-time": ["1: the front matter lacks `minutes`, a learner's time as a whole number"],
    "unknown-service": ["1: the front matter needs 'clutser', which is no service"],
    "words-in-place-of-lists": [
        "1: the front matter's `after` is no list: write after: [good]",
        "1: the front matter's `needs` is no list: write needs: [cluster]",
        "1: the front matter's `tools` is no list: write tools: [helm]",
    ],
    "after-an-unknown-lesson": ["1: the front matter has it after 'not-there', which is no other lesson"],
    "unknown-tool": ["1: the front matter names 'kubctl', which is no tool"],
    "no-key-points": ["1: no section 'Key points'"],
    "picture-without-alt": ["20: a picture without alternative text"],
    "html-picture-without-alt": ["20: a picture without alternative text", "22: a picture without alternative text"],
    "diagram-without-text": ["19: a diagram without accDescr"],
    "heading-jump": ["19: the heading 'Too deep' jumps from level 2 to 4"],
    "second-title": ["17: the heading 'Another title' is a second title: begin with level 2"],
    "doubled-heading": ["23: the heading 'Run it' stands on line 17 too"],
    "no-prepare": ['14: the first code cell must call iaclab.prepare("no-prepare")'],
    "prepares-another-lesson": ['11: the first code cell must call iaclab.prepare("prepares-another-lesson")'],
    "fence-never-closed": ["25: a code block that is never closed"],
    "cell-never-closed": ["19: a code block that is never closed"],
    "empty-cell": ["19: an empty code cell"],
    "bash-goes-on": ["21: a bash cell that would go on after an error: begin it with `%%bash -e`"],
    "cell-options-are-not-yaml": ["19: the options of a code cell are not YAML"],
    "cell-in-a-list": ["21: a code cell inside a list or a quotation never runs"],
    "unknown-check": ["19: there is no check 'start.tow-gpus'"],
    "exercise-without-solution": ["19: an exercise without a solution in the next code cell"],
    "solution-without-check": ["23: a solution without a check in the next code cell"],
}


def placed(name: str, root: Path, folder: str = "notebooks") -> Path:
    """A tiny lesson in a content folder of its own."""
    target = root / "content" / folder / f"{name}.md"
    target.parent.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(TINY / f"{name}.md", target))


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_once_with_its_file_and_line(name: str, tmp_path: Path) -> None:
    source = placed(name, tmp_path)
    found = [fault.removeprefix(f"{source}:") for fault in rules.faults(source)]
    assert len(found) == len(FAULTS[name]), found
    for fault, expected in zip(found, FAULTS[name], strict=True):
        assert fault.startswith(expected)


def test_a_lecture_breaks_something_and_has_five_exercises(tmp_path: Path) -> None:
    source = placed("lecture-breaks-nothing", tmp_path, "lectures")
    assert [fault.removeprefix(f"{source}:") for fault in rules.faults(source)] == [
        "1: 1 exercises with a check: a lecture has at least 5",
        "1: no section 'Break it'",
    ]
    assert rules.faults(placed("lecture-breaks-nothing", tmp_path, "notebooks")) == []


def test_every_tiny_lesson_is_used() -> None:
    assert {path.stem for path in TINY.glob("*.md")} == {*FAULTS, "lecture-breaks-nothing"}


def test_all_faults_of_all_lessons_come_in_one_message_and_nothing_is_written(tmp_path: Path) -> None:
    names = [name for name in FAULTS if name != "good"]
    sources = [placed(name, tmp_path) for name in names]
    with pytest.raises(LabError) as error:
        build_all(write=True, content=tmp_path / "content", target=tmp_path)
    message = str(error.value)
    assert message.startswith(f"{sum(len(FAULTS[n]) for n in names)} faults")
    for source, name in zip(sources, names, strict=True):
        for fault in FAULTS[name]:
            assert f"{source}:{fault}" in message
    assert not list(tmp_path.rglob("*.ipynb"))
