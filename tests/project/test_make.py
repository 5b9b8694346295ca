"""The Makefile where something is missing: one clear line, an exit code, nothing half made."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from iaclab import paths

ROOT = paths.repo_root()
assert ROOT is not None


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What `make lab` reads before it has an environment."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "requirements", folder / "requirements")
    return folder


def python_that(folder: Path, first: str) -> str:
    """This Python, as another one would be: `first` is what is different in it."""
    path = folder / "python3"
    path.write_text(f"""#!/bin/sh
test "$1" = -c && {{ code="$2"; set -- -c "import sys; {first}; exec(sys.argv[1])" "$code"; }}
exec {sys.executable} "$@"
""")
    path.chmod(0o755)
    return str(path)


def make(clone: Path, *arguments: str, before: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "PIP_", "UV_"))}
    return subprocess.run(
        [*before, "make", *arguments], cwd=clone, env=env, capture_output=True, text=True, timeout=120
    )


def test_an_old_python_is_named_with_the_one_that_is_needed(clone: Path, tmp_path: Path) -> None:
    old = python_that(tmp_path, "sys.version_info = (3, 9, 2, 'final', 0)")
    done = make(clone, "lab", f"PYTHON={old}")
    assert done.returncode != 0
    assert "needs Python 3.11 or newer; this is 3.9" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (clone / ".venv").exists()


def test_a_python_without_venv_is_told_what_to_install(clone: Path, tmp_path: Path) -> None:
    bare = python_that(tmp_path, "sys.modules['ensurepip'] = None")
    done = make(clone, "lab", f"PYTHON={bare}")
    assert done.returncode != 0
    assert "sudo apt install python3-venv" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (clone / ".venv").exists()


def test_a_first_run_without_a_network_says_so(clone: Path) -> None:
    cut_off = ("unshare", "-rn")
    if not shutil.which("unshare") or subprocess.run([*cut_off, "true"], capture_output=True).returncode:
        pytest.skip("unshare -rn is not allowed here: no way to cut the network off")
    done = make(clone, "lab", f"PYTHON={sys.executable}", before=cut_off)
    assert done.returncode != 0
    assert "The first run needs a network" in done.stderr and "Traceback" not in done.stderr, done.stderr
    assert not (clone / ".venv/bin/uv").exists(), "the next run must try again"
