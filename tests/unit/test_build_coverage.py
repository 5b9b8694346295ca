"""Topics, and the claims of a lesson that it teaches them."""

from __future__ import annotations

from pathlib import Path

import pytest

from iaclab.build import coverage

LIST = """# Topics

**Lecture 4: Argo CD**
1. Architecture: Parts; How it works
2. Key words

**Lab 1: Modules**
1. Part 1: Layout
"""
LESSON = """
## Parts <!-- covers: Architecture / Parts | Key words -->

```{code-cell} ipython3
1 + 1
```

### How <!-- covers: Architecture / How it works -->

Words only.

### Where the code is

```{code-cell} ipython3
2 + 2
```
"""


def test_topics_are_read_by_lesson_and_heading() -> None:
    assert coverage.topics(LIST) == {
        "Lecture 4": ["Architecture / Parts", "Architecture / How it works", "Key words"],
        "Lab 1": ["Part 1 / Layout"],
    }


def test_a_claim_counts_only_where_a_cell_runs() -> None:
    assert coverage.missing(coverage.topics(LIST)["Lecture 4"], LESSON) == ["Architecture / How it works"]


def test_a_claim_in_a_code_cell_or_of_no_topic_is_seen() -> None:
    quoted = "```{code-cell} ipython3\n## Parts <!-- covers: Architecture / Parts -->\n```\n"
    assert coverage.missing(["Architecture / Parts"], quoted) == ["Architecture / Parts"]
    assert coverage.unknown(["Architecture / Parts", "Key words"], LESSON) == ["Architecture / How it works"]


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("lectures/04-argocd-deployment.md", "Lecture 4"),
        ("lectures/10-later.md", "Lecture 10"),
        ("labs/lab1-modules.md", "Lab 1"),
        ("notebooks/00-start-here.md", None),
        ("lectures/appendix.md", None),
    ],
)
def test_a_file_name_says_which_lesson_it_is(name: str, title: str | None) -> None:
    assert coverage.title(Path("content") / name) == title
