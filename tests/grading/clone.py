"""A clone of the course with one small lab in it that needs no service, for tests that grade a class.

It shows on the way that a lab is one text file and its checks: nothing else of the course is changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from iaclab import paths

LAB = "lab0-files"
HERE = Path(__file__).with_name("lab0")
PLACES = {
    "lab0-files.md": f"content/labs/{LAB}.md",
    "checks.py": "src/iaclab/checks/lab0.py",
    "hidden.py": f"grading/hidden/{LAB}.py",
}
OF_A_RUN = (".*", "source", "release", "submitted", "autograded", "feedback", "aside", "reports", "hidden", "*.db*")


def make(root: Path) -> Path:
    """Make the clone in a folder that does not exist yet, and return it."""
    tested = paths.repo_root()
    assert tested
    shutil.copytree(tested / "src" / "iaclab", root / "src" / "iaclab", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(tested / "grading", root / "grading", ignore=shutil.ignore_patterns(*OF_A_RUN))
    for source, target in PLACES.items():
        (root / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / source, root / target)
    return root
