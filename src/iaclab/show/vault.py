"""Who can read which secret: asked of the vault itself, one short-lived token for each policy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.show.picture import Picture, width_of

_SHADE = {"read": "#3fb950", "write": "#d29922", "all": "#f85149"}
_WORD = {"read": "read", "write": "write", "all": "read + write"}
_ROW, _CELL = 26, 104  # pixels
_WRITES = {"create", "update", "patch", "delete"}


@dataclass(frozen=True)
class Access:
    """What each policy allows at each secret's path: `read`, `write`, `all`, or nothing."""

    mount: str
    secrets: list[str]
    policies: list[str]
    allowed: dict[tuple[str, str], str]  # (secret, policy)


def vault_access(mount: str = "ml", *, profile: Profile | None = None) -> Picture:
    """A table of the secrets of a KV engine (version 2) against the policies that allow anything there.

    Templated policies depend on who asks, and show what they allow to nobody in particular.

    Raises:
        LabError: there is no such engine, the vault is sealed, or it does not answer.
    """
    return draw_access(look(mount, profile or Profile()))


def look(mount: str, profile: Profile) -> Access:
    """Ask the vault."""
    from iaclab.platform.services.vault import client_token
    from iaclab.platform.vault import api, policies

    token = client_token(profile)
    secrets = sorted(_walk(profile, token, mount.strip("/"), ""))
    listed = api.ask(profile, "LIST", "sys/policies/acl", token=token).json()
    names = [name for name in sorted(listed.get("data", {}).get("keys", [])) if name not in ("root", "default")]
    paths = {f"{mount.strip('/')}/data/{secret}": secret for secret in secrets}
    allowed: dict[tuple[str, str], str] = {}
    for policy in names:
        for path, may in policies.allowed(profile, policy, list(paths), token=token).items():
            if kind := _kind(may):
                allowed[paths[path], policy] = kind
    used = [policy for policy in names if any(key[1] == policy for key in allowed)]
    return Access(mount.strip("/"), secrets, used, allowed)


def _walk(profile: Profile, token: str, mount: str, below: str) -> list[str]:
    """The names of all secrets of an engine, with their folders."""
    from iaclab.platform.vault import api

    answer = api.ask(profile, "LIST", f"{mount}/metadata/{below}", token=token)
    if answer.status_code == 404 and below == "" and not _exists(profile, token, mount):
        raise LabError(f"The vault has no engine at {mount}/.", mend="vault secrets list")
    if answer.status_code not in (200, 404):
        raise LabError(f"{mount}/ cannot be listed.", why=api.words(answer), mend="vault status")
    found: list[str] = []
    for key in answer.json().get("data", {}).get("keys", []) if answer.status_code == 200 else []:
        found += _walk(profile, token, mount, below + key) if key.endswith("/") else [below + key]
    return found


def _exists(profile: Profile, token: str, mount: str) -> bool:
    from iaclab.platform.vault import api

    mounts: dict[str, Any] = api.ask(profile, "GET", "sys/mounts", token=token).json()
    return f"{mount}/" in mounts.get("data", mounts)


def _kind(capabilities: set[str]) -> str:
    """In one word; empty where nothing is allowed."""
    reads, writes = "read" in capabilities, bool(capabilities & _WRITES)
    if "root" in capabilities or (reads and writes):
        return "all"
    return "read" if reads else "write" if writes else ""


def draw_access(access: Access) -> Picture:
    """The picture: a row for each secret, a column for each policy."""
    names = max([width_of(secret, 12) for secret in access.secrets] or [0]) + 20
    picture = Picture(f"Who can read which secret of {access.mount}/", "", 10, 10)
    columns = max([_CELL, *(int(width_of(policy, 12, True)) + 12 for policy in access.policies)])
    for number, policy in enumerate(access.policies):
        picture.words(10 + names + number * columns, 22, policy, bold=True, room=columns - 8)
    lines = []
    for row, secret in enumerate(access.secrets):
        y = 32 + row * _ROW
        picture.words(10, y + 16, secret, room=names)
        said = []
        for number, policy in enumerate(access.policies):
            x = 10 + names + number * columns
            kind = access.allowed.get((secret, policy), "")
            picture.box(
                x, y, columns - 8, _ROW - 4, fill=_SHADE.get(kind, "none"), dash="" if kind else "2 4", radius=4
            )
            picture.words(x + 8, y + 15, _WORD.get(kind, "–"), size=11, fade=not kind, room=columns - 20)
            said += [f"{policy} ({_WORD[kind]})"] if kind else []
        lines.append(f"{secret}: {', '.join(said) or 'no policy'}")
    picture.width = int(20 + names + len(access.policies) * columns)
    picture.height = 40 + len(access.secrets) * _ROW
    picture.text = "\n".join(lines) or f"no secrets in {access.mount}/"
    return picture
