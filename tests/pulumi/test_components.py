"""The components' unit tests, in an interpreter of their own: Pulumi keeps one event loop for a whole process."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path


def test_the_components_decide_as_they_should() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-v", "components"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert re.search(r"Ran [3-9] tests", done.stderr), done.stderr
