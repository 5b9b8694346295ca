"""A learner's tokens and keys are taken from files that only the learner can read, and from nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from iaclab.checks import private
from iaclab.errors import LabError


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "share-1"


def written(place: Path, text: str, mode: int = 0o600) -> Path:
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    place.chmod(mode)
    return place


def test_one_word_is_read_without_its_line_end(place: Path) -> None:
    assert private.word(written(place, "hvs.a+b/c=\n"), "token") == "hvs.a+b/c="


def test_what_is_missing_is_said(place: Path) -> None:
    with pytest.raises(LabError, match="is not there"):
        private.word(place, "key")
    place.parent.write_text("a file where a folder should be")
    with pytest.raises(LabError, match="is not there"):
        private.word(place, "key")


def test_a_link_a_folder_a_pipe_and_a_large_file_are_no_key(place: Path, tmp_path: Path) -> None:
    place.parent.mkdir()
    elsewhere = written(tmp_path / "elsewhere", "secret")
    for make in (lambda: place.symlink_to(elsewhere), place.mkdir, lambda: os.mkfifo(place, 0o600)):
        make()
        with pytest.raises(LabError, match="is not a file with a key"):
            private.word(place, "key")
        place.rmdir() if place.is_dir() and not place.is_symlink() else place.unlink()
    with pytest.raises(LabError, match="is not a file with a key"):
        private.word(written(place, "x" * 10_001), "key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o610])
def test_one_that_others_can_read_is_refused_with_what_mends_it(place: Path, mode: int) -> None:
    with pytest.raises(LabError, match="can be read by others: chmod 600 "):
        private.word(written(place, "abc", mode), "key")


@pytest.mark.parametrize("text", ["", "\n", "two words", "é"])
def test_anything_but_one_word_of_ascii_is_refused(place: Path, text: str) -> None:
    with pytest.raises(LabError, match="does not hold one token"):
        private.word(written(place, text), "token")
