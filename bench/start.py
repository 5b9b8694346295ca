"""What a learner waits for: the import, JupyterLab's page; and how long each tool took to get here."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import httpx

from bench.table import Row, median, timed
from iaclab import paths

TITLE = "Start"
PAGE = "notebooks/01-learning-path.ipynb"  # what is next, and what was earned
_WIDGET = "application/vnd.jupyter.widget-view+json"


def rows() -> Iterator[Row]:
    """The measurements."""
    python = sys.executable
    plain = median([timed(lambda: subprocess.run([python, "-c", "pass"], check=True)) for _ in range(5)])
    whole = median([timed(lambda: subprocess.run([python, "-c", "import iaclab"], check=True)) for _ in range(5)])
    yield Row("import iaclab", whole - plain, at_most=0.3)
    yield Row("make lab, tools cached, to JupyterLab's page", _make_lab(), at_most=15)
    shown, over = _page()
    yield Row("the learning path shows its table and buttons, once its kernel is up", shown, at_most=3)
    yield Row("its last cell has run", over)
    from iaclab.tools import install

    if install.times_file().exists():
        for name, entry in sorted(json.loads(install.times_file().read_text()).items()):
            yield Row(f"{name} {entry['version']}", entry["seconds"], than=f"installed here by {entry['source']}")


def _page() -> tuple[float, float]:
    """Seconds from a kernel that is up until the page's widget is there to be clicked, and until its last cell ended.

    The cells run one after the other, as with Run All. What the browser takes to draw the widget comes on top:
    `pytest -s tests/browser -k learning_path` prints that, with a real one.
    """
    import nbformat
    from nbclient import NotebookClient

    root = paths.repo_root()
    assert root is not None
    path = root / PAGE
    client = NotebookClient(nbformat.read(path, as_version=4), resources={"metadata": {"path": str(path.parent)}})
    shown = None
    with client.setup_kernel():
        started = time.monotonic()
        for index, cell in enumerate(client.nb.cells):
            client.execute_cell(cell, index)
            if shown is None and any(_WIDGET in output.get("data", {}) for output in cell.get("outputs", [])):
                shown = time.monotonic() - started
        over = time.monotonic() - started
    if shown is None:
        raise RuntimeError(f"{PAGE} shows no widget")
    return shown, over


def _make_lab() -> float:
    root = paths.repo_root()
    env = {**os.environ, "BROWSER": "true"}
    command = ["make", "-s", "lab"]
    process = subprocess.Popen(
        command, cwd=root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert process.stdout is not None

    def work() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S*token=\w+", line):
                httpx.get(found[0], follow_redirects=True, timeout=30, trust_env=False).raise_for_status()
                return
        raise RuntimeError("make lab ended before it named its page")

    try:
        return timed(work)
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
