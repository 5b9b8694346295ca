"""Every lesson under nbval, from a fresh profile and once more right after; `make sections`: each section by itself.

Lecture 4 runs with the network cut off, where that is allowed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cut_off
import nbformat
import pytest

from iaclab import lessons, paths
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

ROOT = paths.repo_root()
assert ROOT is not None
LESSONS = [entry for entry in lessons.lessons() if entry.source.parent.name != "labs"]  # tests/labs runs those

OFFLINE = "04-argocd-deployment"
COMPLAINT = re.compile(
    r"level=(error|warning|fatal)|\b(error|warn(ing)?|fatal|panic|failed)\b|^[EF][0-9]{4} ", re.IGNORECASE
)


@contextlib.contextmanager
def platform_in(base: Path) -> Iterator[dict[str, str]]:
    """The environment of a profile of its own, whose services end with it."""
    env = {
        **os.environ,
        "IACLAB_STATE": str(base / "state"),
        "IACLAB_WORKSPACE": str(base / "workspace"),
        "IACLAB_STRICT_CHECKS": "1",
    }
    yield env
    stop(env)


def stop(env: dict[str, str]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IACLAB_STATE", env["IACLAB_STATE"])
        lifecycle.down(profile=Profile())


def start_afresh(env: dict[str, str]) -> None:
    """Leave nothing of an earlier run."""
    stop(env)
    for name in ("IACLAB_STATE", "IACLAB_WORKSPACE"):
        shutil.rmtree(env[name], ignore_errors=True)


@pytest.fixture(scope="module")
def lesson(request: pytest.FixtureRequest) -> lessons.Lesson:
    found: lessons.Lesson = request.param
    return found


@pytest.fixture(scope="module")
def lesson_env(lesson: lessons.Lesson, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A lesson's profile: fresh at its first run, used at the second."""
    with platform_in(tmp_path_factory.mktemp(f"lesson-{lesson.id[:2]}-")) as env:
        yield env


@pytest.fixture(scope="module")
def within(lesson: lessons.Lesson) -> Iterator[tuple[str, ...]]:
    """The start of the command line that runs a lesson."""
    with cut_off.network() if lesson.id == OFFLINE and cut_off.possible() else contextlib.nullcontext(()) as command:
        yield command


@pytest.fixture(scope="module")
def sections_env(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """One profile for all sections."""
    with platform_in(tmp_path_factory.mktemp("sections")) as env:
        yield env


def nbval(notebook: Path, env: dict[str, str], *within: str) -> None:
    """Run every cell, `within` a command; a cell that raises fails the test, with nbval's report of that cell."""
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "-qx", "--no-header"]
    command += ["-p", "no:cacheprovider", "-c", os.devnull, f"--rootdir={notebook.parent}", str(notebook)]
    started = time.time()
    done = subprocess.run([*within, *command], env=env, capture_output=True, text=True)
    assert done.returncode == 0, f"{notebook.name}\n{done.stdout[-6000:]}{done.stderr[-2000:]}{said(env, started)}"


def said(env: dict[str, str], since: float) -> str:
    """The last complaints of each program of the profile: what a cell that waited in vain does not show."""
    found = []
    for log in sorted(Path(env["IACLAB_STATE"]).glob("profiles/*/logs/*/*.log")):
        if log.stat().st_mtime > since:
            lines = [line for line in log.read_text(errors="replace").splitlines() if COMPLAINT.search(line)]
            found += [f"{log.stem}: {line[:300]}" for line in lines[-4:]]
    return "\n".join(["", "What the services complained of:", *found])


@pytest.mark.platform
@pytest.mark.parametrize("run", ["fresh", pytest.param("again", marks=pytest.mark.if_time(minutes=45))])
@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.id, indirect=True)
def test_every_cell_of_a_lesson_runs(
    lesson: lessons.Lesson, run: str, lesson_env: dict[str, str], within: tuple[str, ...]
) -> None:
    if run == "fresh" and Path(lesson_env["IACLAB_STATE"]).exists():  # run once more, as `make test` does
        start_afresh(lesson_env)
    nbval(ROOT / lesson.notebook, lesson_env, *within)


def sections_of(lesson: lessons.Lesson) -> list[str]:
    """The sections (level 2) of a lecture that hold code."""
    notebook = nbformat.read(ROOT / lesson.notebook, as_version=4)
    found: dict[str, int] = {}
    for title, cell in _with_titles(notebook.cells):
        if cell.cell_type == "code" and title:
            found[title] = found.get(title, 0) + 1
    return list(found)


def _with_titles(cells: list[nbformat.NotebookNode]) -> Iterator[tuple[str, nbformat.NotebookNode]]:
    title = ""
    for cell in cells:
        heads = (
            [line for line in cell.source.splitlines() if line.startswith("## ")] if cell.cell_type != "code" else []
        )
        title = heads[-1].removeprefix("## ") if heads else title
        yield title, cell


LECTURE_SECTIONS = [
    (lesson, title) for lesson in LESSONS if lesson.source.parent.name == "lectures" for title in sections_of(lesson)
]


@pytest.mark.sections
@pytest.mark.platform
@pytest.mark.parametrize(("lesson", "section"), LECTURE_SECTIONS, ids=lambda v: v if isinstance(v, str) else v.id)
def test_a_section_stands_alone(
    lesson: lessons.Lesson, section: str, sections_env: dict[str, str], tmp_path: Path
) -> None:
    notebook = nbformat.read(ROOT / lesson.notebook, as_version=4)
    notebook.cells = [cell for title, cell in _with_titles(notebook.cells) if title in ("", section)]
    alone = tmp_path / f"{lesson.id}.ipynb"
    nbformat.write(notebook, alone)
    nbval(alone, {**sections_env, "IACLAB_WORKSPACE": str(tmp_path / "workspace")})
