"""Binder: postBuild and start are executed as an image would, in a fresh environment and an empty home.

The packages come from uv's cache, the tools from a mirror on loopback. The image itself is not built.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from project.releases import Releases
from unit.mirror import Mirror

from iaclab import lessons, paths
from iaclab.platform import registry

ROOT = paths.repo_root()
assert ROOT is not None
START_PAGE = lessons.lesson("00-start-here")
ARGOCD = lessons.lesson("04-argocd-deployment")


@dataclass
class Image:
    """An environment that knows nothing of this machine's user."""

    home: Path
    prefix: Path
    env: dict[str, str]

    def run(self, script: str, *arguments: str, seconds: float = 300, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "binder" / script, *arguments],
            cwd=ROOT,
            env={**self.env, **more},
            capture_output=True,
            text=True,
            timeout=seconds,
        )


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    """Python, pip, uv and git, as environment.yml brings them, and the releases of the tools."""
    base = tmp_path_factory.mktemp("image")
    (base / "home").mkdir()
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, base / "env"], check=True)
    shutil.copy(uv, base / "env/bin/uv")
    cache = subprocess.run([uv, "cache", "dir"], check=True, capture_output=True, text=True).stdout.strip()
    with Mirror() as mirror:
        mirror.files = Releases()
        env = {
            "HOME": str(base / "home"),
            "PATH": f"{base / 'env/bin'}:/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "UV_CACHE_DIR": cache,
            "UV_OFFLINE": "1",
            "IACLAB_MIRROR": mirror.url,
            "IACLAB_WORKSPACE": str(base / "workspace"),
        }
        yield Image(base / "home", base / "env", env)


def test_the_build_fails_loudly_where_a_tool_cannot_be_had(image: Image, tmp_path: Path) -> None:
    done = image.run(
        "postBuild", "kube-apiserver", IACLAB_MIRROR="http://127.0.0.1:9", IACLAB_CACHE=str(tmp_path / "cache")
    )
    assert done.returncode != 0
    assert "kube-apiserver" in done.stderr and "cannot be installed" in done.stderr, done.stdout + done.stderr


def test_the_built_image_runs_the_start_page_without_the_mirror(image: Image) -> None:
    wanted = [t for service in registry.with_needs([*START_PAGE.needs, *ARGOCD.needs]) for t in service.tools]
    build = image.run("postBuild", *wanted)
    assert build.returncode == 0, build.stdout[-3000:] + build.stderr[-3000:]
    without_mirror = {"IACLAB_MIRROR": "http://127.0.0.1:9", "IACLAB_STRICT_CHECKS": "1"}
    try:
        run = image.run("start", "jupyter", "execute", str(ROOT / START_PAGE.notebook), **without_mirror)
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    finally:
        image.run("start", "iaclab", "down")
    sources = {
        note.parent.parent.name: note.read_text() for note in image.prefix.glob("share/iaclab/tools/*/*/.source")
    }
    assert sources.keys() >= {*wanted} - {"git"} and {*sources.values()} <= {"release", "wheel"}, sources
    assert not (image.home / ".cache/iaclab").exists(), "a hub may mount a volume over the home"


def test_a_container_opens_on_the_start_page(image: Image) -> None:
    command = [ROOT / "binder/start", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1", "--port=0"]
    command += ["--allow-root"] if os.getuid() == 0 else []
    server = psutil.Popen(command, cwd=ROOT, env=image.env, stderr=subprocess.DEVNULL)
    try:
        info = _info(image.home / f".local/share/jupyter/runtime/jpserver-{server.pid}.json")
        page = httpx.get(info["url"], params={"token": info["token"]}, follow_redirects=True, timeout=60)
        assert page.status_code == 200 and page.url.path == f"/lab/tree/{START_PAGE.notebook}"
    finally:
        server.terminate()
        server.wait(20)


def _info(file: Path) -> dict[str, str]:
    """What the server says of itself, as soon as it does."""
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            info = json.loads(file.read_text())
            httpx.get(info["url"], timeout=60)
            return dict(info)
        except (OSError, ValueError, httpx.HTTPError):
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start: no {file} that answers")


def test_binder_reads_the_environment_that_conda_users_read() -> None:
    ours, binders = ROOT / "environment.yml", ROOT / "binder/environment.yml"
    assert binders.resolve() == ours.resolve()
    packages = {package.split("=")[0].rstrip("<>") for package in yaml.safe_load(ours.read_text())["dependencies"]}
    assert {"python", "pip", "uv", "git", "make", "go"} <= packages


@pytest.mark.parametrize("script", ["postBuild", "start"])
def test_repo2docker_can_execute_the_scripts(script: str) -> None:
    path = ROOT / "binder" / script
    assert os.access(path, os.X_OK), f"chmod +x {path}"
    assert path.read_text().startswith("#!/usr/bin/env bash\n")
