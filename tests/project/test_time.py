"""What CI's limit of time leaves out is told, and what is not marked is never left out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from iaclab import paths

ROOT = paths.repo_root()
assert ROOT is not None

TESTS = """import pytest

@pytest.mark.if_time(minutes=15)
def test_once_more():
    pass

def test_once():
    pass
"""


@pytest.mark.parametrize(("left", "summary"), [(None, "2 passed"), (10, "1 passed, 1 skipped")])
def test_a_repetition_is_begun_only_if_there_is_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: float | None, summary: str
) -> None:
    monkeypatch.delenv("IACLAB_TESTS_UNTIL", raising=False)
    if left is not None:
        monkeypatch.setenv("IACLAB_TESTS_UNTIL", f"{time.time() + 60 * left:.0f}")
    (tmp_path / "test_twice.py").write_text(TESTS)
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-n", "0", "-ra", "-c", os.devnull, f"--rootdir={tmp_path}", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert (done.returncode, summary in done.stdout) == (0, True), done.stdout + done.stderr
    assert ("too slow for it" in done.stdout) == ("skipped" in summary), done.stdout
