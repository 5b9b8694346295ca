"""Execute one lesson from the top, with papermill, in a profile of its own that is fresh and gone afterwards."""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iaclab import paths
from iaclab.course import record
from iaclab.course.parameters import Parameters
from iaclab.course.record import Run
from iaclab.environment import environment
from iaclab.errors import LabError
from iaclab.lessons import Lesson
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

CELL_SECONDS = 300
_ANSI = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")
_SAID = 6  # lines of what a failing cell printed
_LONGEST = 2000  # characters of an error
_MARKER = "papermill-error-cell-tag"  # cells that papermill adds around an error


def notebook_of(lesson: Lesson) -> Path:
    """The built notebook."""
    root = paths.repo_root()
    if root is None:
        raise LabError("The lessons are not here.", why="They are in a clone of the course.", mend="git clone …")
    return root / lesson.notebook


def execute(
    lesson: Lesson,
    folder: Path,
    parameters: Parameters,
    *,
    about: str = "",
    env: Mapping[str, str] | None = None,
    seconds: int = CELL_SECONDS,
) -> Run:
    """Run every cell, up to the first that fails; the executed copy is `folder`/<lesson>.ipynb.

    Args:
        folder: its `state` and `workspace` hold the profile and the files of the run.
        about: stands before the progress bar, which is there in a terminal only.
        env: variables beside those that make the run a world of its own.
        seconds: the longest that a cell may take.
    """
    import papermill
    from papermill.exceptions import PapermillExecutionError

    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    notebook, copy = notebook_of(lesson), folder / f"{lesson.id}.ipynb"
    given = parameters.taken_by(notebook)
    profile = Profile(lesson.id[:32].strip("-"), folder / "state")
    own = {
        "IACLAB_STATE": str(profile.state),
        "IACLAB_PROFILE": profile.name,
        "IACLAB_WORKSPACE": str(folder / "workspace"),
        "IACLAB_STRICT_CHECKS": "1",
        "JUPYTER_PREFER_ENV_PATH": "1",  # a kernel of the same name in the home lacks iaclab
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
    }
    number, cell, error, started = 0, "", "", time.monotonic()
    with environment({**own, **(env or {})}):
        _remove(profile, folder / "workspace" / lesson.id)
        try:
            papermill.execute_notebook(
                str(notebook),
                str(copy),
                given,
                kernel_name="python3",
                cwd=str(notebook.parent),
                progress_bar={"desc": about or lesson.id} if sys.stderr.isatty() else False,
                execution_timeout=seconds,
                coalesce_streams=True,
                kernel_manager_class=_telling(folder / f"{lesson.id}.log"),
            )
        except PapermillExecutionError as failed:
            number, cell, error = _failure(copy, f"{failed.ename}: {failed.evalue}")
        except Exception as failed:  # a cell that takes too long, a kernel that dies: the next lesson must run
            number, cell, error = _failure(copy, f"{type(failed).__name__}: {failed}")
        finally:
            taken = time.monotonic() - started
            lifecycle.down(profile=profile)
        if not error:
            _remove(profile, folder / "workspace" / lesson.id)
    return Run(
        lesson.id,
        lesson.title,
        lesson.minutes,
        lesson.seconds,
        "failed" if error else "passed",
        len(code_cells(notebook)),
        record.fingerprint(notebook, given),
        round(taken, 1),
        given,
        max(1, round(os.getloadavg()[1] / (os.cpu_count() or 1), 1)),
        number,
        cell,
        error,
    )


def without_markers(notebook: Any) -> Any:
    """The notebook without what papermill adds around an error; the book has words of its own for that."""
    notebook.cells = [cell for cell in notebook.cells if _MARKER not in cell.metadata.get("tags", [])]
    return notebook


def code_cells(path: Path) -> list[Any]:
    """The code cells of a notebook; of an executed copy, with the one that holds its parameters."""
    import nbformat

    notebook = without_markers(nbformat.read(path, as_version=4))
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def _telling(log: Path) -> type:
    """A kernel's manager that keeps what the kernel says of itself, its warnings above all, off the terminal."""
    from jupyter_client.manager import AsyncKernelManager

    class ToLog(AsyncKernelManager):
        async def _async_start_kernel(self, **more: Any) -> None:
            with log.open("wb") as stream:
                await super()._async_start_kernel(stdout=stream, stderr=stream, **more)

        start_kernel = _async_start_kernel

    return ToLog


def _failure(copy: Path, what: str) -> tuple[int, str, str]:
    """Number and source of the last cell that began, and the error with what the cell printed before it."""
    cells = code_cells(copy) if copy.exists() else []
    begun = [i for i, cell in enumerate(cells) if cell.metadata.get("papermill", {}).get("start_time")]
    if not begun:
        return 0, "", _plain(what)
    cell = cells[begun[-1]]
    printed = "".join(output.text for output in cell.outputs if output.output_type == "stream").splitlines()
    said = [line for line in printed if line.strip()][-_SAID:]
    return begun[-1] + 1, cell.source, _plain("\n".join([*said, what]))


def _plain(text: str) -> str:
    text = _ANSI.sub("", text).strip()
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _remove(profile: Profile, workspace: Path) -> None:
    """Nothing of an earlier run is left: neither services nor data, nor files."""
    lifecycle.down(profile=profile)
    shutil.rmtree(profile.root, ignore_errors=True)
    shutil.rmtree(workspace, ignore_errors=True)
