"""Which checks were passed, how often one was tried, which lessons were opened: one small file on this machine.

It lies beside the profiles, so it outlives them and every clone. Its form has a version; an older form is read and
becomes today's with the next note, and what a newer one has beside it is kept as it is. What cannot be read at all, in
whichever way, is set aside; nothing is ever deleted.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock

from iaclab import paths
from iaclab.errors import LabError
from iaclab.platform.profile import write_private

VERSION = 2  # 1 was the table of checks alone
Table = dict[str, dict[str, Any]]
_ENTRY = re.compile(r'"([\w.-]+)"\s*:\s*(\{[^{}]*\})')
_news: list[str] = []  # of files that were set aside, until it is told


def progress_file() -> Path:
    """Where progress is kept."""
    return paths.state_dir() / "progress.json"


def load() -> Table:
    """Progress by check; of a damaged file, which is set aside, the entries that are whole."""
    return _checks(_everything())


def opened() -> dict[str, str]:
    """When each lesson that was ever prepared was last opened."""
    return {name: str(entry["opened"]) for name, entry in _everything()["lessons"].items()}


def damaged() -> str:
    """The file that was set aside and has not been made up for by asking the checks again; empty where none was."""
    return str(_everything().get("damaged", ""))


def news(*, asked: bool = False) -> str:
    """What the user should hear of files that this process has set aside; empty where it was told, or none was.

    `asked`: the checks are asked again right now, so nobody has to be told how.
    """
    said = [*_news, *([] if asked or not _news else ["Mend: iaclab progress   # asks the other checks again"])]
    _news.clear()
    return "\n".join(said)


def attempts(name: str) -> int:
    """How often a check was run without passing since it last passed."""
    return int(load().get(name, {}).get("misses", 0))


def record(name: str, *, passed: bool, points: int, miss: bool = True) -> None:
    """Note the result of a check; of the points that it ever brought, the most are kept.

    Args:
        name: the check's.
        passed: whether it passed.
        points: what it brought, which may be a part where it did not pass.
        miss: whether not passing was a try of the learner.
    """
    with _changing() as data:
        entry = _checks(data).setdefault(name, {"misses": 0})
        if passed:
            entry.update(misses=0, passed=_now())
        else:
            entry["misses"] += miss
        if passed or points:
            entry["points"] = max(points, entry.get("points", 0))


def record_opened(lesson: str) -> None:
    """Note that a lesson was prepared."""
    with _changing() as data:
        data["lessons"].setdefault(lesson, {})["opened"] = _now()


def mended() -> None:
    """Note that the checks were asked again after a file was damaged."""
    with _changing() as data:
        data.pop("damaged", None)


def merge(file: Path) -> int:
    """Add what a progress file of another machine has; a pass on either side is a pass. Returns how many came new.

    Raises:
        LabError: the file cannot be read, or is no progress file.
    """
    try:
        theirs = _whole(json.loads(file.read_text()))
    except (OSError, ValueError) as error:
        raise LabError(
            f"{file} is no progress file.",
            why=(getattr(error, "strerror", "") or " ".join(str(error).split()))[:200],
            mend="iaclab progress --export progress.json   # on the other machine",
        ) from error
    new = 0
    with _changing() as data:
        mine = _checks(data)
        for name, entry in _checks(theirs).items():
            most = max(entry.get("points", 0), mine.get(name, {}).get("points", 0))
            if "passed" in entry and "passed" not in mine.get(name, {}):
                mine[name] = entry
                new += 1
            if most:
                mine.setdefault(name, {"misses": 0})["points"] = most
        for name, entry in theirs["lessons"].items():
            data["lessons"].setdefault(name, entry)
    return new


def export(file: Path) -> None:
    """Write a copy for another machine.

    Raises:
        LabError: it cannot be written there.
    """
    write_private(file, json.dumps(_everything(), indent=1, sort_keys=True))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _checks(data: dict[str, Any]) -> Table:
    table: Table = data["checks"]
    return table


def _everything() -> dict[str, Any]:
    try:
        return _read()
    except ValueError:
        with _locked():
            return _read_or_set_aside()


def _read() -> dict[str, Any]:
    """What is kept.

    Raises:
        ValueError: what lies there cannot be read; the text says why.
        LabError: there is no place for it.
    """
    path = progress_file()
    try:
        if path.exists() and not path.is_file():
            raise ValueError("a folder lies in its place" if path.is_dir() else "it is no file")
        return _whole(json.loads(path.read_text()))
    except FileNotFoundError:
        return _empty()
    except OSError as error:
        if path.parent.is_dir() and os.access(path.parent, os.W_OK | os.X_OK):
            raise ValueError(f"it cannot be read ({error.strerror or error})") from error
        raise _unusable(error) from error
    except UnicodeDecodeError as error:
        raise ValueError("it is no text") from error
    except json.JSONDecodeError as error:
        raise ValueError("it is cut off, or not what this course writes") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def _empty() -> dict[str, Any]:
    return {"version": VERSION, "checks": {}, "lessons": {}}


def _whole(data: Any) -> dict[str, Any]:
    """The file's content in today's form.

    Raises:
        ValueError: it is not what this module writes.
    """
    if not isinstance(data, dict):
        raise ValueError("it is no table")
    if "version" not in data:
        data = {**_empty(), "checks": data}
    version = data["version"]
    if type(version) is not int:
        raise ValueError("its version is no number")
    newer = f"it is of a newer version ({version}; this course writes {VERSION}), and" if version > VERSION else "it"
    checks, lessons = data.get("checks"), data.get("lessons", {})
    if not isinstance(checks, dict) or not all(map(_is_result, checks.values())):
        raise ValueError(f"{newer} has no table of checks of the form that is known here")
    if not isinstance(lessons, dict) or not all(map(_is_visit, lessons.values())):
        raise ValueError(f"{newer} has no table of lessons of the form that is known here")
    return {**data, "version": max(version, VERSION), "lessons": lessons}


def _is_result(entry: Any) -> bool:
    return (
        isinstance(entry, dict)
        and type(entry.get("misses")) is int
        and isinstance(entry.get("passed", ""), str)
        and type(entry.get("points", 0)) is int
    )


def _is_visit(entry: Any) -> bool:
    return isinstance(entry, dict) and isinstance(entry.get("opened"), str)


def _read_or_set_aside() -> dict[str, Any]:
    """As `_read`, for those who hold the lock: nobody sets aside the good file that another has begun meanwhile."""
    try:
        return _read()
    except ValueError as error:
        path, rest = progress_file(), _empty()
        if path.is_file():
            with contextlib.suppress(OSError):
                rest = _entries_of(path.read_text(errors="replace"))
        names = (path.with_name(f"{path.name}.damaged-{number}") for number in itertools.count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        path.rename(aside)
        rest["damaged"] = aside.name
        _write(rest)
        _news.append(f"Your progress could not be read: {error}.\nIt was set aside as {aside}; {_kept(rest)}.")
        return rest


def _kept(rest: dict[str, Any]) -> str:
    passed = sum("passed" in entry for entry in _checks(rest).values())
    return "nothing in it could be kept" if not passed else f"{passed} pass{'es' * (passed > 1)} of it could be kept"


def _entries_of(text: str) -> dict[str, Any]:
    """The entries of a damaged file that are whole, wherever the damage is."""
    data = _empty()
    for name, body in _ENTRY.findall(text):
        with contextlib.suppress(ValueError):
            entry = json.loads(body)
            if _is_result(entry):
                data["checks"][name] = entry
            elif _is_visit(entry):
                data["lessons"][name] = entry
    return data


@contextlib.contextmanager
def _changing() -> Iterator[dict[str, Any]]:
    """What is kept, to be changed; it is written when the block ends."""
    with _locked():
        data = _read_or_set_aside()
        yield data
        _write(data)


def _write(data: dict[str, Any]) -> None:
    write_private(progress_file(), json.dumps(data, indent=1, sort_keys=True))


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    folder = progress_file().parent
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with FileLock(folder / "progress.lock", mode=0o600):
            yield
    except OSError as error:
        raise _unusable(error) from error


def _unusable(error: OSError) -> LabError:
    return LabError(
        f"Progress cannot be kept in {progress_file().parent}.",
        why=error.strerror or str(error),
        mend="export IACLAB_STATE=/a/folder/you/own   # then start JupyterLab again",
    )
