"""`make course`: what fails is named and stops nothing, what has not changed is not run again, nothing else changes."""

from __future__ import annotations

import html
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
import pytest
from tiny_course import TinyCourse

from iaclab import lessons, paths
from iaclab.course import parameters, record, summary
from iaclab.course.__main__ import main
from iaclab.course.execute import execute
from iaclab.course.parameters import Parameters
from iaclab.course.record import Run
from iaclab.errors import LabError
from iaclab.lessons import Lesson

ROOT = paths.repo_root()
assert ROOT is not None
FAILS = "%%bash -e\necho 'the shell got this far'\necho 'no such pod: churn' >&2\nexit 3"
TEAM = 'team = "vision"  # a namespace\nscale = 1'


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TinyCourse:
    return TinyCourse(tmp_path, monkeypatch)


def run(course: TinyCourse, *arguments: str) -> int:
    return main([*arguments, f"--out={course.out}"])


def test_a_lesson_that_fails_is_named_with_its_cell_and_stops_no_other(
    course: TinyCourse, capfd: pytest.CaptureFixture[str]
) -> None:
    good = course.add("lectures/01-good", "print('one')")
    bad = course.add("lectures/02-bad", "print('fine')", FAILS, "print('never')")
    last = course.add("lectures/03-last", "print('three')")
    lab = course.add("labs/lab1-mine", "raise NotImplementedError")
    assert run(course) == 1
    told = capfd.readouterr().out
    assert "02-bad, cell 2" in told and "2 of 3 lessons ran to their end" in told, told
    assert course.printed(good) == ["one\n"] and course.printed(last) == ["three\n"]
    assert course.printed(bad)[2] == ""
    found = {one["lesson"]: one for one in json.loads((course.out / "summary.json").read_text())["lessons"]}
    assert [found[name.id]["state"] for name in (good, bad, last, lab)] == ["passed", "failed", "passed", "yours"]
    failure = found[bad.id]
    assert failure["number"] == 2 and failure["cell"] == FAILS
    assert "no such pod: churn" in failure["error"] and "exit status 3" in failure["error"]
    page = (course.out / "index.html").read_text()
    assert "no such pod: churn" in page and all(f'href="{one}.html"' in page for one in found)
    assert "Cell 2 failed" in (course.out / f"{bad.id}.html").read_text()
    between = (course.out / f"{bad.id}.html").read_text()
    assert f'Before: <a href="{good.id}.html">' in between and f'Next: <a href="{lab.id}.html">' in between
    assert "Cell" not in (course.out / f"{good.id}.html").read_text().split("<main")[0].split("</nav>")[1]


def test_what_has_not_changed_is_not_run_again(course: TinyCourse, capfd: pytest.CaptureFixture[str]) -> None:
    count = "import pathlib; p = pathlib.Path('{}'); p.write_text(p.read_text() + 'x' if p.exists() else 'x')"
    marks = {name: course.clone / name for name in ("same", "changed", "team", "fails")}
    course.add("lectures/01-same", count.format(marks["same"]))
    course.add("lectures/02-changed", count.format(marks["changed"]))
    course.add("lectures/03-team", TEAM, count.format(marks["team"]), tags={0: "parameters"})
    course.add("lectures/04-fails", count.format(marks["fails"]), "1 / 0")
    assert run(course) == 1
    course.add("lectures/02-changed", count.format(marks["changed"]), "print('more')")
    assert run(course, "--team=fraud") == 1
    assert {name: path.read_text() for name, path in marks.items()} == {
        "same": "x",
        "changed": "xx",
        "team": "xx",  # its parameters are others
        "fails": "xx",  # it may have been the machine's fault
    }
    assert "not changed since" in capfd.readouterr().out
    run(course, "01", "--again")
    assert marks["same"].read_text() == "xx"


def test_parameters_reach_the_lesson_that_takes_them_and_no_other(course: TinyCourse) -> None:
    takes = course.add("lectures/01-takes", TEAM, "print(team, scale)", tags={0: "parameters"})
    other = course.add("lectures/02-other", "print('team' in globals())")
    assert run(course, "--team=fraud", "--scale=12", "--gpu=t4") == 0
    assert course.printed(takes)[-1] == "fraud 12\n", "the values go into a cell after the tagged one"
    assert course.printed(other) == ["False\n"]
    kept = record.read(course.out / "executed", takes.id)
    assert kept and kept.parameters == {"team": "fraud", "scale": 12}, "it has no place for a GPU type"


