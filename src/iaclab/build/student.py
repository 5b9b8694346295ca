"""The student version of a lab, made from its instructor version by nbgrader's own `generate_assignment`."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from iaclab.errors import LabError


def version(lab: str, instructor: str) -> str:
    """The notebook that learners get, as JSON text.

    Args:
        lab: the lesson's id.
        instructor: the instructor version, as JSON text.

    Raises:
        LabError: nbgrader is not installed, or refuses the notebook.
    """
    try:
        from nbgrader.converters import GenerateAssignment  # type: ignore[import-untyped]
        from nbgrader.converters.base import NbGraderException  # type: ignore[import-untyped]
        from nbgrader.coursedir import CourseDirectory  # type: ignore[import-untyped]

        from iaclab.grading import nbgrader_settings
    except ImportError as error:
        raise LabError("nbgrader is not installed.", why=str(error), mend="make grading") from error
    with tempfile.TemporaryDirectory(prefix="iaclab-lab-") as root:
        source = Path(root, "source", lab)
        source.mkdir(parents=True)
        (source / f"{lab}.ipynb").write_text(instructor)
        steps = [step for step in nbgrader_settings.RELEASE if not step.endswith(".SaveCells")]  # no gradebook here
        course = CourseDirectory(root=root, assignment_id=lab)
        converter = GenerateAssignment(coursedir=course, no_database=True, preprocessors=steps)
        converter.log = _Last()
        try:
            converter.start()
        except NbGraderException as error:
            raise LabError(f"nbgrader refuses the lab {lab}.", why=converter.log.said or str(error)) from error
        return Path(root, "release", lab, f"{lab}.ipynb").read_text().rstrip("\n") + "\n"


class _Last(logging.Logger):
    """Keeps the last error, and says nothing itself."""

    def __init__(self) -> None:
        super().__init__("iaclab.build.student", logging.ERROR)
        self.said = ""

    def handle(self, record: logging.LogRecord) -> None:
        self.said = record.getMessage().strip().splitlines()[-1]
