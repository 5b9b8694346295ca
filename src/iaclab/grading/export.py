"""Grades as files for learning management systems: `nbgrader export --exporter=iaclab.grading.export.Moodle`.

Moodle's importer (Grades → Import → CSV file) takes any columns and asks what each one is; it finds a user by username,
id number or address. Canvas' importer (Grades → Import) wants its own columns, `SIS Login ID` among them, and a line
with the points possible. nbgrader's own `nbgrader export` writes a plain CSV.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nbgrader.api import MissingEntry  # type: ignore[import-untyped]
from nbgrader.plugins import ExportPlugin  # type: ignore[import-untyped]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would run


class _Table(ExportPlugin):  # type: ignore[misc]
    """One line for each student, one column for each assignment; a score that is not final yet stays empty."""

    default_name = ""

    def export(self, gradebook: Any) -> None:
        """Write the file `--to`, or the default one, into the current folder."""
        target = Path(self.to or self.default_name)
        assignments = [a for a in gradebook.assignments if not self.assignment or a.name in self.assignment]
        students = [s for s in gradebook.students if not self.student or s.id in map(str, self.student)]
        with target.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            for line in self.lines(gradebook, students, assignments):
                writer.writerow([_plain(value) for value in line])
        self.log.info("%s: %s students, %s assignments", target, len(students), len(assignments))

    def lines(self, gradebook: Any, students: list[Any], assignments: list[Any]) -> Iterator[list[Any]]:
        """The lines of the file, the headings first."""
        raise NotImplementedError

    def score(self, gradebook: Any, student: str, assignment: str) -> float | str:
        """The score less what being late costs; 0 where nothing was handed in, empty where a part is not graded yet."""
        try:
            found = gradebook.find_submission(assignment, student)
        except MissingEntry:
            return 0
        if found.needs_manual_grade:
            self.log.warning("%s: %s has parts that are to be graded by hand; left empty", student, assignment)
            return ""
        return max(0.0, float(found.score) - float(found.late_submission_penalty or 0))


class Moodle(_Table):
    """A CSV for Moodle: username, names, address, and a column for each assignment."""

    default_name = "grades-moodle.csv"

    def lines(self, gradebook: Any, students: list[Any], assignments: list[Any]) -> Iterator[list[Any]]:
        """Username, First name, Last name, Email address, then the assignments."""
        names = ["Username", "First name", "Last name", "Email address"]
        yield [*names, *(f"Assignment: {a.name}" for a in assignments)]
        for student in students:
            scores = [self.score(gradebook, student.id, a.name) for a in assignments]
            yield [student.id, student.first_name or "", student.last_name or "", student.email or "", *scores]


class Canvas(_Table):
    """A CSV for Canvas, which knows a student by `SIS Login ID`; the second line holds the points possible."""

    default_name = "grades-canvas.csv"

    def lines(self, gradebook: Any, students: list[Any], assignments: list[Any]) -> Iterator[list[Any]]:
        """Student, ID, SIS User ID, SIS Login ID, Section, then the assignments."""
        yield ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *(a.name for a in assignments)]
        yield ["    Points Possible", "", "", "", "", *(a.max_score for a in assignments)]
        for student in students:
            name = ", ".join(filter(None, (student.last_name, student.first_name))) or student.id
            yield [name, "", "", student.id, "", *(self.score(gradebook, student.id, a.name) for a in assignments)]


def _plain(value: Any) -> Any:
    """A name that a spreadsheet would take for a formula is a text."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
