"""nbgrader's exchange for those who collect: identity and time from the file system; one bad submission stops no other.

`nbgrader collect`, `nbgrader list --inbound`, `nbgrader release_feedback` and formgrader's buttons use these classes
through `c.ExchangeFactory` (see `nbgrader_settings.py`).
"""

from __future__ import annotations

import glob
import shutil
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.api import MissingEntry  # type: ignore[import-untyped]
from nbgrader.exchange.default import (  # type: ignore[import-untyped]
    ExchangeCollect,
    ExchangeList,
    ExchangeReleaseFeedback,
)
from traitlets import Any as AnyTrait

from iaclab.grading import nbgrader_inbound as inbound
from iaclab.grading.gradebook import open_gradebook
from iaclab.grading.nbgrader_inbound import Handed, SetAside
from iaclab.grading.nbgrader_report import note_aside, printable


class TrustedCollect(ExchangeCollect):  # type: ignore[misc]
    """Collects what its owner handed in; the rest stays where it is, with a line in the report."""

    owner = AnyTrait(inbound.owner_by_passwd, help="uid → user name, or None for one who is not known").tag(config=True)

    def init_src(self) -> None:
        """Choose one submission for each student: the last one, or the last before the due date."""
        self._find_inbound()
        chosen: dict[str, list[tuple[datetime, Handed]]] = defaultdict(list)
        for path in sorted(Path(self.inbound_path).iterdir()):
            try:
                handed = self._ours(path)
                if handed:
                    inbound.check_owner(handed, self.owner)
                    chosen[handed.student].append((inbound.handed_in_at(handed), handed))
            except SetAside as why:
                self._aside(path, str(why))
            except OSError as error:
                self._aside(path, f"it cannot be read: {error.strerror}")
        self.src_records = [self._choose(entries) for entries in chosen.values()]

    def copy_files(self) -> None:
        """Copy what was chosen into `submitted/`, where it is new."""
        word = "submission" if len(self.src_records) == 1 else "submissions"
        self.log.info("%s %s of %s", len(self.src_records), word, self.coursedir.assignment_id)
        for at, handed in self.src_records:
            folder = self.coursedir.submitted_directory
            target = Path(self.coursedir.format_path(folder, handed.student, self.coursedir.assignment_id))
            before = _time_of(target)
            if target.is_dir() and not ((self.update or self.before_duedate) and (before is None or at > before)):
                self.log.info("%s: nothing newer", handed.student)
                continue
            aside = target.with_name(f".{target.name}.new")
            shutil.rmtree(aside, ignore_errors=True)
            try:
                inbound.take(handed, aside, at)
            except SetAside as why:
                shutil.rmtree(aside, ignore_errors=True)
                self._aside(handed.path, str(why))
                continue
            if target.is_dir():
                shutil.rmtree(target)
            aside.rename(target)
            self.log.info("%s: handed in %s", handed.student, at.strftime("%Y-%m-%d %H:%M:%S UTC"))

    def _find_inbound(self) -> None:
        if self.coursedir.course_id == "":
            self.fail("No course id specified. Re-run with --course flag.")
        self.inbound_path = str(Path(self.root, self.coursedir.course_id, "inbound"))
        if not Path(self.inbound_path).is_dir():
            self.fail(f"Course not found: {self.inbound_path}")

    def _ours(self, path: Path) -> Handed | None:
        """The submission where it is of this assignment, and of the student asked for."""
        student, assignment = inbound.names(path.name)
        wanted = self.coursedir.student_id
        if assignment != self.coursedir.assignment_id or wanted not in ("", "*", student):
            return None
        return inbound.parse(path)

    def _choose(self, entries: list[tuple[datetime, Handed]]) -> tuple[datetime, Handed]:
        entries = sorted(entries, key=lambda entry: entry[0])
        due = self._due()
        in_time = [entry for entry in entries if due and entry[0].replace(tzinfo=None) <= due]
        return in_time[-1] if self.before_duedate and in_time else entries[-1]

    def _due(self) -> datetime | None:
        with open_gradebook(self.coursedir.db_url, self.coursedir.course_id) as gradebook:
            try:
                due: datetime | None = gradebook.find_assignment(self.coursedir.assignment_id).duedate
            except MissingEntry:
                return None
        return due

    def _aside(self, path: Path, why: str) -> None:
        self.log.warning("Set aside: %s: %s", printable(path.name), why)
        note_aside(Path(self.coursedir.root), self.coursedir.assignment_id, path.name, why)


class TrustedList(ExchangeList):  # type: ignore[misc]
    """Lists what is well-formed and of its owner; a strange name in the inbound folder is said and passed over."""

    assignments: list[str]
    owner = AnyTrait(inbound.owner_by_passwd, help="uid → user name, or None for one who is not known").tag(config=True)

    def init_dest(self) -> None:
        """Find what is to be listed."""
        super().init_dest()
        if self.inbound:
            self.assignments = [path for path in self.assignments if self._is_good(Path(path))]

    def _is_good(self, path: Path) -> bool:
        try:
            handed = inbound.parse(path)
            inbound.check_owner(handed, self.owner)
            inbound.handed_in_at(handed)
        except SetAside as why:
            self.log.warning("Passed over: %s: %s", printable(path.name), why)
            return False
        return True


class TrustedReleaseFeedback(ExchangeReleaseFeedback):  # type: ignore[misc]
    """Releases feedback student by student: one whose folder is not whole does not keep the others waiting."""

    src_path: str

    def copy_files(self) -> None:
        """Release what can be released."""
        everyone = self.src_path
        for folder in map(Path, sorted(glob.glob(everyone))):  # noqa: PTH207  it is absolute
            self.src_path = str(folder)
            try:
                super().copy_files()
            except (OSError, ValueError) as error:
                if self._came_another_way(folder.parent.name):
                    self.log.warning("%s: not handed in by the exchange: send %s", folder.parent.name, folder)
                    continue
                student, why = folder.parent.name, f"feedback was not released: {_say(error)}"
                self.log.error("%s: %s", student, why)
                note_aside(Path(self.coursedir.root), self.coursedir.assignment_id, student, why)
        self.src_path = everyone

    def _came_another_way(self, student: str) -> bool:
        """Whether what was graded lacks all that `nbgrader submit` writes: it came by e-mail, say."""
        parts = (self.coursedir.submitted_directory, student, self.coursedir.assignment_id)
        folder = Path(self.coursedir.format_path(*parts))
        return folder.is_dir() and not any((folder / name).exists() for name in (inbound.SECRET, inbound.TIMESTAMP))


def _time_of(folder: Path) -> datetime | None:
    """What the timestamp of a collected submission says, `None` where it says nothing."""
    try:
        text = (folder / inbound.TIMESTAMP).read_text()
        return datetime.strptime(text.strip(), inbound.TIME_FORMAT).replace(tzinfo=UTC)
    except (OSError, ValueError):
        return None


def _say(error: Exception) -> str:
    return f"{Path(error.filename).name} is missing" if isinstance(error, FileNotFoundError) else str(error)
