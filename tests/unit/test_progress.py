"""Progress: a small private file that survives damage and many writers."""

from __future__ import annotations

import errno
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import iaclab
from iaclab import paths
from iaclab.checks import progress
from iaclab.errors import LabError
from iaclab.show import path as show


@pytest.fixture(autouse=True)
def nothing_to_tell() -> Iterator[None]:
    """What this process should tell is told with its test."""
    yield
    progress.news()


WRITER = """
import sys
from iaclab.checks import progress
for _ in range(20):
    progress.record(sys.argv[1], passed=False, points=0)
    progress.record("shared", passed=False, points=0)
"""


def test_nothing_is_lost_with_many_writers() -> None:
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, name], stderr=subprocess.PIPE) for name in ("a", "b", "c", "d")
    ]
    assert [(w.wait(timeout=120), w.communicate()[1]) for w in writers] == [(0, b"")] * 4
    assert {name: entry["misses"] for name, entry in progress.load().items()} == {
        "a": 20,
        "b": 20,
        "c": 20,
        "d": 20,
        "shared": 80,
    }


@pytest.mark.parametrize(
    "damage", ['{"half": ', '["a list"]', '{"a": 1}', '{"a": {"misses": "many"}}', "\udcff"], ids=repr
)
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(damage: str) -> None:
    paths.state_dir().mkdir()
    for round_ in (1, 2):
        progress.progress_file().write_bytes(damage.encode(errors="surrogateescape"))
        assert progress.load() == {}
        progress.record("a", passed=True, points=2)
        assert progress.load()["a"]["points"] == 2
        aside = sorted(paths.state_dir().glob("progress.json.damaged-*"))
        assert [path.name for path in aside] == [f"progress.json.damaged-{n}" for n in range(1, round_ + 1)]
        assert aside[-1].read_bytes() == damage.encode(errors="surrogateescape")


def _cut(path: Path) -> None:
    path.write_text(path.read_text()[:-20])


def _newer(path: Path) -> None:
    path.write_text(json.dumps({"version": 9, "checks": [["a", 3]], "lessons": {}}))


def _folder(path: Path) -> None:
    path.unlink()
    (path / "inside").mkdir(parents=True)


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


BAD = {
    "cut off": (_cut, "it is cut off"),
    "empty": (lambda path: path.write_text(""), "it is cut off"),
    "no text": (lambda path: path.write_bytes(b"\xff\xfe{"), "it is no text"),
    "a list": (lambda path: path.write_text("[1]"), "it is no table"),
    "wrong types": (lambda path: path.write_text('{"a": {"misses": "many"}}'), "has no table of checks"),
    "nested": (lambda path: path.write_text("[" * 200_000), "it is nested too deep"),
    "newer": (_newer, f"it is of a newer version (9; this course writes {progress.VERSION})"),
    "a folder": (_folder, "a folder lies in its place"),
    "a pipe": (_pipe, "it is no file"),
    "a link to itself": (_loop, "it cannot be read"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_set_aside_whole_and_told_once(name: str) -> None:
    spoil, why = BAD[name]
    progress.record("a", passed=True, points=1)
    spoil(progress.progress_file())
    progress.record("b", passed=True, points=2)
    assert progress.load()["b"]["points"] == 2 and progress.damaged() == "progress.json.damaged-1"
    said = progress.news()
    assert why in said and str(paths.state_dir() / "progress.json.damaged-1") in said, said
    assert "Mend: iaclab progress " in said and progress.news() == ""
    assert os.path.lexists(paths.state_dir() / "progress.json.damaged-1")
    if name == "cut off":
        assert "1 pass of it could be kept" in said and "a" in progress.load()


def test_a_file_that_may_not_be_read_is_set_aside(monkeypatch: pytest.MonkeyPatch) -> None:
    progress.record("a", passed=True, points=1)
    read = Path.read_text

    def refused(path: Path, *args: Any, **more: Any) -> str:
        if path == progress.progress_file() and path.stat().st_mode & 0o777 == 0:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))  # root, who tests, may read all
        return read(path, *args, **more)

    monkeypatch.setattr(Path, "read_text", refused)
    progress.progress_file().chmod(0)
    assert progress.load() == {}
    assert "it cannot be read (Permission denied)" in progress.news()


