"""Checks of what engines hold and give out."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

from iaclab.checks.record import Check
from iaclab.checks.secrets import ask
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_MINUTE = 60  # seconds
_SLACK = 60  # seconds: a certificate is valid from a moment before it is issued


def _rolled_back(profile: Profile) -> dict[str, Any]:
    about = ask.read(profile, "ml/metadata/prod/registry")
    versions = {int(number): version for number, version in about["versions"].items()}
    current = int(about["current_version"])
    now = ask.read(profile, f"ml/data/prod/registry?version={current}")["data"]
    good = ask.read(profile, "ml/data/prod/registry?version=2")["data"]
    kept = [number for number in (2, 3) if not versions[number]["destroyed"] and not versions[number]["deletion_time"]]
    return {"current version": current, "holds what version 2 holds": now == good, "kept": kept}


def _signed(profile: Profile) -> dict[str, Any]:
    kind = ask.read(profile, "transit/keys/models")["type"]
    body = {
        "input": base64.b64encode(Path("model.txt").read_bytes()).decode(),
        "signature": Path("model.sig").read_text().strip(),
    }
    return {"key": kind, "signature fits": ask.write(profile, "transit/verify/models", body)["data"]["valid"]}


def _certificates(profile: Profile) -> dict[str, Any]:
    from cryptography import x509

    made = _issue(profile, "job-1.training.svc", ttl="1h")
    issued = x509.load_pem_x509_certificate(made["certificate"].encode()) if made else None
    lives = (issued.not_valid_after_utc - issued.not_valid_before_utc).total_seconds() if issued else 0
    others = ("ranker.serving.svc", "training.svc", "training.example")
    return {
        "job-1.training.svc": "issued" if issued else "refused",
        "lives, minutes": round(max(lives - _SLACK, 0) / _MINUTE),
        "issued for others": [name for name in others if _issue(profile, name, ttl="1m")] or "none",
    }


def _issue(profile: Profile, name: str, ttl: str) -> dict[str, Any]:
    """A certificate of the role training; empty where the vault refuses the name."""
    try:
        return dict(ask.write(profile, "pki/issue/training", {"common_name": name, "ttl": ttl})["data"])
    except LabError as refused:
        if "not allowed" in (refused.why or ""):
            return {}
        raise


def _second_template(profile: Profile) -> dict[str, Any]:
    version = ask.read(profile, "ml/metadata/prod/feature-store")["current_version"]
    read = Path("pod/url").read_text().strip()
    return {"pod/url": read if re.fullmatch(r"[a-z]+://[\w@:/.?=-]*", read) else "another text", "version": version}


def _serving_users(profile: Profile) -> dict[str, Any]:
    role = ask.read(profile, "database/roles/serving")
    grants = " ".join(role["creation_statements"]).upper()
    granted = {word for grant in re.findall(r"GRANT\s+(.*?)\s+ON\b", grants) for word in re.split(r"[\s,]+", grant)}
    return {
        "database": role["db_name"],
        "lives, s": role["default_ttl"],
        "at most, s": role["max_ttl"],
        "granted": sorted(granted),
        "dropped at the end": "DROP ROLE" in " ".join(role["revocation_statements"] or ["DROP ROLE"]).upper(),
    }


CHECKS = {
    "rolled-back": Check(
        title="prod/registry is what it was in version 2, and its history is kept",
        needs=("vault",),
        probe=_rolled_back,
        expect=lambda seen: (
            seen["current version"] > 3 and seen["holds what version 2 holds"] and seen["kept"] == [2, 3]
        ),
        hints=(
            "A new version with the old content; nothing is deleted.",
            "One of the verbs does it: vault kv -h",
            "vault kv rollback -mount=ml -version=2 prod/registry",
        ),
    ),
    "signed-model": Check(
        title="model.sig is the signature of model.txt by the key models",
        needs=("vault",),
        probe=_signed,
        expect=lambda seen: seen == {"key": "ed25519", "signature fits": True},
        hints=(
            "A key of another type than before, and another verb than encrypt.",
            "transit/keys/models with type=ed25519; transit/sign/models with the file in base64, in one line.",
            'vault write -field=signature transit/sign/models input="$(base64 -w0 model.txt)" > model.sig',
        ),
    ),
    "training-certificates": Check(
        title="the role training issues for names below training.svc only, for ten minutes at most",
        needs=("vault",),
        probe=_certificates,
        expect=lambda seen: (
            seen["job-1.training.svc"] == "issued"
            and 0 < seen["lives, minutes"] <= 10
            and seen["issued for others"] == "none"
        ),
        hints=(
            "As the role serving, with another domain and another time.",
            "allowed_domains, allow_subdomains and max_ttl.",
            "vault write pki/roles/training allowed_domains=training.svc allow_subdomains=true max_ttl=10m",
        ),
    ),
    "second-template": Check(
        title="the agent renders pod/url, with the version of the secret",
        needs=("vault",),
        probe=_second_template,
        expect=lambda seen: seen["pod/url"] == f"postgresql://scorer@features:5432/prod?version={seen['version']}",
        within=30,
        hints=(
            "A second template block, with a destination of its own. Does the agent's log say anything?",
            ".Data.metadata.version is the number; the role scorer has to be there, or the agent cannot log in.",
            'contents = "{{ with secret \\"ml/data/prod/feature-store\\" }}…{{ .Data.metadata.version }}{{ end }}"',
        ),
    ),
    "serving-users": Check(
        title="the role serving makes users who SELECT and UPDATE, for five minutes and an hour at most",
        needs=("vault",),
        probe=_serving_users,
        expect=lambda seen: (
            seen
            == {
                "database": "features",
                "lives, s": 300,
                "at most, s": 3600,
                "granted": ["SELECT", "UPDATE"],
                "dropped at the end": True,
            }
        ),
        hints=(
            "As the role training, with one right more and other times.",
            "The user vault can only give what it has WITH GRANT OPTION.",
            "vault write database/roles/serving db_name=features default_ttl=5m max_ttl=1h creation_statements=… "
            "revocation_statements=@revoke.sql",
        ),
    ),
}
