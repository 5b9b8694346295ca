"""Every test has a state folder and a workspace of its own; the tools' cache is the user's."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

LESSONS = "test_lessons.py"


def pytest_xdist_auto_num_workers() -> int:
    """One more than there are processors: with as many, a third of their time is spent waiting for services."""
    return (os.cpu_count() or 1) + 1


class Scheduling(LoadScopeScheduling):
    """A file is one worker's, in its order; of the lessons, the longest work, each is: both of its runs."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid.rpartition("-")[0] if file.endswith(LESSONS) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """In place of --dist."""
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The lessons first, so that no worker is left with one at the end."""
    items.sort(key=lambda item: item.path.name != LESSONS)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that passed when run once more is told with why it failed at first: it is a fault of ours all the same."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"failed at first: {report.nodeid}", "_")
        terminalreporter.write_line(report.longreprtext)


@pytest.fixture(autouse=True)
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("IACLAB_WORKSPACE", str(tmp_path / "workspace"))
    monkeypatch.delenv("IACLAB_KUBECONFIG", raising=False)


@pytest.fixture(autouse=True)
def own_environment() -> Iterator[None]:
    """What a test sets for a learner's shell (PATH above all) is not there for the next one."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
