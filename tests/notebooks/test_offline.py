"""The lecture with the network cut off: with the tools in the cache, nothing is fetched from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_lessons import ROOT, nbval

from iaclab import lessons
from iaclab.platform import lifecycle

CUT_OFF = ("unshare", "-rn", sys.executable, str(Path(__file__).with_name("cut_off.py")))


@pytest.fixture
def cut_off() -> Iterator[tuple[str, ...]]:
    """The start of a command line for programs that reach nothing but loopback."""
    if not shutil.which("unshare") or subprocess.run([*CUT_OFF, "true"], capture_output=True).returncode:
        pytest.skip("unshare -rn is not allowed here: no way to cut the network off")
    connect = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=5)"  # an address of nobody, RFC 5737
    done = subprocess.run([*CUT_OFF, sys.executable, "-c", connect], capture_output=True, text=True)
    assert "Network is unreachable" in done.stderr, f"the network is not cut off: {done.stderr}"
    yield CUT_OFF
    lifecycle.down()


@pytest.mark.platform
def test_the_argo_cd_lecture_runs_without_a_network(cut_off: tuple[str, ...]) -> None:
    lesson = lessons.lesson("04-argocd-deployment")
    nbval(ROOT / lesson.notebook, {**os.environ, "IACLAB_STRICT_CHECKS": "1"}, *cut_off)
