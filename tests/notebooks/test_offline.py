"""Where lecture 4 runs in test_lessons: with the tools in the cache, it needs nothing from outside."""

from __future__ import annotations

import subprocess
import sys

import cut_off
import pytest


def test_the_network_is_cut_off() -> None:
    if not cut_off.possible():
        pytest.skip("unshare -rn is not allowed here: no way to cut the network off, so lecture 4 ran with one")
    connect = "import socket; socket.create_connection(('192.0.2.1', 9), timeout=5)"  # an address of nobody, RFC 5737
    with cut_off.network() as within:
        done = subprocess.run([*within, sys.executable, "-c", connect], capture_output=True, text=True)
    assert "Network is unreachable" in done.stderr, done.stderr
