"""CONTRIBUTING.md, followed word for word in a copy of the clone: its files are written, its commands run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from iaclab import paths

ROOT = paths.repo_root()
assert ROOT is not None
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
LEFT_OUT = shutil.ignore_patterns(".*", "workspace", "__pycache__", "build-*", "source", "bench")
PAGE = 60  # lines of text and code that fit on one


def steps() -> list[tuple[str, str, str]]:
    """Section, info string and content of each code block."""
    found, section = [], ""
    tokens = MarkdownIt().parse(TEXT)
    for index, token in enumerate(tokens):
        if token.type == "heading_open":
            section = tokens[index + 1].content
        elif token.type == "fence":
            found.append((section, token.info.strip(), token.content))
    return found


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "clone"
    shutil.copytree(ROOT, folder, ignore=LEFT_OUT)
    yield folder
    run(folder, "iaclab down")


def run(clone: Path, script: str) -> subprocess.CompletedProcess[str]:
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        "IACLAB_CACHE": str(clone.parent / "cache"),
        "IACLAB_STRICT_CHECKS": "1",
        "PYTEST_ADDOPTS": "-p no:cacheprovider",
    }
    return subprocess.run(["bash", "-ec", script], cwd=clone, env=env, capture_output=True, text=True, timeout=300)


@pytest.mark.platform
def test_its_steps_work_in_their_order(clone: Path) -> None:
    done = []
    for section, info, content in steps():
        language, *target = info.split()
        if language == "bash":
            for command in content.splitlines():
                ended = run(clone, command)
                assert ended.returncode == 0, f"{section}: {command}\n{ended.stdout[-3000:]}{ended.stderr[-3000:]}"
                done.append((command, ended.stdout))
        else:
            file = clone / target[0]
            appended = target[1:] == ["+"]
            assert file.exists() is appended, f"{section}: {file} is {'not there' if appended else 'there already'}"
            with file.open("a") as stream:
                stream.write(content)
    said = dict(done)
    assert "1 tool is in place" in said["iaclab tools install cfn-lint"]
    assert any("pages" in line and "ready" in line for line in said["iaclab status"].splitlines()), said[
        "iaclab status"
    ]
    assert "1 notebook written" in said["python -m iaclab.build"]
    for command, out in done:
        if command.startswith("pytest"):
            assert " passed" in out and "no tests ran" not in out, command
    lint = run(clone, "ruff check . && ruff format --check . && python -m iaclab.build --check")
    assert lint.returncode == 0, lint.stdout + lint.stderr


def test_each_addition_is_told_in_under_a_page() -> None:
    sections = TEXT.split("\n## Add a ")[1:]
    assert [section.splitlines()[0] for section in sections] == ["tool", "service", "check", "lesson"]
    for section in sections:
        lines = [line for line in section.splitlines() if line.strip()]
        assert len(lines) <= PAGE, f"{lines[0]}: {len(lines)} lines"
