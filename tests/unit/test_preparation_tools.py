"""A lesson's first cell brings the tools that only this lesson calls."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from iaclab import lessons, preparation
from iaclab.platform import lifecycle
from iaclab.tools import install


def test_tools_that_are_not_here_are_brought_and_the_others_left_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []
    monkeypatch.setenv("IACLAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("IACLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "")  # `prepare` sets it; this brings it back
    monkeypatch.chdir(tmp_path)
    here = {name: SimpleNamespace(path=tmp_path / name) for name in lessons.lesson("08-secrets-management").tools}
    monkeypatch.setattr(install.found, "find", lambda name: None if name == "sops" else here[name])
    monkeypatch.setattr(install.found, "link", lambda *_: None)
    monkeypatch.setattr(install, "_install", lambda missing, _: asked.extend(entry.name for entry in missing) or {})
    monkeypatch.setattr(lifecycle, "up", lambda *names, **_: asked.append("up"))
    preparation.prepare("08-secrets-management")
    assert len(here) > 1
    assert asked == ["sops", "up"], "before the services, and only what is missing"
