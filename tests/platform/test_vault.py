"""The vault as its users see it: sealed and opened, failing over, reset, asked by pods' identities."""

from __future__ import annotations

import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from running import listening, shell, state_of, taken, wait_until

from iaclab.errors import LabError
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import vault as service
from iaclab.platform.vault import api, nodes, seal

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("vault", state=tmp_path_factory.mktemp("vault"))
    lifecycle.up("vault", "cluster", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture
def clean(running: Profile) -> Profile:
    lifecycle.up("vault", profile=running)
    return lifecycle.reset(profile=running)


def vault(profile: Profile, *args: str) -> dict[str, Any]:
    """Run `vault` with the first two or three words, and read the JSON that it prints."""
    return dict(json.loads(shell(profile, "env", "VAULT_FORMAT=json", "BAO_FORMAT=json", "vault", *args).stdout))


def kept(profile: Profile) -> dict[str, Any]:
    """What is written by `keep`."""
    return dict(vault(profile, "kv", "get", "-mount=kept", "model")["data"]["data"])


def keep(profile: Profile) -> None:
    shell(profile, "vault", "secrets", "enable", "-path=kept", "kv-v2")
    shell(profile, "vault", "kv", "put", "-mount=kept", "model", "owner=fraud")


def pids(profile: Profile) -> dict[str, int]:
    """The nodes' processes, by the configuration that each was given."""
    found = {}
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        for node in nodes.NODES:
            if f"{nodes.folder(profile)}/{node}/config.json" in line:
                found[node] = process.pid
    return found


def test_three_nodes_follow_one_leader_over_tls_on_loopback_only(clean: Profile) -> None:
    peers = vault(clean, "operator", "raft", "list-peers")["data"]
    servers = peers["config"]["servers"]
    assert sorted(server["leader"] for server in servers) == [False, False, True]
    assert all(server["voter"] for server in servers), "right after a reset the loss of one leaves a quorum"
    sockets = listening([psutil.Process(pid) for pid in pids(clean).values()])
    assert len(sockets) >= 6 and {socket.ip for socket in sockets} == {"127.0.0.1"}
    assert "three nodes" in state_of(clean)["vault"].title


def test_nobody_else_can_read_shares_token_or_log(clean: Profile) -> None:
    private = [seal.share(clean, n) for n in range(1, seal.SHARES + 1)] + [nodes.audit_log(clean)]
    private.append(nodes.folder(clean) / "token")
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert not seal.root_token(clean).exists()
    token = service.client_token(clean)
    assert token not in nodes.audit_log(clean).read_text()
    commands = [" ".join(psutil.Process(pid).cmdline()) for pid in pids(clean).values()]
    assert len(commands) == 3 and not any(token in command for command in commands)


def test_a_sealed_vault_says_so_and_up_opens_it(clean: Profile) -> None:
    keep(clean)
    os.kill(pids(clean)["node-1"], signal.SIGKILL)
    for node in nodes.NODES[1:]:
        wait_until(lambda n=node: api.leader(clean, n) != "", "a leader is elected")
    shell(clean, "vault", "operator", "seal")
    wait_until(lambda: state_of(clean)["vault"].state != "ready", "its state is told")
    assert "iaclab up vault" in state_of(clean)["vault"].detail
    lifecycle.up("vault", profile=clean)
    assert kept(clean) == {"owner": "fraud"}


def test_reads_go_on_when_the_leader_is_killed(clean: Profile) -> None:
    keep(clean)
    address = api.leader(clean, "node-2")
    leader = next(node for node in nodes.NODES if nodes.address(clean, node) == address)
    os.kill(pids(clean)[leader], signal.SIGKILL)
    assert kept(clean) == {"owner": "fraud"}
    lifecycle.up("vault", profile=clean)


def test_nodes_whose_ports_were_taken_find_each_other_on_new_ones(clean: Profile) -> None:
    keep(clean)
    names = [name for node in nodes.NODES for name in (f"vault.{node}", f"vault.{node}-raft")]
    before = clean.ports
    lifecycle.down("vault", profile=clean)
    with taken(*(before[name] for name in names)):
        lifecycle.up("vault", profile=clean)
    assert not {before[name] for name in names} & set(clean.ports.values())
    assert peers(clean) == {node: nodes.raft_address(clean, node) for node in nodes.NODES}
    leader = next(node for node in nodes.NODES if nodes.address(clean, node) == api.leader(clean, "node-1"))
    os.kill(pids(clean)[leader], signal.SIGKILL)
    assert kept(clean) == {"owner": "fraud"}, "the other two elect a leader, over their new addresses"
    lifecycle.up("vault", profile=clean)
    lifecycle.reset(profile=clean)  # from a copy that was made with the old ports
    assert peers(clean) == {node: nodes.raft_address(clean, node) for node in nodes.NODES}
    assert "kept/" not in vault(clean, "secrets", "list")


def peers(profile: Profile) -> dict[str, str]:
    """The address of each node as the leader has it."""
    servers = vault(profile, "operator", "raft", "list-peers")["data"]["config"]["servers"]
    return {server["node_id"]: server["address"] for server in servers}


def test_a_reset_takes_what_was_written_and_its_log(clean: Profile) -> None:
    shell(clean, "vault", "secrets", "enable", "-path=gone", "kv-v2")
    assert "gone" in nodes.audit_log(clean).read_text()
    lifecycle.reset(profile=clean)
    assert "gone/" not in vault(clean, "secrets", "list")
    assert '"gone"' not in nodes.audit_log(clean).read_text()


def test_a_service_account_of_the_cluster_logs_in_and_reads_what_its_role_may(clean: Profile, tmp_path: Path) -> None:
    script = tmp_path / "roles.sh"
    script.write_text(
        """set -e
vault secrets enable -path=ml kv-v2 && vault kv put -mount=ml fraud key=1 && vault kv put -mount=ml vision key=2
vault policy write fraud - <<< 'path "ml/data/fraud" { capabilities = ["read"] }'
kubectl create namespace fraud && kubectl -n fraud create serviceaccount trainer
kubectl create clusterrolebinding reviewer --clusterrole=system:auth-delegator --serviceaccount=fraud:trainer
vault auth enable kubernetes
kubectl config view --raw --minify --flatten -o jsonpath='{.clusters[0].cluster.certificate-authority-data}' |
  base64 -d > ca.crt
vault write auth/kubernetes/config kubernetes_ca_cert=@ca.crt \\
  kubernetes_host="$(kubectl config view --minify -o jsonpath='{.clusters[0].cluster.server}')"
vault write auth/kubernetes/role/fraud bound_service_account_names=trainer bound_service_account_namespaces=fraud \\
  token_policies=fraud ttl=5m
kubectl -n fraud create token trainer > jwt
token=$(vault write -field=token auth/kubernetes/login role=fraud jwt=@jwt)
VAULT_TOKEN=$token BAO_TOKEN=$token vault kv get -mount=ml -field=key fraud
! VAULT_TOKEN=$token BAO_TOKEN=$token vault kv get -mount=ml -field=key vision 2> refused
kubectl -n fraud create serviceaccount other && kubectl -n fraud create token other > jwt
! vault write auth/kubernetes/login role=fraud jwt=@jwt 2>> refused
cat refused
"""
    )
    said = shell(clean, "bash", "roles.sh", cwd=tmp_path).stdout
    assert "\n1" in f"\n{said}"
    assert "permission denied" in said
    assert "service account name not authorized" in said


@pytest.mark.parametrize("share", ["", "AAAA"])
def test_a_lost_or_wrong_share_is_named(clean: Profile, share: str) -> None:
    right = {n: seal.share(clean, n).read_text() for n in (1, 2, 3)}
    shell(clean, "vault", "operator", "seal")
    try:
        for n in right:
            seal.share(clean, n).write_text(share)
        with pytest.raises(LabError, match="stays sealed") as caught:
            seal.unseal(clean)
        assert "share-1" in str(caught.value.why) and caught.value.mend
    finally:
        for n, text in right.items():
            seal.share(clean, n).write_text(text)
        lifecycle.up("vault", profile=clean)
