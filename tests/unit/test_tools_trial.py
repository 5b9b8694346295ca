"""A tool at another version, beside everything else: it comes by the catalogue's sources, and nothing else changes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from gomodules import GO, go_environment, publish, tool_module
from mirror import Mirror
from toolbox import SITE, Toolbox, program, put_program, sha256

from iaclab import tools
from iaclab.environment import environment
from iaclab.errors import LabError
from iaclab.tools import found, gobuild, trial
from iaclab.tools.catalogue import tool

OLD, NEW = program("greeter", "1.2.3"), program("greeter", "1.3.0")
GREETER = f"""
[tools.greeter]
version = "1.2.3"
release.any = {{ url = "https://{SITE}/greeter-{{version}}", sums = "{{url}}.sha256", sha256 = {{ any = "{sha256(OLD)}" }} }}

[tools.other]
version = "2.0.0"
release.any = {{ url = "https://{SITE}/other", sha256 = {{ any = "{sha256(program("other", "2.0.0"))}" }} }}
"""  # noqa: E501


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.add(GREETER)
        box.serve("/greeter-1.2.3", OLD)
        box.serve("/greeter-1.3.0", NEW)
        box.serve("/greeter-1.3.0.sha256", sha256(NEW).encode())
        box.serve("/other", program("other", "2.0.0"))
        yield box


def everything(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def version_seen(one: trial.Trial, name: str = "greeter") -> str:
    """What a lesson's shell gets when it calls the program, after `ensure` as `prepare` calls it."""
    with environment(one.env):
        path = tools.ensure(name, quiet=True)[name]
        first = shutil.which(name, path=f"{tools.bin_dir()}{os.pathsep}{os.environ['PATH']}")
    assert first is not None
    said = {subprocess.run([p], capture_output=True, text=True, check=True).stdout.split()[-1] for p in (path, first)}
    assert len(said) == 1, f"the shell and `ensure` see different programs: {said}"
    return said.pop()


def test_another_version_is_there_in_its_folder_and_nowhere_else(box: Toolbox, tmp_path: Path) -> None:
    tools.ensure("greeter", "other", quiet=True)
    before, file = everything(box.cache), box.file.read_bytes()
    one = trial.make(["greeter"], "1.3.0", tmp_path / "trial")
    assert version_seen(one) == "1.3.0"
    assert everything(box.cache) == before, "the learner's cache has changed"
    assert box.file.read_bytes() == file and tool("greeter").version == "1.2.3"
    assert [path.name for path in (one.folder / "cache/tools/other").iterdir()] == ["2.0.0"]
    box.mirror.asked.clear()
    assert version_seen(one, "other") == "2.0.0" and not box.mirror.asked, "what the learner has is not fetched again"


def test_a_wrong_sum_of_the_publisher_is_refused(box: Toolbox, tmp_path: Path) -> None:
    box.serve("/greeter-1.3.0.sha256", sha256(OLD).encode())
    with pytest.raises(LabError, match="another SHA-256"):
        trial.make(["greeter"], "1.3.0", tmp_path / "trial")


def test_a_program_on_path_of_nearly_that_version_does_not_take_its_place(
    box: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_program(tmp_path / "path", "greeter", "1.3.9")  # the same major.minor: it would do for a lesson
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}{os.pathsep}{os.environ['PATH']}")
    assert version_seen(trial.make(["greeter"], "1.3.0", tmp_path / "trial")) == "1.3.0"


