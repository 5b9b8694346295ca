"""The services, for real: up, what listens, and down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator

import psutil
import pytest

from iaclab.errors import LabError
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform


@pytest.fixture
def platform() -> Iterator[Profile]:
    profile = Profile()
    lifecycle.up("argocd", "cluster-b", profile=profile)
    try:
        yield profile
    finally:
        lifecycle.down(profile=profile)


def processes(profile: Profile) -> dict[str, int]:
    return {name: pid for s in lifecycle.status(profile) for name, pid in s.processes.items()}


def kubectl(profile: Profile, *args: str) -> str:
    run = subprocess.run(
        ["kubectl", *args], env={**os.environ, **profile.env()}, capture_output=True, text=True, timeout=60, check=True
    )
    return run.stdout


def test_everything_listens_on_loopback_only_and_down_leaves_nothing() -> None:
    profile = Profile()
    lifecycle.up("argocd", "cluster-b", profile=profile)
    try:
        known = set(processes(profile).values())
        family = [
            p
            for p in psutil.process_iter()
            if p.pid in known or (p.name() == "supervisord" and known & {q.pid for q in p.children()})
        ]
        listening = [c for p in family for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        assert len(listening) > 10
        assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::1"}
    finally:
        lifecycle.down(profile=profile)
    assert not [p.pid for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
    ports = {c.laddr.port for c in listening}
    assert not [c for c in psutil.net_connections("inet") if c.status == psutil.CONN_LISTEN and c.laddr.port in ports]


@pytest.mark.parametrize("victim", ["etcd", "apiserver"])
def test_a_killed_process_comes_back_and_no_object_is_lost(platform: Profile, victim: str) -> None:
    kubectl(platform, "create", "configmap", "kept", "--from-literal=value=1", "-n", "default")
    status = next(s for s in lifecycle.status(platform) if s.name == "cluster")
    name = next(n for n in status.processes if victim in n)
    old = status.processes[name]
    os.kill(old, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        status = next(s for s in lifecycle.status(platform) if s.name == "cluster")
        if status.state == "ready" and status.processes.get(name, old) != old:
            break
        time.sleep(0.5)
    else:
        pytest.fail(f"{name} did not come back: {status}")
    assert json.loads(kubectl(platform, "get", "configmap", "kept", "-n", "default", "-o", "json"))["data"] == {
        "value": "1"
    }


def test_an_unknown_service_is_named_with_those_that_exist() -> None:
    with pytest.raises(LabError) as error:
        lifecycle.up("argcd", profile=Profile())
    assert "argcd" in str(error.value)
