"""What the builder makes of a good lesson: the same bytes every time, nothing left of any run."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from iaclab import paths
from iaclab.build.__main__ import main
from iaclab.build.notebook import build_all, render
from iaclab.lessons import read

TINY = Path(__file__).with_name("lessons")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one good lesson."""
    (tmp_path / "content" / "notebooks").mkdir(parents=True)
    shutil.copy(TINY / "good.md", tmp_path / "content" / "notebooks")
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    return tmp_path


def rendered(source: Path, change: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """The notebook of a source, after replacing a part of its text."""
    old, new = change
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new, 1) if old else text)
    return dict(json.loads(render(read(source))))


def test_a_notebook_is_built_to_the_same_bytes_twice(clone: Path) -> None:
    built = clone / "notebooks" / "good.ipynb"
    assert build_all(write=True) == ["notebooks/good.ipynb"]
    first = built.read_bytes()
    built.unlink()
    build_all(write=True)
    assert built.read_bytes() == first
    assert build_all(write=True) == [], "a fresh notebook is not written again"


def test_a_notebook_holds_no_outputs_and_only_metadata_that_means_something(clone: Path) -> None:
    notebook = rendered(clone / "content" / "notebooks" / "good.md")
    nbformat.validate(notebook)
    assert set(notebook["metadata"]) == {"kernelspec", "language_info"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
        assert set(cell["metadata"]) <= {"tags", "jupyter"}, cell["source"]


def test_solutions_are_folded_and_nothing_else_is(clone: Path) -> None:
    notebook = rendered(clone / "content" / "notebooks" / "good.md")
    folded = [cell for cell in notebook["cells"] if cell["metadata"].get("jupyter") == {"source_hidden": True}]
    assert ["".join(cell["source"]) for cell in folded] == ["%%bash -e\nkubectl apply -f train.yaml"]
    assert folded[0]["metadata"]["tags"] == ["solution"]


def test_the_header_says_what_the_front_matter_says(clone: Path) -> None:
    source = clone / "content" / "notebooks" / "good.md"
    header = "".join(rendered(source)["cells"][0]["source"])
    assert header.startswith("# A tiny lesson\n")
    assert "about 5 minutes" in header
    assert "`cluster`" in header
    assert "- see one cell run" in header
    assert "all cells run in" not in header, "nothing was measured yet"
    measured = rendered(source, ("  minutes: 5\n", "  minutes: 65\n  measured: {seconds: 40, memory_mb: 1100}\n"))
    header = "".join(measured["cells"][0]["source"])
    assert "about 1 hour 5 minutes" in header
    assert "**all cells run in** 40 s" in header
    assert "**memory** 1.1 GB" in header


def test_ids_are_short_unique_and_valid_also_for_cells_that_are_the_same(clone: Path) -> None:
    notebook = rendered(clone / "content" / "notebooks" / "good.md")
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,20}", name) for name in ids), ids
    same = [cell["id"] for cell in notebook["cells"] if cell["source"] == ["1 + 1"]]
    assert len(same) == 2


@pytest.mark.parametrize(
    "change",
    [
        ("## Run it\n", "```{code-cell} ipython3\n2 + 2\n```\n\n## Run it\n"),
        ("  minutes: 5\n", "  minutes: 6\n"),
        ("apply train.yaml.", "apply it."),
    ],
    ids=["a cell more", "another header", "a cell changed"],
)
def test_a_change_gives_new_ids_to_what_changed_only(clone: Path, change: tuple[str, str]) -> None:
    source = clone / "content" / "notebooks" / "good.md"
    before, after = rendered(source), rendered(source, change)
    known = {(cell["id"], "".join(cell["source"])) for cell in before["cells"]}
    new = [cell for cell in after["cells"] if (cell["id"], "".join(cell["source"])) not in known]
    # A cell put into the middle of a paragraph splits it in two; no other cell may notice.
    assert 1 <= len(new) <= 3, new
    assert len(after["cells"]) - len(new) >= len(before["cells"]) - 1


def test_the_command_says_what_is_stale_and_writes_it_only_when_asked(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check"]) == 1
    said = capsys.readouterr()
    assert "notebooks/good.ipynb" in said.err
    assert "make notebooks" in said.err
    assert not (clone / "notebooks").exists()

    assert main([]) == 0
    assert "1 notebook written" in capsys.readouterr().out

    (clone / "notebooks" / "line.png").touch()  # its picture
    assert main(["--check"]) == 0
    assert capsys.readouterr().err == ""

    built = clone / "notebooks" / "good.ipynb"
    built.write_text(built.read_text().replace("1 + 1", "1 + 2"))
    assert main(["--check"]) == 1, "a notebook that was edited by hand is stale"


def test_the_command_names_links_that_lead_nowhere(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = clone / "content" / "notebooks" / "good.md"
    source.write_text(source.read_text().replace("One sentence.", "See [the next](02-next.ipynb) or [it](#Nowhere)."))
    assert main([]) == 0
    assert main(["--check"]) == 1
    said = capsys.readouterr().err
    assert "content/notebooks/good.md:9: 02-next.ipynb leads to no file" in said
    assert "content/notebooks/good.md:9: #Nowhere leads to no heading of good.ipynb" in said


def test_the_command_shows_the_faults_of_the_text_without_a_traceback(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("no-time", "front-matter-is-not-yaml"):
        shutil.copy(TINY / f"{name}.md", clone / "content" / "notebooks")
    for argv in (["--check"], []):
        assert main(argv) == 1
        said = capsys.readouterr().err
        assert "no-time.md:1: the front matter lacks `minutes`" in said
        assert "front-matter-is-not-yaml.md:1:" in said
        assert "Traceback" not in said
        assert not (clone / "notebooks").exists(), "good lessons wait until all are good"