def test_the_learners_own_link_on_path_does_not_take_its_place(
    box: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools.ensure("greeter", quiet=True)
    monkeypatch.setenv("PATH", f"{box.cache / 'bin'}{os.pathsep}{os.environ['PATH']}")  # as in JupyterLab
    assert version_seen(trial.make(["greeter"], "1.3.0", tmp_path / "trial")) == "1.3.0"


def test_the_catalogues_own_version_is_taken_from_the_cache(box: Toolbox, tmp_path: Path) -> None:
    tools.ensure("greeter", quiet=True)
    box.mirror.asked.clear()
    assert version_seen(trial.make(["greeter"], "1.2.3", tmp_path / "trial")) == "1.2.3"
    assert not box.mirror.asked


def test_a_second_trial_asks_nobody(box: Toolbox, tmp_path: Path) -> None:
    trial.make(["greeter"], "1.3.0", tmp_path / "trial")
    box.mirror.asked.clear()
    assert version_seen(trial.make(["greeter"], "1.3.0", tmp_path / "trial")) == "1.3.0"
    assert not box.mirror.asked


def test_a_version_that_nobody_has_says_who_was_asked(box: Toolbox, tmp_path: Path) -> None:
    with pytest.raises(LabError) as error:
        trial.make(["greeter"], "9.9.9", tmp_path / "trial")
    assert "greeter 9.9.9 cannot be had" in str(error.value) and "404" in str(error.value), error.value


@pytest.mark.parametrize("version", ["latest", "1", "../../etc", "1.3.0; rm", "-1.3"])
def test_what_is_no_version_is_refused(box: Toolbox, tmp_path: Path, version: str) -> None:
    with pytest.raises(LabError, match="is not a version"):
        trial.make(["greeter"], version, tmp_path / "trial")
    assert not (tmp_path / "trial").exists()


def test_a_tool_of_the_system_is_refused(box: Toolbox, tmp_path: Path) -> None:
    box.add(GO)
    with pytest.raises(LabError, match="comes with the system"):
        trial.make(["go"], "1.30.0", tmp_path / "trial")


def test_a_go_build_takes_the_module_at_that_version(
    box: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("go"):
        pytest.skip("Go is not installed: there is nothing to build with")
    for name, value in go_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gobuild, "TOOLCHAIN", "local")
    body = 'package main\n\nvar version = "unset"\n\nfunc main() { println("hello version", version, "of", "%s") }\n'
    for version in ("v1.2.3", "v1.3.0"):
        publish(tmp_path, "lab.test/hello", version, {"cmd/hello/main.go": body % version})
    (tmp_path / "proxy/lab.test/hello/@v/list").write_text("v1.2.3\nv1.3.0\n")
    tool_module(box.clone, "hello", "lab.test/hello", "v1.2.3", ["lab.test/hello/cmd/hello"])
    source = everything(box.clone)
    box.add(GO + '[go.hello]\nldflags = ["-X main.version=1.2.3"]\n')
    box.add('[tools.hello]\nversion = "1.2.3"\ngo = { module = "hello", package = "lab.test/hello/cmd/hello" }\n')
    one = trial.make(["hello"], "1.3.0", tmp_path / "trial")
    with environment(one.env):
        here = found.in_cache(tool("hello"))
    assert here and here.source == "go build"
    said = subprocess.run([here.path], capture_output=True, text=True).stderr.split()
    assert said == ["hello", "version", "1.3.0", "of", "v1.3.0"]
    assert everything(box.clone) == source, "the clone's modules have changed"


def test_a_stand_in_is_not_built_at_the_others_version(box: Toolbox, tmp_path: Path) -> None:
    go = 'go = { module = "tofu", package = "lab.test/tofu", version = "1.12.6" }'
    box.add(f'[tools.terraform]\nversion = "1.11.4"\n{go}\n')
    with pytest.raises(LabError, match="stands in for it"):
        trial.make(["terraform"], "1.12.0", tmp_path / "trial")


def test_the_courses_catalogue_survives_being_written_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tomllib

    from iaclab.tools import catalogue

    raw = tomllib.loads(catalogue.FILE.read_text())
    assert tomllib.loads(trial._toml(raw)) == {"go": raw["go"], "tools": raw["tools"]}


def test_the_matrix_names_the_cell_that_a_version_breaks(
    box: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from tiny_course import TinyCourse

    from iaclab.course import matrix

    course = TinyCourse(tmp_path / "course", monkeypatch)
    uses = course.add("lectures/01-uses", "%%bash -e\ngreeter", "%%bash -e\ngreeter | grep 'version 1.3'")
    course.add("lectures/02-does-not", "1 / 0")
    text = uses.source.read_text()
    uses.source.write_text(text.replace("minutes: 5", "minutes: 5\n  tools: [greeter]"))
    tools.ensure("greeter", quiet=True)
    arguments = ["greeter", "1.2.3", "1.3.0", "9.9.9", f"--out={tmp_path / 'matrix'}"]
    assert matrix.main(arguments) == 1
    said = capfd.readouterr().out
    row = next(line for line in said.splitlines() if line.strip().startswith("01-uses") and "✔" in line)
    assert "✘ cell 2 failed" in row and row.index("✘") < row.index("✔ passed") < row.index("cannot be had"), said
    assert "02-does-not" not in said and "9.9.9 cannot be had" in said
    assert "greeter | grep 'version 1.3'" in said, "the failing cell is shown"


def test_the_matrix_passes_where_every_lesson_does(
    box: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tiny_course import TinyCourse

    from iaclab.course import matrix

    course = TinyCourse(tmp_path / "course", monkeypatch)
    uses = course.add("lectures/01-uses", "%%bash -e\ngreeter | grep 'version 1.3'")
    uses.source.write_text(uses.source.read_text().replace("minutes: 5", "minutes: 5\n  tools: [greeter]"))
    assert matrix.main(["greeter", "1.3.0", f"--out={tmp_path / 'matrix'}"]) == 0


def test_ctrl_c_ends_the_client_with_what_it_has_started(tmp_path: Path) -> None:
    """It runs in a process group of its own, which a terminal's Ctrl-C does not reach."""
    shell = f"sleep 300 & echo $$ $! > {tmp_path}/pids.part; mv {tmp_path}/pids.part {tmp_path}/pids; wait"
    code = (
        "import os, sys, threading; from iaclab.tools import client\n"
        "client.run(['sh', '-c', sys.argv[1]], dict(os.environ), threading.Event(), str)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, shell], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pids").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) != 0
    while (left := [pid for pid in pids if runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def runs(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(done.stdout.strip()) and not done.stdout.strip().startswith("Z")
