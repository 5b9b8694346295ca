"""Three nodes of a vault that nobody has initialised, a balancer before them, and a reader of their audit log.

To be deployed by the learner: keys, joining, unsealing, audit device, administrator. It is OpenBao.
"""

from __future__ import annotations

import base64
import json
import shutil
import ssl
import sys
from pathlib import Path
from typing import Any

import httpx

from iaclab.platform import commands
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program, Supervisor
from iaclab.platform.vault import implementation

NAME = "new-vault"
NODES = ("node-1", "node-2", "node-3")
Answer = dict[str, Any]


def address(profile: Profile, node: str | None = None) -> str:
    """The API's URL: of one node, or of the balancer, which passes on to the active one."""
    return f"https://{HOST}:{profile.port(f'{NAME}.{node}' if node else NAME)}"


def audit_log(profile: Profile) -> Path:
    """Where an audit device can write: one JSON object a line."""
    return profile.root / NAME / "audit.log"


def ask(
    profile: Profile, method: str, path: str, body: Answer | None = None, *, token: str = "", node: str | None = None
) -> httpx.Response:
    """One request; `path` is below /v1/. Without `node` the balancer passes it on to the active one."""
    with httpx.Client(verify=ssl.create_default_context(cafile=str(profile.ca)), timeout=15, trust_env=False) as http:
        headers = {"X-Vault-Token": token} if token else {}
        return http.request(method, f"{address(profile, node)}/v1/{path}", json=body, headers=headers)


def seal_status(profile: Profile, node: str) -> Answer | None:
    """A node's own account of its seal; `None`: it does not answer."""
    try:
        answer = ask(profile, "GET", "sys/seal-status", node=node)
        return dict(answer.json()) if answer.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def _data(profile: Profile, node: str) -> Path:
    return profile.folder(NAME, node, "data")


def _prepare(profile: Profile) -> None:
    binary = implementation.binary(implementation.OPENBAO)
    for name in ("vault", "bao"):
        if name == "bao" or not (profile.root / "vault" / "implementation").exists():
            commands.link(profile, name, binary)


def _programs(profile: Profile) -> list[Program]:
    binary = implementation.binary(implementation.OPENBAO)
    cert, key = profile.certificate(NAME, HOST, "localhost")
    started = []
    for node in NODES:
        path = profile.folder(NAME, node) / "config.json"
        write_private(path, json.dumps(_settings(profile, node, cert, key), indent=1))
        started.append(
            Program(
                node,
                [str(binary), "server", f"-config={path}"],
                env={"GOGC": "75", "HOME": str(profile.folder(NAME, node))},
                ports=(f"{NAME}.{node}", f"{NAME}.{node}-raft"),
            )
        )
    targets = [str(profile.port(f"{NAME}.{node}")) for node in NODES]
    balancer = [sys.executable, "-m", "iaclab.platform.vault.balancer", str(profile.ca), str(profile.port(NAME))]
    reader = [sys.executable, "-m", "iaclab.platform.vault.audit_reader", str(audit_log(profile))]
    reader += [str(profile.port(f"{NAME}.audit")), str(_reader_token(profile))]
    return [
        *started,
        Program("balancer", [*balancer, *targets], ports=(NAME,), stop="KILL"),
        Program("audit-reader", reader, ports=(f"{NAME}.audit",), stop="KILL"),
    ]


def _settings(profile: Profile, node: str, cert: Path, key: Path) -> Answer:
    raft = f"{HOST}:{profile.port(f'{NAME}.{node}-raft')}"
    return {
        "cluster_name": "team",
        "storage": {"raft": {"path": str(_data(profile, node)), "node_id": node, "performance_multiplier": 1}},
        "listener": {
            "tcp": {
                "address": address(profile, node).removeprefix("https://"),
                "cluster_address": raft,
                "tls_cert_file": str(cert),
                "tls_key_file": str(key),
                "tls_min_version": "tls12",
            }
        },
        "api_addr": address(profile, node),
        "cluster_addr": f"https://{raft}",
        "log_level": "warn",
        "ui": False,
        "unsafe_allow_api_audit_creation": True,  # OpenBao leaves it to the settings otherwise, Vault does not
    }


def _reader_token(profile: Profile) -> Path:
    path = profile.folder(NAME) / "audit-reader.token"
    write_private(path, profile.secret("new-vault-audit-reader"))
    return path


def _ready(profile: Profile) -> str | None:
    away = [node for node in NODES if seal_status(profile, node) is None]
    return f"its {away[0]} does not answer" if away else None


def _clear(profile: Profile) -> None:
    with Supervisor(profile).paused((NAME, node) for node in NODES):
        for node in NODES:
            shutil.rmtree(_data(profile, node))
            _data(profile, node)
        audit_log(profile).unlink(missing_ok=True)


def _env(profile: Profile) -> dict[str, str]:
    return {
        "NEW_VAULT_ADDR": address(profile),
        **{f"NEW_VAULT_NODE_{number}": address(profile, node) for number, node in enumerate(NODES, 1)},
        "NEW_VAULT_CACERT": str(profile.ca),
        "NEW_VAULT_CA_BUNDLE": base64.b64encode(profile.ca.read_bytes()).decode(),
        "NEW_VAULT_AUDIT_FILE": str(audit_log(profile)),
        "NEW_VAULT_AUDIT_URL": f"http://{HOST}:{profile.port(f'{NAME}.audit')}/audit.log",
        "NEW_VAULT_AUDIT_TOKEN_FILE": str(_reader_token(profile)),
    }


SERVICES = [
    Service(
        name=NAME,
        title="new-vault (OpenBao): three nodes that nobody has initialised, a balancer, a reader of the audit log",
        tools=(implementation.OPENBAO.tool,),
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
        env=_env,
        clear=_clear,
    )
]
