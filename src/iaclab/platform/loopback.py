"""Keeps a proxy of the user's network out of what stays on this machine: git, curl and Python would ask it."""

from __future__ import annotations

from collections.abc import Mapping

_OURS = ("127.0.0.1", "localhost")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def without_proxy(env: Mapping[str, str]) -> dict[str, str]:
    """The variables to add to `env`; none where it names no proxy, or excepts this machine already."""
    if not any(env.get(name) or env.get(name.upper()) for name in _PROXIES):
        return {}
    given = env.get("no_proxy") or env.get("NO_PROXY") or ""
    excepted = [name.strip() for name in given.split(",") if name.strip()]
    text = ",".join([*excepted, *(name for name in _OURS if name not in excepted and "*" not in excepted)])
    return {name: text for name in ("no_proxy", "NO_PROXY") if env.get(name) != text}
