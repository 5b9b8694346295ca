"""What is handed in, read as what it is: hostile. Only what a notebook needs is taken over into a new one."""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat

from iaclab.errors import LabError
from iaclab.grading.limits import Limits

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CELL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")  # of a grade_id, a tag, a picture
_PICTURES = ("image/png", "image/jpeg", "image/gif")
_MOST_TAGS, _MOST_DEPTH = 20, 12
Object = dict[str, Any]


class BadSubmission(LabError):
    """A submission that is set aside: what is wrong with it, in one line."""


class NotRegular(BadSubmission):
    """It is a link, a folder, a device."""


class TooLarge(BadSubmission):
    """It is larger than a submission may be."""


class NotJson(BadSubmission):
    """It is not JSON, or not UTF-8."""


class TooDeep(BadSubmission):
    """Its JSON is nested deeper than can be read."""


class NotNotebook(BadSubmission):
    """It is JSON, but no notebook of format 4."""


class TooManyCells(BadSubmission):
    """It has more cells than a notebook may have."""


class BadAttachments(BadSubmission):
    """Its attachments are too large, or no pictures."""


def read(path: Path, limits: Limits) -> Any:
    """The notebook at `path`, made anew from its cells' kind, source, tags, nbgrader's marks and pictures.

    Raises:
        BadSubmission: one class for each reason.
    """
    return notebook(document(read_file(path, limits.notebook_size)), limits)


def read_file(path: Path, largest: int) -> bytes:
    """The content of a regular file; a link is not followed, a pipe not waited for.

    Raises:
        NotRegular, TooLarge: it is not one, or has more than `largest` bytes.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except OSError as error:
        raise NotRegular(f"{path.name} cannot be read as a file: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise NotRegular(f"{path.name} is not a regular file.")
    with os.fdopen(descriptor, "rb") as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise TooLarge(f"{path.name} is larger than {largest >> 20} MB.")
    return content


def document(content: bytes) -> Object:
    """JSON of a notebook of format 4.

    Raises:
        NotJson, TooDeep, NotNotebook: it is not.
    """
    try:
        loaded = json.loads(content.decode())
    except RecursionError as error:
        raise TooDeep("The notebook is nested too deeply.") from error
    except (ValueError, MemoryError) as error:
        raise NotJson("The notebook is not JSON.", why=str(error)[:200]) from error
    if not isinstance(loaded, dict) or not isinstance(loaded.get("cells"), list) or loaded.get("nbformat") != 4:
        raise NotNotebook("It is no notebook of format 4.", mend="open and save it in JupyterLab")
    return loaded


def notebook(loaded: Object, limits: Limits) -> Any:
    """A new notebook from the cells of a document.

    Raises:
        TooManyCells, NotNotebook, BadAttachments: of the cells.
    """
    cells = loaded["cells"]
    if len(cells) > limits.cells:
        raise TooManyCells(f"The notebook has more than {limits.cells} cells.")
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    )
    ids: set[str] = set()
    graded: set[str] = set()
    left = limits.attachments
    for cell in cells:
        new = _cell(cell)
        pictures = dict(_pictures(cell)) if new.cell_type == "markdown" else {}
        left -= sum(len(data) for picture in pictures.values() for data in picture.values())
        if left < 0:
            raise BadAttachments(f"The notebook's attachments are larger than {limits.attachments >> 20} MB.")
        if pictures:
            new.attachments = pictures
        _keep_once(new, cell, ids, graded)
        made.cells.append(new)
    return made


def _cell(cell: Any) -> Any:
    kind = cell.get("cell_type") if isinstance(cell, dict) else None
    if kind not in ("code", "markdown", "raw"):
        raise NotNotebook("A cell is neither code, Markdown nor raw.")
    source = cell.get("source", "")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotNotebook("A cell's source is no text.")
    source = source.encode("utf-8", "replace").decode()  # half a surrogate pair cannot be sent to a kernel
    new: Any = getattr(nbformat.v4, f"new_{kind}_cell")(source)
    metadata = cell.get("metadata")
    if isinstance(metadata, dict):
        tags = metadata.get("tags")
        if isinstance(tags, list):
            kept = [tag for tag in tags[:_MOST_TAGS] if isinstance(tag, str) and _NAME.fullmatch(tag)]
            new.metadata.update({"tags": kept} if kept else {})
        marks = _marks(metadata.get("nbgrader"))
        new.metadata.update({"nbgrader": marks} if marks else {})
    return new


def _marks(found: Any) -> Object:
    """nbgrader's own metadata of a cell, if it is that. Nothing here is believed: points are the gradebook's."""
    if not isinstance(found, dict):
        return {}
    grade_id, points = found.get("grade_id"), found.get("points")
    if not isinstance(grade_id, str) or not _NAME.fullmatch(grade_id):
        return {}
    marks: Object = {"grade_id": grade_id, "schema_version": 3}
    marks |= {key: found.get(key) is True for key in ("grade", "locked", "solution", "task")}
    if found.get("cell_type") in ("code", "markdown", "raw"):
        marks["cell_type"] = found["cell_type"]
    if isinstance(points, int | float) and not isinstance(points, bool) and 0 <= points <= 10_000:
        marks["points"] = points
    return marks


def _keep_once(new: Any, cell: Object, ids: set[str], graded: set[str]) -> None:
    """A cell keeps its id and its grade_id only where no earlier cell has the same."""
    own = cell.get("id")
    if isinstance(own, str) and _CELL_ID.fullmatch(own) and own not in ids:
        new.id = own
    ids.add(new.id)
    grade_id = new.metadata.get("nbgrader", {}).get("grade_id")
    if grade_id in graded:
        del new.metadata["nbgrader"]
    elif grade_id:
        graded.add(grade_id)


def _pictures(cell: Object) -> Iterator[tuple[str, dict[str, str]]]:
    found = cell.get("attachments", {})
    if not isinstance(found, dict):
        raise BadAttachments("A cell's attachments are no table.")
    for name, kinds in found.items():
        for kind, data in kinds.items() if isinstance(kinds, dict) else ():
            if kind not in _PICTURES or not isinstance(data, str) or not _NAME.fullmatch(name):
                raise BadAttachments("An attachment is no picture (PNG, JPEG or GIF) with a plain name.")
            try:
                base64.b64decode(data[:4096].strip(), validate=True)
            except binascii.Error as error:
                raise BadAttachments("An attachment is not base64.") from error
            yield name, {kind: data}


def files_beside(folder: Path, limits: Limits, notes: list[str]) -> Iterator[tuple[str, bytes]]:
    """The regular files of a folder, by their path in it; links, devices and what is too deep are left out.

    Args:
        notes: is told what is left out.

    Raises:
        TooLarge: they are too many or too large together.
    """
    count = size = 0
    todo = [(folder, 0)]
    while todo:
        here, depth = todo.pop()
        with os.scandir(here) as found:
            entries = sorted(found, key=lambda entry: entry.name)
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if depth < _MOST_DEPTH:
                    todo.append((path, depth + 1))
                else:
                    notes.append(f"left out: folders deeper than {_MOST_DEPTH}")
                continue
            count += 1
            if count > limits.files:
                raise TooLarge(f"More than {limits.files} files were handed in.")
            if entry.is_file(follow_symlinks=False):
                content = read_file(path, limits.notebook_size)
                size += len(content)
                if size > limits.disk:
                    raise TooLarge(f"More than {limits.disk >> 20} MB were handed in.")
                yield str(path.relative_to(folder)), content
            else:
                notes.append(f"left out: {path.relative_to(folder)} is not a regular file"[:200])
