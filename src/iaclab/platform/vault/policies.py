"""What a policy, or a token, allows: asked of the vault itself."""

from __future__ import annotations

from iaclab.platform.profile import Profile
from iaclab.platform.vault import api

_TTL = "60s"  # of the tokens that ask


def allowed(profile: Profile, policy: str, paths: list[str], *, token: str) -> dict[str, set[str]]:
    """What a policy alone allows at each path: read, update …; empty for nothing, as for a policy that is not there.

    Args:
        token: one that may make tokens.

    Raises:
        LabError: the vault refuses it.
    """
    body = {"policies": [policy], "ttl": _TTL, "type": "batch", "no_default_policy": True}
    made = api.write(profile, "auth/token/create", body, token=token)["auth"]["client_token"]
    return capabilities(profile, made, paths, token=token)


def capabilities(profile: Profile, of: str, paths: list[str], *, token: str) -> dict[str, set[str]]:
    """What the token `of` may do at each path, asked with `token`.

    Raises:
        LabError: the vault refuses it.
    """
    if not paths:
        return {}
    answer = api.write(profile, "sys/capabilities", {"token": of, "paths": paths}, token=token)
    said = answer.get("data", answer)
    return {path: set(said.get(path, [])) - {"deny"} for path in paths}
