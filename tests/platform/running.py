"""Looks at a running platform from outside: its processes, its sockets, what kubectl sees."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.supervise import MARK


def command(*args: str) -> list[str]:
    return [sys.executable, "-m", "iaclab.cli", *args]


def processes_of(profile: Profile) -> list[psutil.Process]:
    """Every process with the profile's mark, or in its folder: supervisord, the services' programs, their children."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get(MARK) == str(profile.root) or process.cwd() == str(profile.root)
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def listening(processes: list[psutil.Process]) -> list[Any]:
    return [c.laddr for p in processes for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]


@contextlib.contextmanager
def taken(*ports: int) -> Iterator[None]:
    """Another program listens on these ports: this one."""
    with contextlib.ExitStack() as held:
        for port in ports:
            sock = held.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            wait_until(lambda sock=sock, port=port: _binds(sock, port), f"port {port} is free")
            sock.listen()
        yield


def _binds(sock: socket.socket, port: int) -> bool:
    try:
        sock.bind(("127.0.0.1", port))
    except OSError:  # for a moment it may be the local end of somebody's connection
        return False
    return True


def state_of(profile: Profile) -> dict[str, lifecycle.ServiceStatus]:
    return {service.name: service for service in lifecycle.status(profile)}


def shell(
    profile: Profile, *args: str, cwd: Path | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Runs a program as a learner does, with the profile's environment."""
    env = {**os.environ, **profile.env()}
    done = subprocess.run(args, cwd=cwd, env=env, capture_output=True, text=True, timeout=180)
    if check and done.returncode:
        pytest.fail(f"{' '.join(args)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


def kubectl(profile: Profile, *args: str) -> str:
    return shell(profile, "kubectl", *args).stdout


def objects(profile: Profile, kinds: str, cluster: str = "cluster") -> set[str]:
    """`namespace/name` of every object of a kind, or `kind namespace/name` of several (`pods,services`)."""
    config = str(profile.root / cluster / "kubeconfig")
    items = json.loads(kubectl(profile, "--kubeconfig", config, "get", kinds, "-A", "-o", "json"))["items"]
    names = [(i["kind"], f"{i['metadata'].get('namespace', '')}/{i['metadata']['name']}") for i in items]
    return {f"{kind} {name}" if "," in kinds else name for kind, name in names}


def wait_until(true: Callable[[], bool], what: str, within: float = 180) -> None:
    """Poll; fail with `what` was waited for."""
    deadline = time.monotonic() + within
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"after {within} s still not: {what}")
        time.sleep(0.1)
