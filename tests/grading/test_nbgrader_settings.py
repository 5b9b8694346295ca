"""The exchange of who tries everything alone: there only while nobody has set up another."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from traitlets.config import Config

from iaclab.grading import nbgrader_settings as settings


@pytest.fixture
def jupyter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One of the folders where Jupyter looks for settings, empty; no exchange on this machine."""
    folder = tmp_path / "etc"
    folder.mkdir()
    monkeypatch.setattr("jupyter_core.paths.jupyter_config_path", lambda: [str(folder)])
    monkeypatch.setattr(settings, "EXCHANGE", tmp_path / "usr/local/share/nbgrader/exchange")
    return folder


def test_without_an_exchange_the_course_has_one_for_its_owner_alone(jupyter: Path, tmp_path: Path) -> None:
    for _ in range(2):
        c = Config()
        settings.exchange_to_try(c, tmp_path)
        assert c.Exchange.root == str(tmp_path / "exchange" / "alone")
    assert stat.S_IMODE((tmp_path / "exchange").stat().st_mode) == 0o700


def test_an_exchange_of_the_machine_is_left_alone(jupyter: Path, tmp_path: Path) -> None:
    settings.EXCHANGE.mkdir(parents=True)
    c = Config()
    settings.exchange_to_try(c, tmp_path)
    assert "Exchange" not in c and not (tmp_path / "exchange").exists()


@pytest.mark.parametrize("name", ["nbgrader_config.py", "nbgrader_config.json"])
def test_settings_of_the_machine_or_the_user_count(jupyter: Path, tmp_path: Path, name: str) -> None:
    (jupyter / name).write_text("")
    c = Config()
    settings.exchange_to_try(c, tmp_path)
    assert "Exchange" not in c and not (tmp_path / "exchange").exists()
