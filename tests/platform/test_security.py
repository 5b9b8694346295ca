"""Loopback only, credentials for the owner alone and never in a command line, TLS where a component has it."""

from __future__ import annotations

import socket
import ssl
import stat
import time
from pathlib import Path

import httpx
import pytest
from argo import application, deployment, push, wait_synced
from running import listening, processes_of, state_of

from iaclab.platform.profile import Profile
from iaclab.platform.services import git

pytestmark = pytest.mark.platform


def test_everything_listens_on_loopback_only(platform: Profile) -> None:
    family = processes_of(platform)
    assert {pid for s in state_of(platform).values() for pid in s.processes.values()} <= {p.pid for p in family}
    addresses = listening(family)
    assert len(addresses) > 20
    assert {address.ip for address in addresses} == {"127.0.0.1"}
    assert {address.port for address in addresses} <= set(platform.ports.values()), "a port that no profile knows of"


def test_no_command_line_holds_a_credential(platform: Profile) -> None:
    """`ps` shows command lines to every user of the machine."""
    secrets = {p.name: p.read_text().strip() for p in (platform.root / "secrets").iterdir()}
    keys = {p.name: p.read_text().splitlines()[1] for p in (platform.root / "pki").glob("*.key")}
    assert {"argocd-admin", "git-learner", "redis"} <= secrets.keys()
    for process in processes_of(platform):
        line = " ".join(process.cmdline())
        shown = [name for name, secret in (secrets | keys).items() if secret in line]
        assert not shown, f"{process.name()} shows {shown}"


def test_every_file_is_for_the_owner_alone(platform: Profile) -> None:
    root = platform.root
    assert stat.S_IMODE(root.stat().st_mode) == stat.S_IMODE(platform.run_dir.stat().st_mode) == 0o700
    modes = {
        path: stat.S_IMODE(path.stat().st_mode)
        for folder in ("secrets", "pki", "snapshots", "conf.d", "cluster", "cluster-b", "redis", "logs")
        for path in (root / folder).rglob("*")
        if path.is_file()
    }
    modes |= {path: stat.S_IMODE(path.stat().st_mode) for path in root.iterdir() if path.is_file()}
    assert len(modes) > 40
    assert not {str(p.relative_to(root)): oct(mode) for p, mode in modes.items() if mode & 0o077}
    assert not [
        p for p in root.rglob("*") if p.is_dir() and stat.S_IMODE(p.stat().st_mode) & 0o077 and p.parent == root
    ]


@pytest.mark.parametrize(
    "port",
    [
        "cluster.etcd",
        "cluster.peer",
        "cluster.apiserver",
        "cluster.controllers",
        "cluster.scheduler",
        "cluster.kwok",
        "argocd.server",
        "argocd.repo",
    ],
)
def test_tls_is_spoken_with_a_certificate_of_the_profile(platform: Profile, port: str) -> None:
    context = ssl.create_default_context(cafile=str(platform.ca))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection(("127.0.0.1", platform.port(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        assert (secure.version() or "") >= "TLSv1.2"


@pytest.mark.parametrize("port", ["cluster.etcd", "argocd.repo"])
def test_who_has_no_certificate_is_turned_away(platform: Profile, port: str) -> None:
    """etcd holds every Secret, and the repo-server renders what it is told: both want a client's certificate."""
    context = ssl.create_default_context(cafile=str(platform.ca))
    context.set_alpn_protocols(["h2"])
    with (
        pytest.raises((ssl.SSLError, ConnectionError)),
        socket.create_connection(("127.0.0.1", platform.port(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as secure,
    ):
        secure.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        while secure.recv(100):  # a refused certificate is told after the handshake
            pass
        raise ConnectionError("closed without a word")


def test_an_api_without_credentials_tells_nothing(platform: Profile) -> None:
    context = ssl.create_default_context(cafile=str(platform.ca))
    with httpx.Client(verify=context, trust_env=False, timeout=60) as http:
        base = f"https://127.0.0.1:{platform.port('cluster.apiserver')}"
        assert http.get(f"{base}/api/v1/secrets").status_code in (401, 403)
        argo = f"https://127.0.0.1:{platform.port('argocd.server')}"
        assert http.get(f"{argo}/api/v1/applications").status_code == 401
    with socket.create_connection(("127.0.0.1", platform.port("redis")), timeout=5) as redis:
        redis.sendall(b"KEYS *\r\n")
        assert redis.recv(100).startswith(b"-NOAUTH")


def test_a_push_reaches_argo_cd_through_the_signed_webhook(platform: Profile, tmp_path: Path) -> None:
    """Argo CD asks Git by itself only every minute: two pushes in a row cannot both be there sooner by chance."""
    first = push(platform, tmp_path, deployment("hooked"), repository="hooked")
    application(platform, "hooked", "hooked", repository="hooked")
    wait_synced(platform, "hooked", first)
    for replicas in (2, 3):
        started = time.monotonic()
        commit = push(platform, tmp_path, deployment("hooked", replicas=replicas), repository="hooked")
        wait_synced(platform, "hooked", commit, within=45)
        print(f"a push was live after {time.monotonic() - started:.1f} s")
    forged = httpx.post(
        f"https://127.0.0.1:{platform.port('argocd.server')}/api/webhook",
        headers={"X-GitHub-Event": "push", "X-Hub-Signature": "sha1=" + "0" * 40},
        json={"ref": "refs/heads/main", "repository": {"html_url": f"{git.url(platform)}/hooked.git"}},
        verify=ssl.create_default_context(cafile=str(platform.ca)),
        trust_env=False,
        timeout=60,
    )
    assert forged.status_code == 400, "an unsigned push was believed"
