"""A submission's cells run one by one: what one does ends that one, and the notebook that comes out is clean."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest

from iaclab.grading import BadSubmission, Limits, Report, World, intake, runner

MB = 1 << 20
LIMITS = Limits(cell=60, notebook=240, kept=2000, flood=2 * MB, restarts=3)
QUICK = Limits(cell=5, notebook=240)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World.open("tiny", needs=()) as made:
        yield made


def run(world: World, *sources: str, limits: Limits = LIMITS) -> tuple[list[Any], Report]:
    """The cells after they ran, and the report."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    with world.desk() as desk:
        return cells, runner.run(nbformat.v4.new_notebook(cells=cells), world, desk, limits)


def text(cell: Any) -> str:
    return "".join(output.get("text", "") for output in cell.outputs)


def trouble(report: Report) -> list[tuple[int, str]]:
    return [(cell.index, cell.what) for cell in report.cells]


def test_errors_end_one_cell(world: World) -> None:
    cells, report = run(world, "x = 1", "1 / 0", "%%bash\nexit 3", "print(x)")
    assert trouble(report) == [(1, "error"), (2, "error")]
    assert report.cells[0].why == "ZeroDivisionError: division by zero"
    assert text(cells[3]) == "1\n"


def test_an_endless_loop_is_interrupted_and_variables_stay(world: World) -> None:
    cells, report = run(world, "x = 1", "while True:\n    pass", "print(x)", limits=QUICK)
    assert trouble(report) == [(1, "timeout")] and report.restarts == 0
    assert text(cells[2]) == "1\n"


def test_what_cannot_be_interrupted_is_killed(world: World) -> None:
    stubborn = "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass"
    cells, report = run(world, stubborn, "print('later')", limits=QUICK)
    assert trouble(report) == [(0, "timeout")] and report.restarts == 1
    assert text(cells[1]) == "later\n"


@pytest.mark.parametrize(
    "end",
    [
        "import os\nos._exit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import ctypes\nctypes.string_at(0)",
    ],
)
def test_a_dead_kernel_ends_one_cell(world: World, end: str) -> None:
    cells, report = run(world, "open('before', 'w').write('x')", end, "print(open('before').read())")
    assert text(cells[2]) == "x\n"
    assert trouble(report) == [(1, "killed")]


def test_a_kernel_that_says_goodbye_is_followed_by_another(world: World) -> None:
    cells, report = run(world, "x = 1", "exit()", "print('x' in globals())")
    assert text(cells[2]) == "False\n" and report.cells == []


def test_kernels_are_not_started_for_ever(world: World) -> None:
    _, report = run(world, *["import os\nos._exit(1)"] * 4, limits=Limits(restarts=1))
    assert trouble(report) == [(0, "killed"), (1, "killed"), (2, "skipped"), (3, "skipped")]


def test_the_notebook_has_a_time_too(world: World) -> None:
    limits = Limits(cell=300, notebook=2)
    _, report = run(world, "import time\ntime.sleep(600)", "print('later')", limits=limits)
    assert trouble(report) == [(0, "timeout"), (1, "skipped")]
    assert report.seconds < 60


@pytest.mark.parametrize(
    "flood",
    [
        "while True:\n    print('x' * 10_000)",
        "while True:\n    display('x' * 10_000, display_id='one')",
        "while True:\n    print('y', flush=True)",
        "%%bash\nyes",
        "print('x' * (30 << 20))",
        "import os\nfor _ in range(3000):\n    os.write(1, b'z' * 10000)",
    ],
)
def test_a_flood_ends_the_cell_not_the_grader(world: World, flood: str) -> None:
    cells, report = run(world, flood, "print('later')", limits=Limits(cell=20, kept=2000, flood=2 * MB))
    assert report.cells[0].index == 0 and report.cells[0].what in ("flood", "timeout")
    assert len(nbformat.writes(nbformat.v4.new_notebook(cells=cells))) < 20_000
    assert text(cells[1]) == "later\n"


def test_what_no_kernel_says_ends_the_cell(world: World) -> None:
    forged = "kernel = get_ipython().kernel\nkernel.session.send(kernel.iopub_socket, 'stream', content={'a': 1}, "
    cells, report = run(
        world,
        forged + "parent=kernel.get_parent())\nprint('x')",
        "kernel = get_ipython().kernel\n"
        "kernel.iopub_socket.send_multipart([b'x', b'<IDS|MSG>', b'', b'{', b'', b'', b''])",
        "print('later')",
    )
    assert text(cells[2]) == "later\n"
    assert all(cell.index < 2 for cell in report.cells)


def test_outputs_hold_nothing_that_a_browser_runs(world: World) -> None:
    cells, _ = run(
        world,
        "from IPython.display import HTML, SVG, Javascript, Markdown, display\n"
        "display(HTML('<script>a</script>'), Javascript('b'), SVG(data='<svg onload=\"c\"/>'), Markdown('<img>'))",
        "display({'text/plain': 'kept', 'text/html': '<script>', 'image/png': 'AAAA'}, raw=True)",
    )
    kinds = {kind for cell in cells for output in cell.outputs for kind in output.get("data", {})}
    assert kinds == {"text/plain", "image/png"}
    assert "<script>" not in nbformat.writes(nbformat.v4.new_notebook(cells=cells[1:])).replace("'<script>'", "")


