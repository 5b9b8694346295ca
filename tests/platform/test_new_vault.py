"""The vault that nobody has initialised: three strangers on loopback, a reader of their log, a reset that takes all."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from running import listening, processes_of, state_of, wait_until

from iaclab.platform import lifecycle
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.services import new_vault

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("new-vault", state=tmp_path_factory.mktemp("new-vault"))
    lifecycle.up("new-vault", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture
def vault(running: Profile) -> Profile:
    """On which nothing was done."""
    lifecycle.reset(profile=running)
    return running


def initialise(profile: Profile) -> dict[str, list[str] | str]:
    """One node initialised and open; its shares and its root token."""
    body = {"secret_shares": 1, "secret_threshold": 1}
    made = new_vault.ask(profile, "POST", "sys/init", body, node="node-1").json()
    new_vault.ask(profile, "POST", "sys/unseal", {"key": made["keys"][0]}, node="node-1").raise_for_status()
    wait_until(lambda: new_vault.ask(profile, "GET", "sys/health").status_code == 200, "it has a leader")
    return dict(made)


def initialised(profile: Profile) -> list[bool]:
    return [bool((new_vault.seal_status(profile, node) or {})["initialized"]) for node in new_vault.NODES]


def test_nobody_has_initialised_it_and_only_loopback_hears_it(vault: Profile) -> None:
    assert initialised(vault) == [False, False, False]
    assert {address.ip for address in listening(processes_of(vault))} == {HOST}


def test_the_audit_log_is_for_who_has_the_token(vault: Profile) -> None:
    env = vault.env()
    token = Path(env["NEW_VAULT_AUDIT_TOKEN_FILE"]).read_text().strip()
    allowed = {"Authorization": f"Bearer {token}"}
    assert httpx.get(env["NEW_VAULT_AUDIT_URL"], headers=allowed, trust_env=False, timeout=60).status_code == 404
    root = str(initialise(vault)["root_token"])
    device = {"type": "file", "options": {"file_path": env["NEW_VAULT_AUDIT_FILE"]}}
    new_vault.ask(vault, "POST", "sys/audit/file", device, token=root).raise_for_status()
    new_vault.ask(vault, "GET", "sys/mounts", token=root).raise_for_status()
    assert "sys/mounts" in httpx.get(env["NEW_VAULT_AUDIT_URL"], headers=allowed, trust_env=False, timeout=60).text
    for headers in ({}, {"Authorization": "Bearer"}, {"Authorization": f"Bearer {token[:-1]}"}):
        refused = httpx.get(env["NEW_VAULT_AUDIT_URL"], headers=headers, trust_env=False, timeout=60)
        assert (refused.status_code, refused.text) == (401, "")
    assert (
        httpx.get(env["NEW_VAULT_AUDIT_URL"] + "/..", headers=allowed, trust_env=False, timeout=60).status_code == 404
    )


def test_a_node_that_is_killed_comes_back_sealed(vault: Profile) -> None:
    initialise(vault)
    killed = state_of(vault)["new-vault"].processes["node-1"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: state_of(vault)["new-vault"].processes.get("node-1", killed) != killed, "it is started again")
    lifecycle.up("new-vault", profile=vault)
    wait_until(lambda: bool((new_vault.seal_status(vault, "node-1") or {}).get("sealed")), "it is sealed")
    assert initialised(vault) == [True, False, False]


def test_a_reset_takes_what_was_made(vault: Profile) -> None:
    initialise(vault)
    new_vault.audit_log(vault).write_text("{}\n")
    lifecycle.reset(profile=vault)
    assert initialised(vault) == [False, False, False]
    assert not new_vault.audit_log(vault).exists()