def test_no_file_that_was_set_aside_is_written_over() -> None:
    for number in (1, 2, 3):
        paths.state_dir().mkdir(exist_ok=True)
        progress.progress_file().write_text(f"damage {number}")
        progress.load()
    (paths.state_dir() / "progress.json.damaged-1").unlink()
    progress.progress_file().write_text("damage 4")
    progress.load()
    found = {path.name[-1]: path.read_text() for path in paths.state_dir().glob("progress.json.damaged-*")}
    assert found == {"1": "damage 4", "2": "damage 2", "3": "damage 3"}


def test_a_check_in_a_notebook_says_that_the_file_was_set_aside(capsys: pytest.CaptureFixture[str]) -> None:
    progress.record("a", passed=True, points=1)
    progress.progress_file().write_text("{")
    iaclab.check("argocd.components")
    assert "Your progress could not be read" in capsys.readouterr().out
    iaclab.check("argocd.components")
    assert capsys.readouterr().out == ""
    assert "The progress file was damaged" in str(show.Path()), "until the checks were asked again"


def test_the_most_points_that_a_check_ever_brought_are_kept() -> None:
    for passed, points in ((False, 3), (False, 5), (False, 2)):
        progress.record("a", passed=passed, points=points)
    assert progress.load()["a"] == {"misses": 3, "points": 5}
    progress.record("a", passed=True, points=8)
    progress.record("a", passed=False, points=6, miss=False)
    assert (progress.load()["a"]["misses"], progress.load()["a"]["points"]) == (0, 8)


def test_points_of_another_machine_count_too(tmp_path: Path) -> None:
    theirs = {"version": 2, "lessons": {}, "checks": {
        "a": {"misses": 1, "points": 7},
        "b": {"misses": 0, "points": 2, "passed": "2026-01-01T00:00:00+0000"},
        "c": {"misses": 4},
    }}  # fmt: skip
    file = tmp_path / "theirs.json"
    file.write_text(json.dumps(theirs))
    progress.record("a", passed=False, points=3)
    progress.record("b", passed=True, points=9)
    assert progress.merge(file) == 0
    assert {name: entry.get("points") for name, entry in progress.load().items()} == {"a": 7, "b": 9}


def test_a_pass_is_kept_with_its_time_through_later_misses() -> None:
    progress.record("a", passed=True, points=1)
    when = progress.load()["a"]["passed"]
    progress.record("a", passed=False, points=0)
    assert progress.load()["a"] == {"misses": 1, "passed": when, "points": 1}
    assert progress.attempts("a") == 1
    assert progress.attempts("never tried") == 0


def test_progress_is_for_its_owner_alone() -> None:
    old = os.umask(0)
    try:
        progress.record("a", passed=True, points=1)
    finally:
        os.umask(old)
    files = [path for path in paths.state_dir().iterdir() if path.is_file()]
    assert progress.progress_file() in files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert stat.S_IMODE(paths.state_dir().stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_used_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_STATE", f"{os.devnull}/state")
    for act in (progress.load, lambda: progress.record("a", passed=True, points=1)):
        with pytest.raises(LabError, match="IACLAB_STATE"):
            act()


def test_an_older_form_is_read_and_a_newer_ones_additions_are_kept() -> None:
    paths.state_dir().mkdir()
    progress.progress_file().write_text('{"a": {"misses": 2, "passed": "2025-01-01T00:00:00+0000", "points": 3}}')
    assert progress.load()["a"]["points"] == 3
    progress.record("b", passed=True, points=1)
    written = json.loads(progress.progress_file().read_text())
    assert written["version"] == progress.VERSION and set(written["checks"]) == {"a", "b"}

    newer = {**written, "version": 9, "notes": ["of a later release"]}
    newer["checks"]["a"]["stars"] = 5
    progress.progress_file().write_text(json.dumps(newer))
    progress.record("c", passed=False, points=0)
    kept = json.loads(progress.progress_file().read_text())
    assert (kept["version"], kept["notes"], kept["checks"]["a"]["stars"]) == (9, ["of a later release"], 5)


def test_of_a_file_cut_off_the_entries_that_are_whole_are_kept() -> None:
    for name in ("a", "b", "c"):
        progress.record(name, passed=True, points=1)
    progress.record_opened("04-argocd-deployment")
    text = progress.progress_file().read_text()
    progress.progress_file().write_text(text[: text.index('"c"') + 12])
    assert set(progress.load()) == {"a", "b"}
    assert progress.damaged() == "progress.json.damaged-1"
    progress.mended()
    assert progress.damaged() == "" and set(progress.load()) == {"a", "b"}
