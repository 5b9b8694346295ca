"""Every lesson from a fresh profile: seconds and memory. With IACLAB_WRITE_MEASURED=1 they go into its front matter."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from nbclient import NotebookClient

from bench import memory
from bench.table import Row, timed
from iaclab import lessons, paths
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

TITLE = "Lessons, every cell, from a fresh profile"


def rows() -> Iterator[Row]:
    """Two rows a lesson."""
    for lesson in lessons.lessons():
        if lesson.source.parent.name == "labs":  # unfilled, it shows nothing
            continue
        os.environ["IACLAB_PROFILE"] = f"lesson-{lesson.id[:2]}"
        peak = _Peak()
        with peak:
            seconds = timed(lambda: _run(lesson))  # noqa: B023, it runs at once
        lifecycle.down(profile=Profile())
        yield Row(lesson.id, seconds)
        yield Row(f"{lesson.id}, memory of its services", peak.resident / 1e9, "GB")
        if os.environ.get("IACLAB_WRITE_MEASURED"):
            _write(lesson.source, round(seconds), round(peak.resident / 1e6, -1))


def _run(lesson: lessons.Lesson) -> None:
    import nbformat

    root = paths.repo_root()
    assert root is not None
    path = root / lesson.notebook
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()


class _Peak:
    """The largest memory of the profile's processes, shared pages once, looked at every five seconds (bytes)."""

    def __init__(self) -> None:
        self.resident = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(5):
            pids = [pid for s in lifecycle.status(Profile()) for pid in s.processes.values()]
            self.resident = max(self.resident, memory.shared_once(pids))


def _write(source: Path, seconds: int, memory_mb: float) -> None:
    text = source.read_text()
    line = f"  measured: {{seconds: {seconds}, memory_mb: {memory_mb:.0f}, on: {time.strftime('%Y-%m-%d')}}}\n"
    text = re.sub(r"^  measured: .*\n", "", text, count=1, flags=re.MULTILINE)
    source.write_text(re.sub(r"^(  minutes: .*\n)", rf"\1{line}", text, count=1, flags=re.MULTILINE))
