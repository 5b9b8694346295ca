"""Python programs in an environment of their own."""

from __future__ import annotations

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mirror import Mirror
from toolbox import Toolbox, sha256

from iaclab import tools
from iaclab.errors import LabError

CODE = """
import sys

def main():
    print("tiny 1.0.0 in", sys.prefix)
"""


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    """A catalogue with `tiny`, whose package lies in a folder; the network is not asked."""
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.add('[tools.tiny]\nversion = "1.0.0"\nvenv = { lock = "tiny" }\n')
        monkeypatch.setenv("UV_OFFLINE", "1")
        monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "packages"))
        monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
        lock(box, sha256(wheel(tmp_path / "packages")))
        yield box


def wheel(folder: Path) -> bytes:
    """A package with one program."""
    folder.mkdir()
    path, info = folder / "tiny-1.0.0-py3-none-any.whl", "tiny-1.0.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny.py", CODE)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/entry_points.txt", "[console_scripts]\ntiny = tiny:main\n")
        archive.writestr(f"{info}/RECORD", "")
    return path.read_bytes()


def lock(box: Toolbox, digest: str) -> None:
    folder = box.clone / "tools" / "python"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.lock").write_text(f"tiny==1.0.0 --hash=sha256:{digest}\n")


def test_the_program_runs_in_its_own_environment_after_that_was_moved_into_place(box: Toolbox) -> None:
    path = tools.ensure("tiny", quiet=True)["tiny"]
    said = subprocess.run([path], capture_output=True, text=True, check=True).stdout
    assert str(box.cache / "tools" / "tiny" / "1.0.0" / "venv") in said
    linked = subprocess.run([tools.bin_dir() / "tiny"], capture_output=True, text=True, check=True).stdout
    assert linked == said, "the link in the folder on PATH starts the same program"
    installed = tools.find("tiny")
    assert installed and installed.source == "venv"
    assert box.notes("install-times.json")["tiny"]["source"] == "venv"


def test_packages_of_other_environments_do_not_reach_it(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "tiny.py").write_text('def main():\n    print("another tiny")\n')
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "other"))
    path = tools.ensure("tiny", quiet=True)["tiny"]
    assert "tiny 1.0.0" in subprocess.run([path], capture_output=True, text=True, check=True).stdout


def test_a_lock_that_brings_no_such_program_is_said_so(box: Toolbox) -> None:
    box.add('[tools.huge]\nversion = "1.0.0"\nvenv = { lock = "tiny" }\n')
    with pytest.raises(LabError, match=r"tiny\.lock brings no program huge"):
        tools.ensure("huge", quiet=True)


def test_a_package_with_another_hash_than_the_locks_is_refused_and_leaves_nothing(box: Toolbox) -> None:
    lock(box, "0" * 64)
    with pytest.raises(LabError, match=r"Hash mismatch for `tiny==1\.0\.0`"):
        tools.ensure("tiny", quiet=True)
    assert tools.find("tiny") is None
    assert not [path for path in box.leftovers() if "tiny" in path]


def test_a_package_that_cannot_be_had_is_named(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UV_FIND_LINKS")
    with pytest.raises(LabError, match="tiny"):
        tools.ensure("tiny", quiet=True)


def test_without_its_lock_file_it_is_said_that_a_clone_is_needed(box: Toolbox) -> None:
    (box.clone / "tools" / "python" / "tiny.lock").unlink()
    with pytest.raises(LabError, match="needs a clone of the course"):
        tools.ensure("tiny", quiet=True)
