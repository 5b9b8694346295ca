"""Checks of policies and logins: what they allow is asked of the vault, by tokens that have nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from iaclab.checks.record import Check
from iaclab.checks.secrets import ask
from iaclab.platform.profile import Profile
from iaclab.platform.vault import api

_NAMES = ("feature-store", "model-provider", "registry", "tracker")
_LONGEST = 900  # seconds that a token of the role ranker may live


def _readable(allowed: dict[str, set[str]]) -> list[str]:
    return sorted(path.removeprefix("ml/data/") for path, may in allowed.items() if "read" in may or "root" in may)


def _more_than_read(allowed: dict[str, set[str]]) -> list[str]:
    return sorted(path.removeprefix("ml/data/") for path, may in allowed.items() if may - {"read", "list"})


def _evaluation(profile: Profile) -> dict[str, Any]:
    paths = [f"ml/data/{env}/{name}" for env in ("dev", "prod") for name in _NAMES]
    allowed = ask.allowed(profile, "evaluation", [*paths, "ml/data/teams/vision/openai", "sys/policies/acl/evaluation"])
    return {"reads": _readable(allowed), "writes": _more_than_read(allowed) or "nothing"}


def _ranker(profile: Profile) -> dict[str, Any]:
    role = ask.read(profile, "auth/kubernetes/role/ranker")
    jwt = ask.service_account_token(profile, "serving", "ranker", "vault")
    auth = api.write(profile, "auth/kubernetes/login", {"role": "ranker", "jwt": jwt})["auth"]
    paths = ["ml/data/prod/registry", "ml/data/prod/tracker", "sys/policies/acl/admin"]
    allowed = ask.capabilities(profile, auth["client_token"], paths)
    api.ask(profile, "POST", "auth/token/revoke-self", token=auth["client_token"])
    return {
        "who": f"{role['bound_service_account_namespaces']}/{role['bound_service_account_names']}",
        "audience": role.get("audience") or "any",
        "policies": sorted(auth["policies"]),
        "lives at most": f"{role.get('token_max_ttl') or 'as long as it is renewed,'} s",
        "at first": auth["lease_duration"],
        "reads": _readable(allowed),
        "writes": _more_than_read(allowed) or "nothing",
    }


def _ranker_is_right(seen: dict[str, Any]) -> bool:
    return (
        seen["who"] == "['serving']/['ranker']"
        and seen["audience"] == "vault"
        and set(seen["policies"]) <= {"default", "serving-prod"}
        and seen["lives at most"] in {f"{seconds} s" for seconds in range(1, _LONGEST + 1)}
        and seen["at first"] <= _LONGEST
        and seen["reads"] == ["prod/registry"]
        and seen["writes"] == "nothing"
    )


def _wrapped(profile: Profile) -> dict[str, Any]:
    ticket = Path("for-ci.txt")
    said = ask.write(profile, "sys/wrapping/lookup", {"token": ticket.read_text().strip()})["data"]
    return {
        "made at": said["creation_path"],
        "lives": f"{said['creation_ttl']} s",
        "readable by others": bool(ticket.stat().st_mode & 0o077),
    }


def _oncall(profile: Profile) -> dict[str, Any]:
    policies, secret, about = "sys/policies/acl/admin", "ml/data/prod/model-provider", "ml/metadata/prod/model-provider"
    may = ask.allowed(profile, "oncall", [policies, "sys/policies/acl", secret, about, "ml/metadata/prod/"])
    listing = may["sys/policies/acl"] | ask.allowed(profile, "oncall", ["sys/policies/acl/"])["sys/policies/acl/"]
    return {
        "policies": _looks(may[policies], listing),
        "metadata": _looks(may[about], may["ml/metadata/prod/"]),
        "values": "read" if may[secret] else "refused",
        "changes": sorted(path for path, what in may.items() if what - {"read", "list"}) or "nothing",
    }


def _looks(one: set[str], all_of_them: set[str]) -> str:
    """Whether one is read and all are listed, in words."""
    return ", ".join(
        [
            "read" if "read" in one else "not read",
            "listed" if "list" in all_of_them else "not listed",
        ]
    )


def _chat(profile: Profile) -> dict[str, Any]:
    who = ask.read(profile, "auth/approle/role/chat/role-id")["role_id"]
    proof = ask.write(profile, "auth/approle/role/chat/secret-id", {})["data"]["secret_id"]
    auth = api.write(profile, "auth/approle/login", {"role_id": who, "secret_id": proof})["auth"]
    paths = ["ml/data/prod/model-provider", "ml/data/prod/registry", "ml/data/dev/model-provider", "sys/mounts"]
    allowed = ask.capabilities(profile, auth["client_token"], paths)
    key = api.ask(profile, "GET", paths[0], token=auth["client_token"])
    api.ask(profile, "POST", "auth/token/revoke-self", token=auth["client_token"])
    return {
        "policies": sorted(auth["policies"]),
        "its key": "read" if key.status_code == 200 else api.words(key),
        "may": [path for path, what in allowed.items() if what],
        "changes": _more_than_read(allowed) or "nothing",
    }


CHECKS = {
    "evaluation-policy": Check(
        title="the policy evaluation reads tracker and model-provider, in dev and prod, and nothing else",
        needs=("vault",),
        probe=_evaluation,
        expect=lambda seen: (
            seen
            == {
                "reads": ["dev/model-provider", "dev/tracker", "prod/model-provider", "prod/tracker"],
                "writes": "nothing",
            }
        ),
        hints=(
            "Four paths below ml/data/, with one capability.",
            "A + stands for one segment of a path, so that one line does for dev and prod.",
            'path "ml/data/+/tracker" { capabilities = ["read"] }   # and one more line',
        ),
    ),
    "ranker-role": Check(
        title="the pod's account serving/ranker logs in, reads prod/registry, and its token lives 15 minutes at most",
        needs=("vault", "cluster"),
        probe=_ranker,
        expect=_ranker_is_right,
        hints=(
            "A policy and a role, as for the trainer.",
            "token_ttl is the first lease, token_max_ttl the end of all renewals.",
            "vault write auth/kubernetes/role/ranker bound_service_account_names=ranker "
            "bound_service_account_namespaces=serving audience=vault token_policies=serving-prod "
            "token_ttl=15m token_max_ttl=15m",
        ),
    ),
    "wrapped": Check(
        title="for-ci.txt opens prod/registry, once, within ten minutes, and only you can read the file",
        needs=("vault",),
        probe=_wrapped,
        expect=lambda seen: seen == {"made at": "ml/data/prod/registry", "lives": "600 s", "readable by others": False},
        hints=(
            "As above, with another time and another file. Who may read the file?",
            "-wrap-ttl=10m -field=wrapping_token, and umask 077 before the file is made (chmod 600 after).",
            "umask 077; vault read -wrap-ttl=10m -field=wrapping_token ml/data/prod/registry > for-ci.txt",
        ),
    ),
    "oncall": Check(
        title="the policy oncall looks at policies and metadata, and at no value",
        needs=("vault",),
        probe=_oncall,
        expect=lambda seen: (
            seen == {"policies": "read, listed", "metadata": "read, listed", "values": "refused", "changes": "nothing"}
        ),
        hints=(
            "Metadata and values have different paths in a kv of version 2.",
            "sys/policies/acl is listed, sys/policies/acl/* is read; ml/metadata/* is both.",
            'path "ml/metadata/*" { capabilities = ["read", "list"] }   # and the same for the policies',
        ),
    ),
    "chat-again": Check(
        title="the chat service reads its key again, and nothing else",
        needs=("vault",),
        probe=_chat,
        expect=lambda seen: (
            seen["its key"] == "read"
            and seen["may"] == ["ml/data/prod/model-provider"]
            and seen["changes"] == "nothing"
            and "night-shift" not in seen["policies"]
        ),
        hints=(
            "The token of the service has more policies than one would think.",
            "A deny in one policy beats what another allows. The role says which policies its tokens get.",
            "vault write auth/approle/role/chat token_policies=chat-prod",
        ),
    ),
}
