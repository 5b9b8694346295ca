"""The workers' own doors: two gradings side by side, what others can read, and a scheduler without workers."""

from __future__ import annotations

import warnings

import distributed
import httpx
import psutil
import pytest

from iaclab.errors import LabError
from iaclab.grading import nbgrader_pool
from iaclab.grading.nbgrader_pool import Pool

PAGES = ("info/main/workers.html", "info/main/logs.html", "json/counts.json", "metrics", "status")


def test_two_gradings_at_once_are_quiet_and_their_pages_say_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # such as that a port is taken
        with Pool(1), Pool(1):
            here = psutil.Process()
            ports = {
                (found.laddr.ip, found.laddr.port)
                for process in [here, *here.children(recursive=True)]
                for found in process.net_connections("tcp")
                if found.status == psutil.CONN_LISTEN
            }
            read = [f"{port}/{page}" for _, port in ports for page in PAGES if _answers(port, page)]
    assert len(ports) >= 4
    assert {address for address, _ in ports} == {"127.0.0.1"}
    assert read == []


def test_a_scheduler_without_a_worker_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the first job would wait for ever, without a word."""
    monkeypatch.setattr(nbgrader_pool, "_WORKERS", 1)
    with distributed.LocalCluster(n_workers=0, host="127.0.0.1", dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        with pytest.raises(LabError, match="has no worker") as error:
            Pool(1, address)
    assert f"dask worker {address}" in str(error.value)


def _answers(port: int, page: str) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/{page}", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:  # no HTTP
        return False
