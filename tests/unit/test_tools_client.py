"""The clients of package registries: what they say when they fail, and that none outlives its strategy."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import psutil
import pytest

from iaclab.tools import client
from iaclab.tools.source import SourceFailed

LONG = "600"


def run(script: str, stop: threading.Event, folder: Path) -> None:
    client.run(["sh", "-c", script], dict(os.environ), stop, lambda said: said.strip(), folder)


def test_what_it_says_is_the_reason_why_it_failed(tmp_path: Path) -> None:
    run("echo fine", threading.Event(), tmp_path)
    with pytest.raises(SourceFailed, match=r"^no such package$"):
        run("echo no such package >&2; exit 1", threading.Event(), tmp_path)


@pytest.mark.parametrize("deaf", ["", "trap '' INT; "], ids=["", "deaf"])
def test_one_that_is_stopped_ends_with_all_that_it_has_started(tmp_path: Path, deaf: str) -> None:
    stop, child = threading.Event(), tmp_path / "child"
    script = f"{deaf}sleep {LONG} & echo $! > being-written; mv being-written child; wait; sleep {LONG}"

    def stop_it() -> None:
        while not child.exists():
            time.sleep(0.05)
        stop.set()

    threading.Thread(target=stop_it).start()
    started = time.monotonic()
    with pytest.raises(SourceFailed, match="stopped"):
        run(script, stop, tmp_path)
    assert time.monotonic() - started < float(LONG) / 2
    deadline = time.monotonic() + 60
    while is_alive(int(child.read_text())):
        assert time.monotonic() < deadline, "what it has started goes on"
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE  # nobody waits for an orphan in a container
    except psutil.NoSuchProcess:
        return False
