"""Checks of seals, and of the audit log."""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

import httpx

from iaclab.checks.record import Check
from iaclab.checks.secrets import ask
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster
from iaclab.platform.vault import api
from iaclab.platform.vault.nodes import NODES, audit_log

_ARRIVES = 30  # seconds
_FOLLOWS = 6  # seconds: an ExternalSecret that asks every five


def _unsealed(_: Profile) -> dict[str, Any]:
    address = Path("own/address").read_text().strip()
    said = httpx.get(f"{address}/v1/sys/seal-status", timeout=5, trust_env=False).json()
    return {"initialised": said["initialized"], "sealed": said["sealed"], "shares given": said["progress"]}


def _quorum(profile: Profile) -> dict[str, str]:
    said = {node: api.seal_status(profile, node) for node in NODES}
    return {node: "away" if not one else "sealed" if one["sealed"] else "open" for node, one in said.items()}


def _intruder(profile: Profile) -> dict[str, Any]:
    said = Path("intruder.txt").read_text().strip()
    entries = [json.loads(line) for line in audit_log(profile).read_text().splitlines()]
    refused = {
        str(entry["auth"].get("display_name"))
        for entry in entries
        if entry["request"].get("path") == "ml/data/prod/tracker"
        and entry.get("auth", {}).get("policy_results", {}).get("allowed") is not True
        and entry.get("auth", {}).get("display_name")
    }
    return {"you say": said or "nobody", "right": said in refused}


def _tracker(profile: Profile) -> dict[str, Any]:
    api_server = cluster.kube(profile)
    base = "/namespaces/sealed"
    sealed = api_server.get(f"/apis/bitnami.com/v1alpha1{base}/sealedsecrets/tracker") or {}
    opened = api_server.get(f"/api/v1{base}/secrets/tracker") or {}
    conditions = {one["type"]: one["status"] for one in sealed.get("status", {}).get("conditions") or []}
    wider = [key for key in sealed.get("metadata", {}).get("annotations") or {} if key.endswith(("-wide", "/scope"))]
    return {
        "SealedSecret": "there" if sealed else "absent",
        "synced": conditions.get("Synced", "no"),
        "token, characters": len(base64.b64decode((opened.get("data") or {}).get("token", ""))),
        "made by": [owner["kind"] for owner in opened.get("metadata", {}).get("ownerReferences") or []] or "hand",
        "scope": "wider" if wider else "strict",
    }


def _fraud(profile: Profile) -> dict[str, Any]:
    api_server = cluster.kube(profile)
    group = "/apis/external-secrets.io/v1/namespaces/fraud"
    item = api_server.get(f"{group}/externalsecrets/feature-db") or {}
    reference = item.get("spec", {}).get("secretStoreRef", {})
    store = api_server.get(f"{group}/secretstores/{reference.get('name')}") or {}
    secret = api_server.get("/api/v1/namespaces/fraud/secrets/feature-db") or {}
    data = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
    kept = ask.read(profile, "ml/data/prod/fraud/feature-store")["data"]
    login = store.get("spec", {}).get("provider", {}).get("vault", {}).get("auth", {}).get("kubernetes", {})
    conditions = {one["type"]: one["status"] for one in item.get("status", {}).get("conditions") or []}
    return {
        "ready": conditions.get("Ready", "no"),
        "store": f"{reference.get('kind', 'SecretStore')} with role {login.get('role', 'none')}",
        "keys": sorted(data),
        "as in the vault": bool(data) and data == kept,
    }


