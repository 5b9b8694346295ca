"""Every test has a state folder and a workspace of its own; the tools' cache is the user's."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

LESSONS = "test_lessons.py"
UNTIL = "IACLAB_TESTS_UNTIL"  # seconds since 1970; unset, there is time for every test


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
    """The lessons first, so that no worker is left with one at the end; last the files with what may be left out."""
    last = {item.path for item in items if item.get_closest_marker("if_time")}
    items.sort(key=lambda item: (item.path.name != LESSONS, item.path in last))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """A machine that has little time leaves out what shows once more, on another way, what a shorter test shows."""
    mark, until = item.get_closest_marker("if_time"), os.environ.get(UNTIL)
    if mark and until and time.time() + 60 * mark.kwargs["minutes"] > float(until):
        pytest.skip(f"this machine is too slow for it in the time that {UNTIL} gives: `make test` has no such limit")


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