def test_only_sources_reach_the_kernel(world: World) -> None:
    cell = nbformat.v4.new_code_cell("print('ran')")
    cell.outputs = [nbformat.v4.new_output("stream", text="forged\n")]
    cell.metadata.update({"tags": ["skip-execution", "raises-exception"], "trusted": True})
    with world.desk() as desk:
        runner.run(nbformat.v4.new_notebook(cells=[cell]), world, desk, LIMITS)
    assert text(cell) == "ran\n"


# --- intake --------------------------------------------------------------------------------------------


def hand_in(folder: Path, document: Any) -> Path:
    path = folder / "lab.ipynb"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def document(*cells: Any, **more: Any) -> dict[str, Any]:
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells), **more}


def code(source: Any = "1", **more: Any) -> dict[str, Any]:
    return {"cell_type": "code", "source": source, "metadata": {}, "outputs": [], "execution_count": None, **more}


@pytest.mark.parametrize(
    ("handed_in", "error"),
    [
        ("{", intake.NotJson),
        ("\ud800".encode("utf-8", "surrogatepass").decode("latin-1"), intake.NotJson),
        ("[" * 100_000, intake.TooDeep),
        ('{"a":' * 100_000, intake.TooDeep),
        ("[]", intake.NotNotebook),
        (document(nbformat=3), intake.NotNotebook),
        (document(7), intake.NotNotebook),
        (document({"cell_type": "script"}), intake.NotNotebook),
        (document(code({"a": 1})), intake.NotNotebook),
        (document(*[code()] * 3000), intake.TooManyCells),
        (document({"cell_type": "markdown", "source": "", "attachments": 3}), intake.BadAttachments),
        (
            document({"cell_type": "markdown", "source": "", "attachments": {"a.zip": {"application/zip": "AAAA"}}}),
            intake.BadAttachments,
        ),
        (
            document(
                {"cell_type": "markdown", "source": "", "attachments": {"a.png": {"image/png": "AAAA" * 2_000_000}}}
            ),
            intake.BadAttachments,
        ),
        (
            document({"cell_type": "markdown", "source": "", "attachments": {"a.png": {"image/png": "<script>"}}}),
            intake.BadAttachments,
        ),
        (document(code("#" * 30_000_000)), intake.TooLarge),
    ],
)
def test_sets_aside_with_a_name_for_each_reason(tmp_path: Path, handed_in: Any, error: type[BadSubmission]) -> None:
    with pytest.raises(error):
        intake.read(hand_in(tmp_path, handed_in), Limits())


def test_follows_no_link_and_waits_for_no_pipe(tmp_path: Path) -> None:
    (tmp_path / "other.ipynb").write_text(json.dumps(document(code("secret"))))
    (tmp_path / "link.ipynb").symlink_to(tmp_path / "other.ipynb")
    os.mkfifo(tmp_path / "pipe.ipynb")
    (tmp_path / "folder.ipynb").mkdir()
    for name in ("link", "pipe", "folder", "absent"):
        with pytest.raises(intake.NotRegular):
            intake.read(tmp_path / f"{name}.ipynb", Limits())
    (tmp_path / "lab.ipynb").write_text("{}")
    notes: list[str] = []
    names = [name for name, _ in intake.files_beside(tmp_path, Limits(), notes)]
    assert names == ["lab.ipynb", "other.ipynb"]
    assert [note.split()[2] for note in notes] == ["link.ipynb", "pipe.ipynb"]


def test_takes_over_only_what_a_notebook_needs(tmp_path: Path) -> None:
    marks = {"grade_id": "lab-a", "grade": "yes", "locked": True, "points": "many", "checksum": "x", "evil": {"a": 1}}
    picture = base64.b64encode(b"\x89PNG").decode()
    path = hand_in(
        tmp_path,
        document(
            code(["a\n", "b"], id="fine", metadata={"nbgrader": marks, "tags": ["x", 3, "<b>"], "kernel": "evil"}),
            code("c", id="fine", metadata={"nbgrader": marks}, outputs=[{"output_type": "evil"}]),
            code("d", id="<script>", metadata=[1], extra=1),
            {"cell_type": "markdown", "source": "e", "attachments": {"p.png": {"image/png": picture}}},
            metadata={"kernelspec": {"name": "evil"}, "widgets": {}},
        ),
    )
    made = intake.read(path, Limits())
    nbformat.validate(made)
    assert [cell.source for cell in made.cells] == ["a\nb", "c", "d", "e"]
    assert made.cells[0].metadata == {
        "tags": ["x"],
        "nbgrader": {
            "grade_id": "lab-a",
            "schema_version": 3,
            "grade": False,
            "locked": True,
            "solution": False,
            "task": False,
        },
    }
    assert made.cells[1].metadata == {} and made.cells[1].outputs == []
    assert len({cell.id for cell in made.cells}) == 4 and made.cells[0].id == "fine"
    assert made.cells[3].attachments == {"p.png": {"image/png": picture}}
    assert list(made.metadata) == ["kernelspec"] and made.metadata.kernelspec.name == "python3"
