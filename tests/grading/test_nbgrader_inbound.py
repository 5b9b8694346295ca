"""What is taken out of the exchange's inbound folder: plain files of their owner, by the clock of the file system."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from iaclab.grading import nbgrader_inbound as inbound
from iaclab.grading.nbgrader_exchange import TrustedCollect, TrustedReleaseFeedback
from iaclab.grading.nbgrader_inbound import SetAside
from iaclab.grading.nbgrader_report import read, report_file

ME = inbound.owner_by_passwd(os.getuid()) or "me"
LAB = "lab0-files"


@pytest.fixture
def handed(tmp_path: Path) -> Path:
    """A submission as `nbgrader submit` leaves it."""
    folder = tmp_path / "exchange" / "iaclab" / "inbound" / f"{ME}+{LAB}+2026-01-01 00:00:00.000000 UTC+AAAAAAAAAAAA"
    folder.mkdir(parents=True)
    (folder / f"{LAB}.ipynb").write_text('{"cells": []}')
    (folder / "timestamp.txt").write_text("1999-01-01 00:00:00.000000 UTC")
    (folder / "submission_secret.txt").write_text(secrets.token_hex(64))
    (folder / "modules").mkdir()
    (folder / "modules" / "main.tf").write_text("# mine\n")
    return folder


def deep(folder: Path) -> None:
    for _ in range(30):
        folder = folder / "d"
        folder.mkdir()


def many(folder: Path) -> None:
    for number in range(inbound.MOST_FILES):
        (folder / str(number)).touch()


def large(folder: Path) -> None:
    with (folder / "large").open("wb") as file:
        file.truncate(inbound.MOST_BYTES + 1)


def listening(folder: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door:
        os.chdir(folder)
        door.bind("door")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "a link to a file": (lambda f: (f / "x").symlink_to("/etc/passwd"), "'x' is a symbolic link"),
    "a link to a folder": (lambda f: (f / "modules" / "x").symlink_to("/etc"), "'modules/x' is a symbolic link"),
    "a pipe": (lambda f: os.mkfifo(f / "x"), "'x' is a pipe"),
    "a socket": (listening, "'door' is a socket"),
    "folders without end": (deep, "more than 20 folders within folders"),
    "files without end": (many, "more than 2000 files"),
    "a huge file": (large, "more than 100 MB"),
    "no secret": (lambda f: (f / "submission_secret.txt").unlink(), "submission_secret.txt is missing or malformed"),
    "a secret of its own": (lambda f: (f / "submission_secret.txt").write_text("../../x"), "missing or malformed"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_plain_submission_is_not_taken(
    name: str, handed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make, why = BAD[name]
    make(handed)
    with pytest.raises(SetAside, match=why):
        inbound.take(inbound.parse(handed), tmp_path / "taken", datetime.now(UTC))


@pytest.mark.parametrize("name", ["..", ".", "a/b", "-rf", "x y", "", "ä"])
def test_a_student_is_called_what_a_folder_can_be_called(name: str) -> None:
    with pytest.raises(SetAside):
        inbound.names(f"{name}+{LAB}+2026+AAAA")


@pytest.mark.parametrize("name", ["x", f"{ME}+{LAB}", f"{ME}+{LAB}+2026"])
def test_a_name_has_four_parts(name: str) -> None:
    with pytest.raises(SetAside, match="its name is not student"):
        inbound.names(name)


def test_a_good_submission_is_copied_with_the_time_of_the_file_system(handed: Path, tmp_path: Path) -> None:
    os.utime(handed / f"{LAB}.ipynb", (0, 0))  # an owner sets these times, but not that of the change
    mine = inbound.parse(handed)
    inbound.check_owner(mine, inbound.owner_by_passwd)
    at = inbound.handed_in_at(mine)
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60
    inbound.take(mine, tmp_path / "taken", at)
    taken = sorted(
        str(path.relative_to(tmp_path / "taken")) for path in (tmp_path / "taken").rglob("*") if path.is_file()
    )
    assert taken == [f"{LAB}.ipynb", "modules/main.tf", "submission_secret.txt", "timestamp.txt"]
    assert (tmp_path / "taken" / "timestamp.txt").read_text() == at.strftime(inbound.TIME_FORMAT)


def test_it_counts_for_its_owner_alone(handed: Path) -> None:
    mine = inbound.parse(handed)
    with pytest.raises(SetAside, match=f"it claims to be of {ME}, and mallory handed it in"):
        inbound.check_owner(mine, lambda uid: "mallory")
    with pytest.raises(SetAside, match="has no name here"):
        inbound.check_owner(mine, lambda uid: None)


def course(tmp_path: Path, kind: type, **settings: object) -> object:
    """One of the exchange's classes, on the folders of this test."""
    from nbgrader.auth import Authenticator
    from nbgrader.coursedir import CourseDirectory

    (tmp_path / "course").mkdir(exist_ok=True)
    folder = CourseDirectory(root=str(tmp_path / "course"), course_id="iaclab", assignment_id=LAB)
    return kind(coursedir=folder, authenticator=Authenticator(), root=str(tmp_path / "exchange"), **settings)


def test_the_bad_stop_nobody_elses_collection(handed: Path, tmp_path: Path) -> None:
    inbound_folder = handed.parent
    (inbound_folder / f"{ME}+{LAB}+no such time+B\x1b[2J").mkdir()
    (inbound_folder / "nonsense").mkdir()
    (inbound_folder / f"victim+{LAB}+2031-01-01 00:00:00.000000 UTC+CCCC").mkdir()
    (inbound_folder / f"{ME}+another-lab+2031-01-01 00:00:00.000000 UTC+DDDD").mkdir()
    (inbound_folder / f"{ME}+{LAB}+2026+EEEE").symlink_to(handed)
    collect = course(tmp_path, TrustedCollect)
    collect.start()
    assert sorted(path.name for path in (tmp_path / "course" / "submitted").iterdir()) == [ME]
    aside = read(tmp_path / "course", LAB)["aside"]
    assert {entry["why"].split(",")[0] for entry in aside.values()} >= {
        "its name is not student+assignment+time+random",
        "it claims to be of victim",
        "it is no folder",
    }
    assert not [name for name in aside if "another-lab" in name], "of another lab: another report"
    assert "\x1b" not in report_file(tmp_path / "course", LAB).read_text()


def test_feedback_of_one_does_not_wait_for_that_of_another(handed: Path, tmp_path: Path) -> None:
    release = course(tmp_path, TrustedReleaseFeedback)
    for student, whole in (("ada", True), ("eve", False), ("zoe", True)):
        folder = tmp_path / "course" / "feedback" / student / LAB
        folder.mkdir(parents=True)
        (folder / f"{LAB}.html").write_text(student)
        (folder / "timestamp.txt").write_text("2026-01-01 00:00:00.000000 UTC")
        if whole:
            (folder / "submission_secret.txt").write_text(secrets.token_hex(64))
    release.start()
    released = (tmp_path / "exchange" / "iaclab" / "feedback").glob("*.html")
    assert sorted(path.read_text() for path in released) == ["ada", "zoe"]
    assert "feedback was not released" in json.dumps(read(tmp_path / "course", LAB)["aside"])
