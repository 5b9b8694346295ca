"""A real JupyterLab, started by `iaclab lab` on a copy of the notebooks, and a headless Chromium that looks at it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from notebook_page import PATIENCE, NotebookPage
from playwright.sync_api import Browser, sync_playwright

from iaclab import paths

ROOT = paths.repo_root()
assert ROOT is not None
# As root, Chromium's sandbox does not start; the rest keeps it from asking anything outside.
FLAGS = [
    *(["--no-sandbox"] if os.getuid() == 0 else []),
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--pictures", type=Path, help="save the README's pictures into this folder")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        pytest.skip("no Chromium on PATH: sudo apt install chromium, or install Google Chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that JupyterLab shows."""
    return tmp_path_factory.mktemp("lab") / "course"


@pytest.fixture(scope="module")
def lab(course: Path) -> Iterator[str]:
    """The address of JupyterLab with a fresh profile; JupyterLab saves what it runs, so it works on a copy."""
    base = course.parent
    for folder in ("notebooks", "lectures", "labs"):
        shutil.copytree(ROOT / folder, base / "course" / folder, ignore=shutil.ignore_patterns("workspace", ".*"))
    (base / "jupyter").mkdir()
    (base / "jupyter/jupyter_server_config.json").write_text('{"LabApp": {"expose_app_in_browser": true}}')
    env = {
        **os.environ,
        "IACLAB_STATE": str(base / "state"),
        "IACLAB_WORKSPACE": str(base / "course/workspace"),
        "IACLAB_STRICT_CHECKS": "1",
        "JUPYTER_CONFIG_DIR": str(base / "home"),  # a new user: no settings, no remembered layout
        "JUPYTER_CONFIG_PATH": str(base / "jupyter"),
    }
    command = [sys.executable, "-m", "iaclab.cli", "lab", "--no-browser", f"--root={base / 'course'}"]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, "")
        yield next(line.split()[1] for line in lines if line.startswith("JupyterLab  http"))
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=180)
    assert process.returncode == 0 and "Stopped" in rest, f"`iaclab lab` ended with {process.returncode}: {rest}"


@pytest.fixture(scope="module")
def notebooks(chromium: Browser, lab: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NotebookPage]:
    """JupyterLab in a window of a laptop's size."""
    page = chromium.new_page(viewport={"width": 1280, "height": 840}, device_scale_factor=1.5)
    page.goto(lab, timeout=PATIENCE * 1000)
    yield NotebookPage(page, tmp_path_factory.mktemp("screenshots"))
    page.close()
