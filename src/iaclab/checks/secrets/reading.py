"""The check of a careful reader: it runs the learner's file against the vault, with clients that fail in three ways."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from iaclab.checks.record import Check
from iaclab.checks.secrets import ask
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.vault import nodes

_PATH = "prod/registry"
_LONGEST = 60  # seconds
_CASES = {
    "first token over": {"read": "the secret", "logins": 2},
    "never allowed": {"read": "Forbidden", "logins": 2},
    "cut twice": {"read": "the secret", "logins": 1},
    "always cut": {"read": "ConnectionError", "logins": 1, "tries": 4},
    "nothing there": {"read": "InvalidPath", "logins": 1, "tries": 1},
}


def _careful(profile: Profile) -> dict[str, str]:
    file = Path("careful.py")
    if not file.is_file():
        raise LabError("careful.py is not there")
    secret = ask.read(profile, f"ml/data/{_PATH}")["data"]
    reader = {"policies": ["careful-trial"], "ttl": "120s"}
    rule = f'path "ml/data/{_PATH}*" {{ capabilities = ["read"] }}'
    ask.write(profile, "sys/policies/acl/careful-trial", {"policy": rule})
    tokens = {
        name: ask.write(profile, "auth/token/create", body)["auth"]["client_token"]
        for name, body in {"good": reader, "over": reader, "other": {"policies": ["default"], "ttl": "120s"}}.items()
    }
    ask.write(profile, "auth/token/revoke", {"token": tokens["over"]})
    task = {"tokens": tokens, "address": nodes.address(profile), "ca": str(profile.ca), "path": _PATH}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "iaclab.checks.secrets.trial", str(file.absolute())],
            input=json.dumps(task),
            env=dict(os.environ),
            capture_output=True,
            text=True,
            timeout=_LONGEST,
        )
    except subprocess.TimeoutExpired:
        raise LabError(f"careful.py does not end within {_LONGEST} s") from None
    if done.returncode:
        raise LabError(f"careful.py: {(done.stderr.strip().splitlines() or ['it fails without a word'])[-1][:160]}")
    seen = json.loads(done.stdout.splitlines()[-1])
    digest = hashlib.sha256(json.dumps(secret, sort_keys=True).encode()).hexdigest()
    return {name: _wrong(seen[name], wanted, digest) for name, wanted in _CASES.items()}


def _wrong(seen: dict[str, Any], wanted: dict[str, Any], digest: str) -> str:
    """`right`, or what came instead, in words without a secret."""
    came = "the secret" if seen["read"] == digest else seen["error"] or "something else"
    if {**wanted, "read": came, "logins": seen["logins"], "tries": seen["tries"]} == {"tries": seen["tries"], **wanted}:
        return "right"
    return f"{came} after {seen['logins']} logins and {seen['tries']} tries"


CHECKS = {
    "careful": Check(
        title="one new login at Forbidden and not more, four tries at a cut connection, anything else comes through",
        needs=("vault",),
        probe=_careful,
        expect=lambda seen: set(seen.values()) == {"right"},
        hints=(
            "The first token is over: what has to happen at Forbidden? And when the connection is cut?",
            "Log in again once at hvac.exceptions.Forbidden; read again at requests.ConnectionError, three times.",
            "for attempt in range(4): try: return read(reader, path)   # except Forbidden: reader = login(), once",
        ),
    ),
}
