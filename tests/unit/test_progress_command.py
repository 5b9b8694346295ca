"""`iaclab progress` and `iaclab resume` as a learner types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from iaclab import paths
from iaclab.checks import progress


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "iaclab.cli", *arguments]
    environment = {**os.environ, "COLUMNS": "80", "BROWSER": "true", **env}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)


def test_the_table_fits_80_columns_and_names_the_next_check() -> None:
    progress.record("start.two-gpus", passed=True, points=1)
    done = run("progress")
    assert done.returncode == 0, done.stderr
    table, _, after = done.stdout.partition("next ")
    assert max(map(len, table.splitlines())) <= 80, table
    assert table.split()[:6] == ["weeks", "lesson", "after", "time", "state", "points"], "no heading is cut"
    start = next(line for line in table.splitlines() if "Start here" in line)
    assert start.split()[-5:] == ["10", "min", "●", "done", "1/1"]
    assert "weeks" in table and "3–4" in table
    lecture = next(line for line in table.splitlines() if "Lecture 4" in line)
    assert " 03 " in lecture, "what comes before it, as `iaclab resume 03` takes it"
    assert "Lecture 1: Advanced Terraform" in after and "lectures/01-advanced-terraform.ipynb" in after
    assert "`make lab` starts it" in after, "no JupyterLab of this test runs"


def test_progress_for_programs() -> None:
    progress.record("start.two-gpus", passed=True, points=1)
    first = json.loads(run("progress", "--json").stdout)[0]
    assert (first["lesson"], first["state"], first["passed"]) == ("00-start-here", "done", ["start.two-gpus"])


def test_resume_names_the_place_and_answers_a_wrong_name() -> None:
    done = run("resume", "04")
    assert "When a component is down" in done.stdout and "lectures/04-argocd-deployment.ipynb" in done.stdout
    done = run("resume", "nothing")
    assert done.returncode == 1 and "Mend: iaclab resume" in done.stderr and "Traceback" not in done.stderr


def test_progress_moves_to_another_machine(tmp_path: Path) -> None:
    progress.record("start.two-gpus", passed=True, points=1)
    file = tmp_path / "mine.json"
    assert run("progress", "--export", str(file)).returncode == 0
    other = {"IACLAB_STATE": str(tmp_path / "other")}
    for new in ("1 pass new", "0 passes new"):
        assert new in run("progress", "--import", str(file), **other).stdout
    assert json.loads(run("progress", "--json", **other).stdout)[0]["state"] == "done"
    file.write_text("no progress")
    done = run("progress", "--import", str(file), **other)
    assert done.returncode == 1 and "is no progress file" in done.stderr


def test_a_damaged_file_is_set_aside_and_made_anew_from_what_is_whole_and_what_can_be_asked(tmp_path: Path) -> None:
    progress.record("start.two-gpus", passed=True, points=1)
    progress.record("argocd.components", passed=True, points=1)
    file = progress.progress_file()
    whole = file.read_text()
    cut = whole[whole.index('"start.two-gpus"') :]  # the other entry's beginning is lost
    file.write_text(cut)
    folder = Path(os.environ["IACLAB_WORKSPACE"]) / "04-argocd-deployment"
    folder.mkdir(parents=True)
    (folder / "components.txt").write_text("controller\nrepo-server")
    done = run("progress", "--json")
    assert done.returncode == 0, done.stderr
    aside = paths.state_dir() / "progress.json.damaged-1"
    assert f"set aside as {aside}" in done.stderr and aside.read_text() == cut
    assert "1 passed" in done.stderr and "could not be asked" in done.stderr
    states = {step["lesson"]: step["passed"] for step in json.loads(done.stdout)}
    assert states["00-start-here"] == ["start.two-gpus"], "it was whole"
    assert states["04-argocd-deployment"] == ["argocd.components"], "its check passes on the learner's file"


def test_resume_says_that_a_file_was_set_aside_and_how_it_is_made_up_for() -> None:
    paths.state_dir().mkdir(exist_ok=True)
    progress.progress_file().mkdir()
    done = run("resume", "04")
    assert done.returncode == 0, done.stderr
    assert "a folder lies in its place" in done.stdout and "Mend: iaclab progress" in done.stdout
    assert "lectures/04-argocd-deployment.ipynb" in done.stdout
    assert "no lesson with open checks has files here" in run("progress").stdout
