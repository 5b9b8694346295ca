"""Checks of lab 4: they ask the vault, the database and the cluster, and rotate the password of the learner's program.

`score` runs them all, for those who grade: it needs the profile and the work folder (for `keys/`, `app/serve.py` and
`incident.json`), and nothing of the notebook.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path

from iaclab.checks.lab4 import delivery, job, rotation, vaulting
from iaclab.checks.record import Check, Result
from iaclab.platform.profile import Profile

Hints = tuple[str, str, str]
Problems = Callable[[Profile], Iterable[str]]
_MOST = 3  # problems that are told at once
_VAULT = ("new-vault",)
_DATABASE = ("new-vault", "postgres")
_ALL = ("new-vault", "postgres", "cluster", "external-secrets")


def score(profile: Profile, folder: Path) -> dict[str, Result]:
    """The result of every check, by its name; their points add up to POINTS at most.

    Args:
        profile: where the platform runs.
        folder: the learner's work folder.
    """
    with contextlib.chdir(folder):
        return {name: check.run(profile) for name, check in CHECKS.items()}


def record(
    points: int, title: str, problems: Problems, hints: Hints, needs: tuple[str, ...] = _VAULT, within: float = 0
) -> Check:
    """A check that passes when `problems` finds none."""
    return Check(
        title=title,
        probe=lambda profile: list(islice(problems(profile), _MOST)),
        expect=lambda seen: seen == [],
        hints=hints,
        within=within,
        points=points,
        needs=needs,
    )


CHECKS = {
    "cluster": record(
        7,
        "one vault on three nodes, unsealed, whose key five people share",
        vaulting.nodes,
        (
            "bao status -address=… of each node: which is not initialised, or sealed?",
            "Only the first node is initialised. The others join it, and are unsealed with the same shares.",
            "bao operator raft join -address=$NEW_VAULT_NODE_2 -leader-ca-cert=@$NEW_VAULT_CACERT $NEW_VAULT_NODE_1",
        ),
        within=3,
    ),
    "audit": record(
        4,
        "every request is written into the audit log, with accessors that can be read",
        vaulting.audit,
        (
            "bao audit list -detailed: is there a device, and with which options?",
            "A device of the type file; its options are file_path and hmac_accessor.",
            "bao audit enable file file_path=$NEW_VAULT_AUDIT_FILE hmac_accessor=false",
        ),
    ),
    "root": record(
        6,
        "an administrator's token does the work, and no root token lives",
        vaulting.root,
        (
            "bao token lookup: which policies has the token in keys/admin.token?",
            "The root token makes a policy and a token, and is revoked. Files in keys/ are for you alone.",
            "BAO_TOKEN=ROOT bao token revoke -self; chmod 600 keys/*",
        ),
    ),
    "auth": record(
        6,
        "each service account logs in to its role, for a quarter of an hour, and nobody else does",
        vaulting.logins,
        (
            "What does a role bind: namespace, name, audience? How long do its tokens live?",
            "bound_service_account_namespaces and _names without stars, audience=vault, token_ttl and token_max_ttl.",
            "bao write auth/kubernetes/role/trainer … audience=vault token_ttl=10m token_max_ttl=15m",
        ),
        needs=("new-vault", "cluster"),
    ),
    "policies": record(
        6,
        "each account reads what the table says, and no more",
        vaulting.policies,
        (
            "bao policy read trainer: is there a star, or a verb too many?",
            "A path without a star stands for itself. Values lie below ml/data/, users below database/creds/.",
            'path "ml/data/prod/tracker" { capabilities = ["read"] }',
        ),
        needs=("new-vault", "cluster"),
    ),
    "training": record(
        7,
        "users that are lent read the table, and end with their lease, sessions and all",
        vaulting.lent,
        (
            "Borrow a user, log in, revoke its lease: what can it still do?",
            "revocation_statements: cut its sessions, take its rights, drop it. rotate-root changes vault's password.",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{{name}}'; REVOKE …; DROP ROLE …",
        ),
        needs=_DATABASE,
    ),
    "job": record(
        4,
        "the training job logs in as who it is, borrows a user, and the user ends with the job's login",
        job.works,
        (
            "Which token does the pod mount, and for whom is it meant?",
            "A projected volume with a serviceAccountToken; automountServiceAccountToken: false; no Secret.",
            "projected: {sources: [{serviceAccountToken: {path: token, audience: vault, expirationSeconds: 600}}]}",
        ),
        needs=("new-vault", "postgres", "cluster"),
        within=10,
    ),
    "keys": record(
        3,
        "the three secrets are in the vault, with versions",
        vaulting.keys,
        (
            "bao kv get -mount=ml prod/feature-store: which keys has it?",
            "The engine is KV version 2 at the path ml; user, password and lease come from database/creds/serving.",
            "bao read -format=json database/creds/serving   # username → user, lease_id → lease",
        ),
        needs=_DATABASE,
    ),
    "store": record(
        4,
        "the SecretStore logs in as the namespace's own account",
        delivery.store,
        (
            "kubectl -n serving describe secretstore vault says what is in its way.",
            "spec.provider.vault.auth.kubernetes has a role and a serviceAccountRef with audiences.",
            "serviceAccountRef: {name: secrets-reader, audiences: [vault]}",
        ),
        needs=("cluster", "external-secrets"),
        within=5,
    ),
    "synced": record(
        6,
        "two Secrets follow the vault, and hold what the pod needs and no more",
        delivery.synced,
        (
            "kubectl -n serving get externalsecrets: are both Ready, and what do their Secrets hold?",
            "data with secretKey and remoteRef takes single properties; dataFrom takes all of them.",
            "{secretKey: user, remoteRef: {key: prod/feature-store, property: user}}; refreshInterval: 30s",
        ),
        needs=_ALL,
        within=10,
    ),
    "pod": record(
        4,
        "the ranker mounts the Secret so that a rotation reaches it",
        delivery.pod,
        (
            "What of a running container changes when a Secret does?",
            "A volume, mounted whole: not env, not subPath. automountServiceAccountToken is a switch.",
            "volumeMounts: [{name: feature-store, mountPath: /secrets, readOnly: true}]",
        ),
        within=5,
    ),
    "application": record(
        5,
        "the program answers, with the user that is mounted",
        rotation.answers,
        (
            "Does your program start with LISTEN, SECRETS, PGHOST, PGDATABASE and PATH alone?",
            "It reads the files user and password in $SECRETS; PGHOST is a folder with the database's socket.",
            "python app/serve.py   # the last line of its error stands above",
        ),
        needs=_ALL,
    ),
    "rotation": record(
        9,
        "two rotations under load fail no request, and the old users are refused",
        rotation.twice,
        (
            "When does your program read the files: once, or when it needs them?",
            "Resolve ..data once for both files. When a session is cut or refused, read again and try again.",
            "except psycopg.Error: read the files again, wait a little, try again within seconds",
        ),
        needs=_ALL,
    ),
    "incident": record(
        8,
        "who leaked is known and out, the leaked user is gone, and the service has another",
        rotation.incident,
        (
            "Whose answers in the audit log hold the digest of the leaked password?",
            "bao token revoke -accessor; a new user; bao lease revoke; bao kv destroy -versions=…",
            "bao write -field=hash sys/audit-hash/file input=PASSWORD   # then look for it in responses",
        ),
        needs=_ALL,
    ),
    "quota": record(
        3,
        "logins are limited to 50 a second",
        vaulting.quota,
        (
            "The vault has quotas: for rates, and for leases.",
            "sys/quotas/rate-limit/NAME takes path, rate and interval.",
            "bao write sys/quotas/rate-limit/logins path=auth/kubernetes/ rate=20 interval=1s",
        ),
    ),
}
POINTS = sum(check.points for check in CHECKS.values())