@pytest.mark.parametrize(("arguments", "word"), [
    ({"team": "Fraud"}, "is not a team's name"),
    ({"team": "-rf"}, "is not a team's name"),
    ({"team": "x'; exit #"}, "is not a team's name"),
    ({"team": "a" * 31}, "is not a team's name"),
    ({"team": "null"}, "YAML"),
    ({"gpu": "h100"}, "h100-80gb"),
    ({"scale": 0}, "from 1 to 64"),
    ({"scale": 65}, "from 1 to 64"),
])  # fmt: skip
def test_values_that_no_lesson_could_work_with_are_refused(arguments: dict[str, object], word: str) -> None:
    with pytest.raises(LabError) as error:
        Parameters(**arguments)  # type: ignore[arg-type]
    assert word in str(error.value)


@pytest.mark.parametrize(("values", "what", "mend"), [
    ({"team": "nlp", "taken": {"nlp"}}, "cannot be called 'nlp'", "TEAM=vision"),
    ({"gpus": 20, "most": 16}, "has room for 16 GPUs", "SCALE=16"),
    ({"gpu": "h100-80gb", "gpus": 12, "dollars": 60}, "12 × h100-80gb cost 82.56 dollars an hour", "GPU=l40s"),
    ({"gpu": "h100"}, "There is no accelerator 'h100'", "h100-80gb"),
])  # fmt: skip
def test_values_that_a_lesson_cannot_bear_are_refused_with_one_that_it_can(
    values: dict[str, Any], what: str, mend: str
) -> None:
    with pytest.raises(LabError) as error:
        parameters.bounds(**values)
    assert what in error.value.what and mend in error.value.mend


def test_a_lessons_own_refusal_is_what_the_report_says(course: TinyCourse, capfd: pytest.CaptureFixture[str]) -> None:
    refuses = "from iaclab.course import parameters\nparameters.bounds(team=team, gpus=scale, most=4)"
    lesson = course.add("lectures/01-takes", TEAM, refuses, tags={0: "parameters"})
    assert run(course, "--scale=12") == 1
    said = "LabError: This lesson has room for 4 GPUs, and these values ask for 12."
    assert f"{lesson.id}, cell 3: {said}" in capfd.readouterr().out
    assert html.escape(said) in (course.out / f"{lesson.id}.html").read_text()
    assert run(course, "--scale=4") == 0


LESSONS = [lesson for lesson in lessons.lessons() if list(parameters.names(ROOT / lesson.notebook))]


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id)
def test_a_lesson_that_takes_values_has_one_cell_for_them_above_all_that_uses_them(lesson: Lesson) -> None:
    cells = [cell for cell in nbformat.read(ROOT / lesson.notebook, as_version=4).cells if cell.cell_type == "code"]
    (at,) = [index for index, cell in enumerate(cells) if "parameters" in cell.metadata.get("tags", [])]
    names = list(parameters.names(ROOT / lesson.notebook))
    assert set(names) <= {"team", "gpu", "scale"}
    own: dict[str, Any] = {}
    exec(cells[at].source, own)
    Parameters(**{name: own[name] for name in names})
    for name in names:
        uses = [i for i, cell in enumerate(cells) if re.search(rf"(?<![\w.$\"]){name}\b(?! *=)", cell.source)]
        assert [index for index in uses if index > at], f"nothing takes {name}"


def test_the_lectures_with_a_place_for_values() -> None:
    ids = {lesson.id for lesson in LESSONS}
    assert {"00-start-here", "01-advanced-terraform", "02-pulumi-infrastructure", "04-argocd-deployment"} <= ids


def test_a_lesson_that_is_not_there_is_one_line(course: TinyCourse, capsys: pytest.CaptureFixture[str]) -> None:
    course.add("lectures/01-good", "1")
    assert run(course, "09") == 1
    said = capsys.readouterr().err
    assert "There is no lesson '09'" in said and "Traceback" not in said


def test_a_report_before_the_first_run_says_what_to_do(course: TinyCourse, capsys: pytest.CaptureFixture[str]) -> None:
    course.add("lectures/01-good", "1")
    assert run(course, "--report") == 1
    assert "make course" in capsys.readouterr().err


