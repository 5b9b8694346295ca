"""What the first root token is used for, once: an administrator's policy and token, and the audit log.

The root token is revoked right after. Another one takes three of the shares: `vault operator generate-root`.
"""

from __future__ import annotations

from pathlib import Path

from iaclab.platform.profile import Profile, write_private
from iaclab.platform.vault import api, implementation
from iaclab.platform.vault.nodes import AUDIT, audit_log, folder
from iaclab.platform.vault.seal import root_token

POLICY = "admin"
_RULES = """# May do everything, but is not root: it can be revoked, and it expires when nobody renews it.
path "*" {
  capabilities = ["create", "read", "update", "patch", "delete", "list", "scan", "sudo"]
}
"""
_PERIOD = "8760h"


def token(profile: Profile) -> Path:
    """The file with the administrator's token, where the command line reads and writes it."""
    return folder(profile) / "token"


def set_up(profile: Profile) -> None:
    """Use the root token and revoke it; nothing to do where it is gone."""
    path = root_token(profile)
    if not path.exists():
        return
    root = path.read_text()
    which = implementation.of(profile)
    if not which.audit_in_settings:
        _enable_audit(profile, root)
    rules = _RULES if which is implementation.OPENBAO else _RULES.replace(', "scan"', "")
    api.write(profile, f"sys/policies/acl/{POLICY}", {"policy": rules}, token=root)
    body = {"policies": [POLICY], "period": _PERIOD, "display_name": "operator", "no_default_policy": False}
    made = api.write(profile, "auth/token/create-orphan", body, token=root)
    write_private(token(profile), made["auth"]["client_token"])
    api.write(profile, "auth/token/revoke-self", token=root)
    path.unlink()


def _enable_audit(profile: Profile, root: str) -> None:
    answer = api.ask(profile, "GET", "sys/audit", token=root)
    if f"{AUDIT}/" not in answer.raise_for_status().json().get("data", {}):
        body = {"type": "file", "options": {"file_path": str(audit_log(profile))}}
        api.write(profile, f"sys/audit/{AUDIT}", body, token=root)
