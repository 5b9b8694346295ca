"""Programs from npm and jars from Maven: what the lock names comes, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from mirror import Mirror
from toolbox import Toolbox

from iaclab import paths, tools
from iaclab.errors import LabError
from iaclab.tools import client
from iaclab.tools.source import SourceFailed

JAR = b"a jar"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    """A catalogue with an npm program and a set of jars; `node`, `npm` and `mvn` are scripts that note their call."""
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.add('[tools.node]\nversion = "22.0"\nminimum = true\nhint = "get node"\n')
        box.add('[tools.tiny]\nversion = "1.0.0"\nrequires = ["node"]\nnpm = { lock = "tiny" }\n')
        box.add('[tools.jars]\ndata = true\nversion = "1.0"\nmaven = { lock = "jars" }\n')
        program(tmp_path / "bin" / "node", 'case "$1" in --version) echo v22.1.0;; *) exec sh "$@";; esac')
        program(tmp_path / "bin" / "npm", made_by_npm(tmp_path))
        program(tmp_path / "bin" / "mvn", made_by_maven(tmp_path))
        monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
        npm, maven = box.clone / "tools" / "npm" / "tiny", box.clone / "tools" / "maven" / "jars"
        for folder in (npm, maven):
            folder.mkdir(parents=True)
        (npm / "package.json").write_text("{}")
        (npm / "package-lock.json").write_text("{}")
        (maven / "pom.xml").write_text("<project/>")
        (maven / "jars.sha256").write_text(f"{hashlib.sha256(JAR).hexdigest()}  one.jar\n")
        yield box


def program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def made_by_npm(tmp: Path) -> str:
    return (
        f'echo "$@" > {tmp}/npm-called\nmkdir -p node_modules/.bin\n'
        "echo 'echo tiny 1.0.0' > node_modules/.bin/tiny\ncat > /dev/null < package-lock.json"
    )


def made_by_maven(tmp: Path) -> str:
    return (
        f'for word; do case $word in -DoutputDirectory=*) printf "a jar" > "${{word#*=}}/one.jar";; esac; done\n: {tmp}'
    )


def test_a_program_of_npm_runs_on_the_node_that_it_requires(box: Toolbox, tmp_path: Path) -> None:
    path = tools.ensure("tiny", quiet=True)["tiny"]
    assert subprocess.run([path], capture_output=True, text=True, check=True).stdout == "tiny 1.0.0\n"
    assert f"node='{tmp_path / 'bin' / 'node'}'" in path.read_text()
    called = (tmp_path / "npm-called").read_text().split()
    assert called[0] == "ci" and "--ignore-scripts" in called
    installed = tools.find("tiny")
    assert installed and installed.source == "npm"


def test_without_node_it_is_said_what_brings_it(box: Toolbox, tmp_path: Path) -> None:
    (tmp_path / "bin" / "node").unlink()
    with pytest.raises(LabError, match=r"node 22\.0 is not installed"):
        tools.ensure("tiny", quiet=True)
    assert not box.leftovers()


def test_what_npm_says_is_one_line(box: Toolbox, tmp_path: Path) -> None:
    program(
        tmp_path / "bin" / "npm", "echo 'npm error code EINTEGRITY' >&2; echo 'npm error sha512 differs' >&2; exit 1"
    )
    with pytest.raises(LabError, match="EINTEGRITY; sha512 differs"):
        tools.ensure("tiny", quiet=True)
    assert tools.find("tiny") is None and not box.leftovers()


def test_a_lock_that_brings_no_such_program_is_said_so(box: Toolbox, tmp_path: Path) -> None:
    program(tmp_path / "bin" / "npm", "mkdir -p node_modules/.bin")
    with pytest.raises(LabError, match="tools/npm/tiny brings no program tiny"):
        tools.ensure("tiny", quiet=True)


def test_jars_come_as_a_folder(box: Toolbox) -> None:
    folder = tools.ensure("jars", quiet=True)["jars"]
    assert (folder / "one.jar").read_bytes() == JAR


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (f"{'0' * 64}  one.jar\n", "one.jar is not the jar that"),
        ("", "one.jar is not the jar that"),
        (f"{hashlib.sha256(JAR).hexdigest()}  one.jar\n{'0' * 64}  two.jar\n", "Maven has not brought two.jar"),
    ],
    ids=["another sum", "not named", "missing"],
)
def test_other_jars_than_the_pinned_ones_are_refused_and_leave_nothing(box: Toolbox, sums: str, words: str) -> None:
    (box.clone / "tools" / "maven" / "jars" / "jars.sha256").write_text(sums)
    with pytest.raises(LabError, match=words):
        tools.ensure("jars", quiet=True)
    assert tools.find("jars") is None and not box.leftovers()


def test_without_maven_it_is_said_what_brings_it(box: Toolbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin" / "mvn").unlink()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(LabError, match="Maven is not installed"):
        tools.ensure("jars", quiet=True)


def test_a_client_that_is_told_to_stop_ends() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(SourceFailed, match="stopped"):
        client.run(["sleep", "60"], dict(os.environ), stop, str)


def test_every_package_of_the_npm_locks_has_a_hash() -> None:
    root = paths.repo_root()
    assert root is not None
    for lock in root.glob("tools/npm/*/package-lock.json"):
        packages = json.loads(lock.read_text())["packages"]
        named = {name: entry for name, entry in packages.items() if name}
        assert named and all(entry["integrity"].startswith("sha512-") for entry in named.values()), lock
        assert not any("resolved" in entry for entry in named.values()), f"{lock} names a registry's host"
