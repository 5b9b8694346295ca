"""Every topic of topics.md is taught by an executed cell of its lesson."""

from __future__ import annotations

from pathlib import Path

import pytest

from iaclab import lessons
from iaclab.build import coverage

TOPICS = coverage.topics(Path(__file__).with_name("topics.md").read_text())
WRITTEN = {title: source for source in lessons.sources() if (title := coverage.title(source)) in TOPICS}


@pytest.mark.parametrize("title", WRITTEN)
def test_every_topic_of_a_lesson_is_taught_by_an_executed_cell(title: str) -> None:
    missing = coverage.missing(TOPICS[title], WRITTEN[title].read_text())
    assert not missing, f"{WRITTEN[title]}: no section with a code cell claims (<!-- covers: … -->) {missing}"


@pytest.mark.parametrize("source", lessons.sources(), ids=lambda source: source.stem)
def test_a_lesson_claims_only_topics_that_exist(source: Path) -> None:
    unknown = coverage.unknown(TOPICS.get(coverage.title(source) or "", []), source.read_text())
    assert not unknown, f"{source} claims what topics.md does not list: {unknown}"


def test_lessons_that_are_not_written_yet() -> None:
    waiting = [title for title in TOPICS if title not in WRITTEN]
    if waiting:
        count = sum(len(TOPICS[title]) for title in waiting)
        pytest.skip(f"{len(waiting)} lessons with {count} topics are not written yet: {', '.join(waiting)}")


def test_the_list_of_topics_is_whole() -> None:
    assert [title for title in TOPICS if title.startswith("Lecture")] == [f"Lecture {n}" for n in range(1, 9)]
    assert [title for title in TOPICS if title.startswith("Lab")] == [f"Lab {n}" for n in range(1, 6)]
    assert all(len(set(topics)) == len(topics) >= 6 for topics in TOPICS.values())
    assert "ArgoCD Architecture / Core Components" in TOPICS["Lecture 4"]
