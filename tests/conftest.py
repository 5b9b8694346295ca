"""Every test has a state folder and a workspace of its own; the tools' cache is the user's."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("IACLAB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("IACLAB_KUBECONFIG", raising=False)
