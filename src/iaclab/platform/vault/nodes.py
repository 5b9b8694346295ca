"""The three nodes: their addresses, their configuration files, and the balancer before them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.supervise import Program
from iaclab.platform.vault import implementation

NODES = ("node-1", "node-2", "node-3")
AUDIT = "file"  # the name of the audit device


def folder(profile: Profile) -> Path:
    """Everything of the vault that is on disk."""
    return profile.root / "vault"


def address(profile: Profile, node: str | None = None) -> str:
    """The API's URL: of one node, or of the balancer, which passes on to the active one."""
    return f"https://{HOST}:{profile.port(f'vault.{node}' if node else 'vault')}"


def raft_address(profile: Profile, node: str) -> str:
    """Where a node talks to the other two: host and port."""
    return f"{HOST}:{profile.port(f'vault.{node}-raft')}"


def audit_log(profile: Profile) -> Path:
    """One JSON object a line; written by the active node."""
    return folder(profile) / "audit.log"


def data(profile: Profile, node: str) -> Path:
    """A node's raft storage; made where it is missing."""
    return profile.folder("vault", node, "data")


def programs(profile: Profile) -> list[Program]:
    """The nodes and the balancer; writes their configuration."""
    which = implementation.of(profile)
    binary = implementation.binary(which)
    cert, key = profile.certificate("vault", HOST, "localhost", "vault.vault.svc")
    started = []
    for node in NODES:
        data(profile, node)
        path = folder(profile) / node / "config.json"
        write_private(path, json.dumps(_settings(profile, node, which, cert, key), indent=1))
        started.append(
            Program(
                node,
                [str(binary), "server", f"-config={path}"],
                env={"GOGC": "75", "HOME": str(profile.folder("vault", node))},
                ports=(f"vault.{node}", f"vault.{node}-raft"),
            )
        )
    targets = [str(profile.port(f"vault.{node}")) for node in NODES]
    balancer = [sys.executable, "-m", "iaclab.platform.vault.balancer", str(profile.ca), str(profile.port("vault"))]
    return [*started, Program("balancer", [*balancer, *targets], ports=("vault",), stop="KILL")]


def _settings(
    profile: Profile, node: str, which: implementation.Implementation, cert: Path, key: Path
) -> dict[str, object]:
    others = [
        {"leader_api_addr": address(profile, other), "leader_ca_cert_file": str(profile.ca)}
        for other in NODES
        if other != node
    ]
    settings: dict[str, object] = {
        "cluster_name": "course",
        "storage": {
            "raft": {
                "path": str(data(profile, node)),
                "node_id": node,
                "performance_multiplier": 1,  # a new leader after a second or two; the default is for slow networks
                "retry_join": others,
            }
        },
        "listener": {
            "tcp": {
                "address": address(profile, node).removeprefix("https://"),
                "cluster_address": raft_address(profile, node),
                "tls_cert_file": str(cert),
                "tls_key_file": str(key),
                "tls_min_version": "tls12",
            }
        },
        "api_addr": address(profile, node),
        "cluster_addr": f"https://{raft_address(profile, node)}",
        "log_level": "warn",
        "ui": False,
    }
    if which.audit_in_settings:
        settings["audit"] = [{"type": "file", "path": AUDIT, "options": {"file_path": str(audit_log(profile))}}]
    else:
        settings["disable_mlock"] = True  # locking memory needs a privilege; OpenBao has given it up
    return settings
