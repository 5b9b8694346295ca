"""Lecture 1 with OpenTofu under Terraform's name, as on a machine where Terraform's release cannot be had."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_lessons import ROOT, nbval

from iaclab import lessons, paths
from iaclab.platform import lifecycle
from iaclab.tools import found
from iaclab.tools.catalogue import tool


@pytest.fixture
def with_opentofu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A cache where the build of `terraform` is OpenTofu's, and no other terraform first on PATH."""
    tofu = found.in_cache(tool("tofu"))
    if tofu is None:
        pytest.skip("OpenTofu is not in the cache: iaclab tools install tofu")
    cache = tmp_path / "cache"
    (cache / "tools").mkdir(parents=True)
    for folder in (paths.cache_dir() / "tools").iterdir():
        if folder.name != "terraform" and not folder.name.startswith("."):
            (cache / "tools" / folder.name).symlink_to(folder)
    home = cache / "tools" / "terraform" / tool("terraform").version
    home.mkdir(parents=True)
    (home / "terraform").symlink_to(tofu.path)
    (home / ".source").write_text("go build")
    monkeypatch.setenv("IACLAB_CACHE", str(cache))
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "terraform").symlink_to(tofu.path)  # hides another one: its version does not fit
    monkeypatch.setenv("PATH", f"{tmp_path / 'first'}{os.pathsep}{os.environ['PATH']}")
    assert (here := found.find("terraform")) and here.version == tofu.version
    yield {**os.environ, "IACLAB_STRICT_CHECKS": "1"}
    lifecycle.down()


@pytest.mark.platform
@pytest.mark.if_time(minutes=15)
def test_lecture_1_runs_with_opentofu_too(with_opentofu: dict[str, str]) -> None:
    nbval(ROOT / lessons.lesson("01-advanced-terraform").notebook, with_opentofu)
