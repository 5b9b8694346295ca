"""On macOS the cells find GNU's programs where Homebrew has put them, and the doctor says what is missing."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from iaclab.platform import gnu
from iaclab.platform.profile import Profile


@pytest.fixture
def homebrew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(gnu, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(gnu, "_HOMEBREW", (tmp_path / "homebrew", tmp_path / "nowhere"))
    return tmp_path / "homebrew" / "opt"


def test_what_homebrew_has_comes_before_the_systems_programs(homebrew: Path) -> None:
    assert gnu.missing() == ["coreutils", "gnu-sed", "bash"]
    sed, bash = homebrew / "gnu-sed" / "libexec" / "gnubin", homebrew / "bash" / "bin"
    for folder in (sed, bash):
        folder.mkdir(parents=True)
    assert gnu.missing() == ["coreutils"]
    path = Profile("mac").env()["PATH"].split(os.pathsep)
    assert path.index(str(sed)) < path.index("/usr/bin") and path.index(str(bash)) < path.index("/usr/bin")


def test_elsewhere_nothing_is_added(homebrew: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (homebrew / "bash" / "bin").mkdir(parents=True)
    monkeypatch.setattr(gnu, "sys", SimpleNamespace(platform="linux"))
    assert gnu.folders() == gnu.missing() == []
