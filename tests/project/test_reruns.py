"""`make test` runs a failed test once more: the summary counts it and says why it failed at first."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iaclab import paths

ROOT = paths.repo_root()
assert ROOT is not None


def make_test_in(folder: Path) -> subprocess.CompletedProcess[str]:
    """The command of `make test`, with this project's conftest.py, on the tests of a folder."""
    [line] = [line for line in (ROOT / "Makefile").read_text().splitlines() if "/pytest -n auto" in line]
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    command = [sys.executable, "-m", "pytest", *shlex.split(line)[1:], "-c", os.devnull, f"--rootdir={folder}"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run([*command, str(folder)], env=env, cwd=folder, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("fails", "code", "summary"), [(1, 0, "1 passed, 1 rerun"), (2, 1, "1 failed, 1 rerun")])
def test_a_failure_is_run_once_more_and_told(tmp_path: Path, fails: int, code: int, summary: str) -> None:
    (tmp_path / "test_busy.py").write_text(f"""from pathlib import Path

def test_it():
    runs = Path({str(tmp_path / "runs")!r})
    runs.write_text((runs.read_text() if runs.exists() else "") + ".")
    assert len(runs.read_text()) > {fails}, "too busy"
""")
    done = make_test_in(tmp_path)
    assert (done.returncode, summary in done.stdout) == (code, True), done.stdout + done.stderr
    assert "failed at first: test_busy.py::test_it" in done.stdout and "too busy" in done.stdout, done.stdout
    assert len((tmp_path / "runs").read_text()) == 2