def _way(profile: Profile) -> dict[str, Any]:
    value = f"rotated-{secrets.token_hex(8)}"
    ask.write(profile, "ways/data/key", {"data": {"value": value}})
    file, deadline = Path("ways.rendered"), time.monotonic() + _ARRIVES
    while not (arrived := file.is_file() and file.read_text() == value) and time.monotonic() < deadline:
        time.sleep(0.2)
    time.sleep(_FOLLOWS)  # what else follows the vault has followed by then
    found = (cluster.kube(profile).get("/api/v1/namespaces/ways/secrets") or {"items": []})["items"]
    spelled = base64.b64encode(value.encode()).decode()
    return {
        "arrives": "yes" if arrived else f"not within {_ARRIVES} s",
        "readable by others": bool(file.exists() and file.stat().st_mode & 0o077),
        "Secrets that hold it": [
            one["metadata"]["name"] for one in found if spelled in (one.get("data") or {}).values()
        ]
        or "none",
    }


CHECKS = {
    "fraud-store": Check(
        title="fraud has its own store with its own role, and its Secret has user and password",
        needs=("cluster", "vault", "external-secrets"),
        probe=_fraud,
        expect=lambda seen: (
            seen
            == {
                "ready": "True",
                "store": "SecretStore with role fraud",
                "keys": ["password", "user"],
                "as in the vault": True,
            }
        ),
        within=120,
        hints=(
            "store.yaml with another namespace and another role, and an ExternalSecret that refers to it.",
            "dataFrom: [{extract: {key: …}}] takes all keys of a path.",
            "sed 's/namespace: churn/namespace: fraud/; s/role: churn/role: fraud/' store.yaml | kubectl apply -f -",
        ),
    ),
    "way": Check(
        title="a rotation reaches the file without a commit, and no Secret holds the value",
        needs=("cluster", "vault"),
        probe=_way,
        expect=lambda seen: seen == {"arrives": "yes", "readable by others": False, "Secrets that hold it": "none"},
        hints=(
            "Two rows of the table. Three of the four end in a Secret of the cluster.",
            "The agent was ended when it had been measured; the ExternalSecret still runs.",
            "kubectl -n ways delete externalsecret external   # and start the agent as the cell that measures does",
        ),
    ),
    "sealed-tracker": Check(
        title="the Secret tracker came into the namespace sealed in a SealedSecret of the default scope",
        needs=("cluster", "sealed-secrets"),
        probe=_tracker,
        expect=lambda seen: (
            seen["synced"] == "True"
            and seen["token, characters"] > 0
            and seen["made by"] == ["SealedSecret"]
            and seen["scope"] == "strict"
        ),
        within=20,
        hints=(
            "As registry above, with another name. The namespace is sealed in, so say it when the Secret is made.",
            "kubectl -n sealed create secret … --dry-run=client -o yaml | kubeseal … | kubectl apply -f -",
            'printf %s "$(head -c 24 /dev/urandom | base64)" | kubectl -n sealed create secret generic tracker '
            "--from-file=token=/dev/stdin --dry-run=client -o yaml | kubeseal --format yaml | kubectl apply -f -",
        ),
    ),
    "unsealed": Check(
        title="your own vault is open",
        needs=(),
        probe=_unsealed,
        expect=lambda seen: seen["initialised"] and not seen["sealed"],
        within=5,
        hints=(
            "Three shares that fit, whichever.",
            "They are in own/share-1 … own/share-5; `. own/env` makes the command speak to your own vault.",
            '. own/env; for n in 2 3 4; do vault operator unseal "$(cat own/share-$n)"; done',
        ),
    ),
    "quorum": Check(
        title="all three nodes are open",
        needs=(),
        probe=_quorum,
        expect=lambda seen: set(seen.values()) == {"open"},
        within=15,
        hints=(
            "Each node has a seal of its own: which one is sealed?",
            "vault status -address=$VAULT_NODE_1, and so on; three shares for the sealed one.",
            'vault operator unseal -address="$VAULT_NODE_1" "$(cat "$VAULT_SHARES/share-1")"   # and two more shares',
        ),
    ),
    "intruder": Check(
        title="who was refused at the token of the tracker",
        needs=("vault",),
        probe=_intruder,
        expect=lambda seen: seen["right"],
        hints=(
            "The last column says refused.",
            'for row in audit("ml/data/prod/tracker"): print(*row)',
            "The second column of the row with `refused`: a display name.",
        ),
    ),
}
