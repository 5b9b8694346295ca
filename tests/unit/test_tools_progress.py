"""What is seen while tools are installed: in a terminal, in a notebook, and in a log."""

from __future__ import annotations

import os
import pty
import re
from collections.abc import Iterator
from pathlib import Path

import mirror as misbehaviour
import nbformat
import pytest
from mirror import Mirror
from nbclient import NotebookClient
from toolbox import COMMAND, SITE, Toolbox, program, until

from iaclab import tools
from iaclab.tools import board
from iaclab.tools.board import Board

BODY = program("greeter", "1.2.3") + b"#" * 2_000_000
FILE = f"/{SITE}/greeter"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.add(f'[tools.greeter]\nversion = "1.2.3"\nrelease.any = {{ url = "https://{SITE}/greeter" }}\n')
        box.mirror.files[FILE] = BODY
        yield box


def test_a_log_gets_a_line_at_the_start_and_one_with_version_source_and_seconds(
    box: Toolbox, capsys: pytest.CaptureFixture[str]
) -> None:
    tools.ensure("greeter")
    first, last = capsys.readouterr().err.splitlines()
    assert first == f"greeter: release from {box.mirror.url.removeprefix('http://')}"
    assert re.fullmatch(r"greeter: 1\.2\.3 from the release; no published checksum.*, \d\.\d s", last), last


def test_a_log_gets_a_line_now_and_then_while_a_long_build_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Board() as shown:
        shown.say("argocd", "compiling", "12/3100 packages", 12 / 3100)
        shown.say("helm", "part of the go build")
        shown.tick()
        shown.tick()
        assert capsys.readouterr().err == "argocd: compiling\nhelm: part of the go build\n", "too many lines"
        assert 20 <= board.EVERY <= 30
        monkeypatch.setattr(board, "EVERY", 0.0)
        shown.say("argocd", "compiling", "950/3100 packages", 950 / 3100)
        shown.tick()
    assert re.fullmatch(r"argocd: compiling, 950/3100 packages, after \d\.\d s\n", capsys.readouterr().err)


def test_a_reason_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with Board() as shown:
        shown.say("greeter", f"no release: https://{'x' * 90}/[a] answers 404")
    assert capsys.readouterr().err == f"greeter: no release: https://{'x' * 90}/[a] answers 404\n"


def test_quiet_is_quiet(box: Toolbox, capsys: pytest.CaptureFixture[str]) -> None:
    tools.ensure("greeter", quiet=True)
    assert capsys.readouterr().err == ""


def test_a_terminal_shows_a_bar_that_ends_with_what_came(box: Toolbox) -> None:
    box.mirror.behaves[FILE] = misbehaviour.paused
    ours, theirs = pty.openpty()
    process = box.start("tools", "install", "greeter", stderr=theirs, TERM="xterm", COLUMNS="80", IACLAB_TIMEOUT="600")
    os.close(theirs)
    seen = ""

    def shown(words: str) -> bool:
        nonlocal seen
        seen += os.read(ours, 65536).decode(errors="replace")
        return words in seen

    until(lambda: shown(" of 2.0 MB"), "the half that came is shown")
    assert "━" in seen, f"there is no bar: {seen}"
    box.mirror.let_go.set()
    until(lambda: shown("1.2.3 from the release"), "the terminal says what came")
    process.communicate(timeout=180)
    assert process.returncode == 0
    os.close(ours)


def test_a_notebook_shows_one_output_that_is_updated(box: Toolbox) -> None:
    setup = COMMAND[: COMMAND.index("sys.argv = ")].replace("sys.argv[1:3]", repr([str(box.file), str(box.clone)]))
    cell = nbformat.v4.new_code_cell(setup + "from iaclab import tools\nshown = tools.ensure('greeter')")
    notebook = nbformat.v4.new_notebook(cells=[cell])
    NotebookClient(notebook, timeout=180, kernel_name="python3").execute()
    (output,) = cell.outputs
    assert output.output_type == "display_data"
    assert re.search(r"greeter +1\.2\.3 from the release", output.data["text/plain"]), output.data
