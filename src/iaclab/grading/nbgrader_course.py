"""The course folder: where nbgrader's settings, submissions and grades lie."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iaclab import paths
from iaclab.errors import LabError

_SETTINGS = "nbgrader_config.py"


@dataclass(frozen=True)
class Course:
    """A course folder; `app` is nbgrader with its settings loaded."""

    root: Path
    app: Any

    @property
    def db_url(self) -> str:
        """The gradebook's address."""
        return str(self.app.coursedir.db_url)

    def folder(self, step: str, student: str, lab: str) -> Path:
        """A folder of nbgrader's: `step` is source, release, submitted, autograded or feedback."""
        name = getattr(self.app.coursedir, f"{step}_directory")
        return Path(self.app.coursedir.format_path(name, student, lab))

    def gradebook(self) -> Any:
        """The gradebook, open.

        Raises:
            LabError: it cannot be opened.
        """
        from iaclab.grading.gradebook import open_gradebook

        return open_gradebook(self.db_url, self.app.coursedir.course_id)

    def submitted(self, lab: str) -> dict[str, Path]:
        """The collected submissions of a lab, by student."""
        found = self.root.glob(str(self.folder("submitted", "*", lab).relative_to(self.root)))
        return {path.parent.name: path for path in sorted(found) if path.is_dir()}


def course(start: Path | None = None) -> Course:
    """The course folder: this one or one above it that has an `nbgrader_config.py`, else `grading/` of the clone.

    Raises:
        LabError: there is none, its settings are faulty, or nbgrader is not installed.
    """
    here = (start or Path.cwd()).absolute()
    clone = paths.repo_root()
    folders = [here, *here.parents, *([clone / "grading"] if clone else [])]
    root = next((folder for folder in folders if (folder / _SETTINGS).is_file()), None)
    if root is None:
        raise LabError("There is no course folder here.", why=f"It has a file {_SETTINGS}.", mend="cd grading")
    try:
        from nbgrader.apps.baseapp import NbGrader  # type: ignore[import-untyped]
    except ImportError as error:
        raise LabError("What grading needs is not installed.", why=str(error), mend="make grading") from error
    app = NbGrader(log_level=logging.WARNING, load_cwd_config=False)
    try:
        app.initialize([], root=str(root))
    except (Exception, SystemExit) as error:
        raise LabError(f"{root / _SETTINGS} cannot be used.", why=f"{type(error).__name__}: {error}") from error
    return Course(root, app)