def test_a_cell_that_takes_too_long_is_the_failure(course: TinyCourse) -> None:
    slow = course.add("lectures/01-slow", "print('fine')", "import time; time.sleep(600)", "print('never')")
    started = time.monotonic()
    found = execute(slow, course.out / "executed", Parameters(), seconds=2)
    assert time.monotonic() - started < 300
    assert (found.state, found.number) == ("failed", 2) and "sleep(600)" in found.cell
    assert "Timeout" in found.error, found.error


def test_a_kernel_that_dies_is_the_failure(course: TinyCourse) -> None:
    dead = course.add("lectures/01-dead", "print('fine')", "import os; os._exit(1)")
    found = execute(dead, course.out / "executed", Parameters())
    assert (found.state, found.number) == ("failed", 2) and "os._exit" in found.cell, found


def test_a_run_has_a_world_of_its_own_and_leaves_the_users_alone(course: TinyCourse, tmp_path: Path) -> None:
    names = ("IACLAB_STATE", "IACLAB_WORKSPACE", "IACLAB_PROFILE", "IACLAB_STRICT_CHECKS")
    lesson = course.add("lectures/01-world", f"import os; print(*(os.environ.get(n) for n in {names}), sep='\\n')")
    source = (course.clone / lesson.notebook).read_bytes()
    before = dict(os.environ)
    assert run(course) == 0
    state, workspace, profile, strict = course.printed(lesson)[0].split()
    assert Path(state).is_relative_to(course.out) and Path(workspace).is_relative_to(course.out)
    assert (profile, strict) == ("01-world", "1")
    assert dict(os.environ) == before
    assert (course.clone / lesson.notebook).read_bytes() == source
    assert not (tmp_path / "state").exists() and not (tmp_path / "workspace").exists()
    assert not (Path(state) / "profiles" / "01-world").exists(), "its data goes when it went well"


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=lambda how: how.name)
def test_an_interrupted_run_goes_on_where_it_was(course: TinyCourse, how: signal.Signals) -> None:
    """By Ctrl-C, and by what a pipeline sends; both also where it was started in the background, deaf to Ctrl-C."""
    mark = course.clone / "waits"
    first = course.add("lectures/01-first", "print('one')")
    second = course.add("lectures/02-waits", f"open({str(mark)!r}, 'w').close(); import time; time.sleep(600)")
    code = (
        "import sys; from pathlib import Path; from iaclab import paths; clone = Path(sys.argv[1])\n"
        "paths.repo_root = lambda: clone\nfrom iaclab.course.__main__ import main; sys.exit(main(sys.argv[2:]))"
    )
    command = [sys.executable, "-c", code, str(course.clone), f"--out={course.out}"]
    deaf = lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)  # noqa: E731
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=deaf)
    deadline = time.monotonic() + 240
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(how)
    _, said = process.communicate(timeout=240)
    assert process.returncode == 130 and "run it again to go on" in said and "Traceback" not in said, said
    kept = course.out / "executed"
    assert record.read(kept, first.id) and record.read(kept, second.id) is None
    written = course.executed(first).stat().st_mtime_ns
    course.add("lectures/02-waits", "print('two')")
    assert run(course) == 0
    assert course.executed(first).stat().st_mtime_ns == written


def of(lesson: str, **more: object) -> Run:
    values = {"title": lesson, "minutes": 60, "promised": 100, "state": "passed", "cells": 3, "source": "s"}
    return Run(lesson=lesson, **{**values, **more})  # type: ignore[arg-type]


def test_a_lesson_is_slow_where_it_takes_much_longer_than_it_promises() -> None:
    runs = [of("quick", seconds=90), of("late", seconds=151), of("says-nothing", seconds=999, promised=0)]
    assert [run.lesson for run in runs if summary.is_slow(run)] == ["late"]
    assert "Over 1.5 times as long as promised: late." in summary.in_words(runs)
    assert not summary.is_slow(of("on a busy machine", seconds=299, busy=2))
    assert "up to 3 for each core" in summary.in_words([of("x", busy=3)]) and "other work" not in summary.in_words(runs)
    assert "3 of 3 lessons" in summary.in_words(runs) and "1240 s" in summary.in_words(runs)


def test_a_damaged_record_is_no_record(tmp_path: Path) -> None:
    of("one").write(tmp_path)
    assert record.read(tmp_path, "one") == of("one")
    file = tmp_path / "one.json"
    file.write_text(file.read_text()[:40])
    assert record.read(tmp_path, "one") is None
