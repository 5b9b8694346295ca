"""What the README and the lessons' text promise is there: commands, files, pictures."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

from iaclab import paths

ROOT = paths.repo_root()
assert ROOT is not None
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted(ROOT.glob("[!.]*/README.md")), *sorted((ROOT / "content").rglob("*.md"))]


def links(document: Path) -> list[str]:
    """The targets of every link and picture, code aside."""
    tokens = [child for token in MarkdownIt().parse(document.read_text()) for child in token.children or []]
    return [str(value) for t in tokens if (value := t.attrGet("href") or t.attrGet("src"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    folder = document.parent
    if folder.is_relative_to(ROOT / "content"):  # its links are those of the built notebook
        folder = ROOT / folder.relative_to(ROOT / "content")
    local = [unquote(link.split("#")[0]) for link in links(document) if not re.match(r"[a-z]+:|#", link)]
    lost = [link for link in local if not (folder / link).exists()]
    assert not lost, f"{document.name} links to {', '.join(lost)}, seen from {folder}"


def test_the_commands_of_the_readme_exist_in_the_makefile() -> None:
    named = set(re.findall(r"\bmake ([a-z]+)\b", README.read_text()))
    assert {"lab", "test"} <= named
    for target in sorted(named):
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, f"README names `make {target}`: {done.stderr}"


def test_the_two_commands_stand_near_the_top() -> None:
    top = "\n".join(README.read_text().splitlines()[:20])
    assert "make lab" in top and "make test" in top


def test_the_readme_shows_a_picture_that_is_small_and_described() -> None:
    pictures = re.findall(r"!\[([^\]]+)\]\(([^)]+\.png)\)", README.read_text())
    assert pictures, "README has no picture with alternative text"
    for text, path in pictures:
        assert len(text) > 20 and (ROOT / path).stat().st_size < 300_000, path
