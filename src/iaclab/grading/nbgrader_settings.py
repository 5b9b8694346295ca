"""nbgrader's settings for this course: what an `nbgrader_config.py` calls, for instructors and for learners.

    c = get_config()
    from iaclab.grading.nbgrader_settings import configure
    configure(c)

Steps are named by their import path, so that a learner's `nbgrader submit` does not load what only instructors use.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

COURSE = "iaclab"
EXCHANGE = Path("/usr/local/share/nbgrader/exchange")  # nbgrader's own default
_OURS = "iaclab.grading"
_STOCK = "nbgrader.preprocessors"

RELEASE = [
    f"{_STOCK}.IncludeHeaderFooter",
    f"{_STOCK}.InstantiateTests",
    f"{_STOCK}.LockCells",
    f"{_OURS}.release.CutSolutions",
    f"{_STOCK}.ClearOutput",
    f"{_STOCK}.CheckCellMetadata",
    f"{_STOCK}.ComputeChecksums",
    f"{_STOCK}.SaveCells",
    f"{_STOCK}.ClearHiddenTests",
    f"{_STOCK}.ClearMarkScheme",
    f"{_STOCK}.ComputeChecksums",
    f"{_STOCK}.CheckCellMetadata",
    f"{_OURS}.release.NameCells",
]
SANITIZE = [
    f"{_OURS}.nbgrader_cells.RestoreCells",
    f"{_STOCK}.OverwriteKernelspec",
    f"{_STOCK}.CheckCellMetadata",
]
AUTOGRADE = [
    f"{_OURS}.nbgrader_execute.TrustedExecute",
    f"{_STOCK}.LimitOutput",
    f"{_STOCK}.SaveAutoGrades",
    f"{_STOCK}.AssignLatePenalties",
    f"{_STOCK}.CheckCellMetadata",
]
FEEDBACK = [
    f"{_STOCK}.GetGrades",
    f"{_OURS}.nbgrader_execute.DropRubrics",
    f"{_STOCK}.ClearHiddenTests",
    f"{_STOCK}.ClearMarkScheme",
    "nbconvert.preprocessors.CSSHTMLHeaderPreprocessor",
]


def configure(c: Any) -> None:
    """Set what the course needs; an `nbgrader_config.py` may set more, or something else, after it.

    Args:
        c: traitlets' configuration, as `get_config()` returns it.
    """
    programs_on_path()
    c.CourseDirectory.course_id = COURSE
    c.CourseDirectory.ignore = [".ipynb_checkpoints", "*.pyc", "__pycache__", "feedback", ".terraform"]
    c.CourseDirectory.max_file_size = c.CourseDirectory.max_dir_size = 100_000  # kilobytes
    for step in ("collect", "list", "release_feedback"):
        name = "".join(part.title() for part in step.split("_"))
        setattr(c.ExchangeFactory, step, f"{_OURS}.nbgrader_exchange.Trusted{name}")
    c.GenerateAssignment.preprocessors = RELEASE
    c.Autograde.sanitize_preprocessors = SANITIZE
    c.Autograde.autograde_preprocessors = AUTOGRADE
    c.Autograde.pre_convert_hook = f"{_OURS}.nbgrader_execute.admit"
    c.GenerateFeedback.preprocessors = FEEDBACK
    c.HTMLExporter.sanitize_html = True  # no script of a learner's runs in feedback, nor in formgrader
    c.HTMLExporter.filters = {"markdown2html": f"{_OURS}.nbgrader_markdown.to_html"}
    c.HTMLExporter.exclude_raw = True


def exchange_to_try(c: Any, course: Path) -> None:
    """Where nobody has set up an exchange, take a folder of the course: every step works for one person alone.

    Settings of this machine or user, an `nbgrader_config` in one of Jupyter's folders, have an exchange of their own.

    Args:
        c: traitlets' configuration.
        course: the course folder.
    """
    from jupyter_core.paths import jupyter_config_path

    names = ("nbgrader_config.py", "nbgrader_config.json")
    if EXCHANGE.is_dir() or any(Path(folder, name).exists() for folder in jupyter_config_path() for name in names):
        return
    folder = course / "exchange" / "alone"
    folder.parent.mkdir(mode=0o700, exist_ok=True)  # nobody else gets at what is below
    folder.mkdir(exist_ok=True)
    folder.chmod(0o777)  # nbgrader wants it so
    c.Exchange.root = str(folder)


def programs_on_path() -> None:
    """nbgrader calls `alembic` when it makes a gradebook: it lies beside this Python, which may not be on PATH."""
    if not shutil.which("alembic"):
        os.environ["PATH"] = os.pathsep.join(filter(None, (os.environ.get("PATH"), str(Path(sys.executable).parent))))
