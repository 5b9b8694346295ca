"""The form of every link (files, headings, https), and the check of pages on a server of the test's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from iaclab import paths
from iaclab.build import links

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))
from mirror import Mirror, broken, moved_to, no_page, silent

ROOT = paths.repo_root()
assert ROOT is not None


@pytest.mark.parametrize("document", links.documents(ROOT), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_links_of_a_text_have_a_good_form(document: Path) -> None:
    assert links.faults(document, ROOT) == []


def test_the_texts_of_learners_instructors_and_contributors_are_among_them() -> None:
    names = {str(path.relative_to(ROOT)) for path in links.documents(ROOT)}
    assert {"README.md", "CONTRIBUTING.md", "docs/provider.md", "grading/README.md", "tools/README.md"} <= names
    assert "content/notebooks/99-resources.md" in names


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with a page, a notebook and its text."""
    for folder in ("content/lectures", "lectures", "docs"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "docs/page.md").write_text("# A page\n\n## What `it` is, and where\n\n```\n## No heading\n```\n")
    cell = '{"cell_type": "markdown", "source": ["## Where you are\\n", "text"]}'
    (tmp_path / "lectures/01-one.ipynb").write_text(f'{{"cells": [{cell}]}}')
    return tmp_path


@pytest.mark.parametrize(
    ("target", "fault"),
    [
        ("../docs/page.md", ""),
        ("../docs/page.md#what-it-is-and-where", ""),
        ("../docs/page.md#no-heading", "leads to no heading of page.md"),
        ("01-one.ipynb#Where-you-are", ""),
        ("01-one.ipynb#where-you-are", "leads to no heading of 01-one.ipynb"),
        ("#Where-you-are", ""),
        ("02-two.ipynb", "leads to no file"),
        ("../../outside.md", "leads to no file"),
        ("https://example.org/page#part", ""),
        ("http://example.org/page", "is not https"),
        ("ftp://example.org/page", "is not https"),
        ("https://registry.example.org", "bare host of a registry"),
        ("https://registry.example.org/providers/one", ""),
    ],
)
def test_a_fault_of_form_is_named_with_its_line(clone: Path, target: str, fault: str) -> None:
    text = clone / "content/lectures/01-one.md"
    text.write_text(f"---\niaclab:\n  title: One\n---\n\nSee [it]({target}).\n\n`[code](nowhere.md)`\n")
    found = links.faults(text, clone)
    if fault:
        assert len(found) == 1 and found[0].startswith("content/lectures/01-one.md:6: ") and fault in found[0]
    else:
        assert found == []


def test_pages_that_are_gone_are_told_from_those_of_which_nobody_can_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IACLAB_TIMEOUT", "0.5")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Mirror() as mirror:
        mirror.files["/here"] = b"a page"
        mirror.behaves |= {"/moved": moved_to("/here"), "/ill": broken, "/mute": silent, "/packages": no_page}
        names = ("here", "here#part", "moved", "lost", "ill", "mute", "packages")
        text = tmp_path / "page.md"
        text.write_text("\n\n".join(f"[{name}]({mirror.url}/{name})" for name in names))
        gone, unknown = links.dead(links.links(text))
        assert gone == [f"{mirror.url}/lost gone (page.md:7)"]
        assert [line.split()[0].rpartition("/")[2] for line in unknown] == ["ill", "mute", "packages"]
        assert mirror.asked.count("/here") == 2, "once itself, once where /moved leads"
