"""What is wrong with the vault: its nodes, its keys, who logs in, who reads what, what it lends."""

from __future__ import annotations

import contextlib
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg

from iaclab.checks.lab4 import look
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, new_vault, postgres

SHARES, THRESHOLD = 5, 3
_ROLES = {"trainer": "training/trainer", "serving": "serving/secrets-reader"}
_READS = {
    "trainer": {"ml/data/prod/tracker", "database/creds/training"},
    "serving": {"ml/data/prod/provider", "ml/data/prod/feature-store"},
}
_NOBODY_READS = (
    "ml/metadata/prod/tracker",
    "ml/data/dev/tracker",
    "ml/delete/prod/tracker",
    "database/creds/serving",
    "database/config/features",
    "auth/kubernetes/role/trainer",
    "sys/policies/acl/trainer",
    "sys/auth",
)
_LONGEST = 900  # seconds of a pod's token, and of a training job's user
_DAY = 86400
_GONE = 15  # seconds until a user that was revoked must be gone


def nodes(profile: Profile) -> Iterator[str]:
    """Three unsealed nodes that follow one leader; five shares, three of which unseal."""
    for node in new_vault.NODES:
        status = new_vault.seal_status(profile, node)
        if not status or not status["initialized"]:
            yield f"{node} is not initialised"
        elif (status["n"], status["t"]) != (SHARES, THRESHOLD):
            yield f"{node} is opened by {status['t']} of {status['n']} shares"
        elif status["sealed"]:
            yield f"{node} is sealed"
    leaders = set()
    for node in new_vault.NODES:
        leaders.add(new_vault.ask(profile, "GET", "sys/leader", node=node).json().get("leader_address", ""))
    if len(leaders) != 1 or leaders == {""}:
        yield "the nodes do not follow one leader"
    for number in range(1, SHARES + 1):
        look.key_share(number)


def audit(profile: Profile) -> Iterator[str]:
    """A file device at the given path, which writes what happens, with accessors in the clear."""
    devices = look.answer(profile, "GET", "sys/audit").get("data", {})
    log = new_vault.audit_log(profile)
    found = [d for d in devices.values() if d["type"] == "file" and d["options"].get("file_path") == str(log)]
    if not found:
        yield "no audit device `file` writes to $NEW_VAULT_AUDIT_FILE"
        return
    if found[0]["options"].get("hmac_accessor") != "false":
        yield "accessors are digests in the log (hmac_accessor)"
    if found[0]["options"].get("log_raw") == "true":
        yield "the log holds secrets in the clear (log_raw)"
    mark = f"sys/policies/acl/looked-{secrets.token_hex(4)}"
    new_vault.ask(profile, "GET", mark, token=look.admin())
    if mark not in log.read_text():
        yield "a request does not appear in the log"


def root(profile: Profile) -> Iterator[str]:
    """An administrator who is not root, and no root token left."""
    token = look.admin()
    own = look.answer(profile, "GET", "auth/token/lookup-self")["data"]
    if "root" in own["policies"]:
        yield "keys/admin.token is a root token"
    said = look.answer(profile, "POST", "sys/capabilities-self", {"paths": ["sys/seal", "sys/auth/x"]})["data"]
    if any("sudo" not in said[path] for path in ("sys/seal", "sys/auth/x")) and "root" not in own["policies"]:
        yield "the administrator lacks sudo on all paths"
    for accessor in look.answer(profile, "LIST", "auth/token/accessors")["data"]["keys"]:
        found = new_vault.ask(
            profile, "POST", "auth/token/lookup-accessor", {"accessor": accessor}, token=token
        )  # one may end meanwhile
        if found.status_code == 200 and "root" in found.json()["data"]["policies"]:
            yield f"a root token lives: accessor {accessor}"
    for path in Path("keys").iterdir():
        if path.is_file() and path.stat().st_mode & 0o077:
            yield f"{path} can be read by others"


def logins(profile: Profile) -> Iterator[str]:
    """Each account logs in to its role with the right audience; nobody else does."""
    api = cluster.kube(profile)
    stranger = f"stranger-{secrets.token_hex(3)}"
    for role, account in _ROLES.items():
        lent = look.log_in(profile, role, look.account_token(profile, account))
        if not lent:
            yield f"{account} cannot log in to the role {role}"
            continue
        if not 0 < lent["lease_duration"] <= _LONGEST:
            yield f"the role {role} gives tokens of {lent['lease_duration']} s"
        limit = look.answer(profile, "GET", f"auth/kubernetes/role/{role}")["data"].get("token_max_ttl", 0)
        if not 0 < limit <= _LONGEST:
            yield f"tokens of the role {role} can be renewed beyond 15 minutes (token_max_ttl)"
        other = next(name for name in _ROLES if name != role)
        if look.log_in(profile, other, look.account_token(profile, account)):
            yield f"{account} can log in to the role {other}"
        for audience in ("another", ""):
            if look.log_in(profile, role, look.account_token(profile, account, audience)):
                which = f"the audience {audience}" if audience else "the API server's own audience"
                yield f"{account} can log in with a token for {which}"
        namespace, name = account.split("/")
        for foreign in (f"{namespace}/{stranger}", f"default/{name}"):
            place, called = foreign.split("/")
            api.apply([{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": called}}], namespace=place)
            try:
                if look.log_in(profile, role, look.account_token(profile, foreign)):
                    yield f"{foreign} can log in to the role {role}"
            finally:
                api.delete(f"/api/v1/namespaces/{place}/serviceaccounts/{called}")


def policies(profile: Profile) -> Iterator[str]:
    """What tokens of the two accounts may do with every path that matters."""
    unknown = f"ml/data/prod/other-{secrets.token_hex(3)}"
    paths = sorted({unknown, *_NOBODY_READS, *(path for reads in _READS.values() for path in reads)})
    for role, account in _ROLES.items():
        lent = look.log_in(profile, role, look.account_token(profile, account))
        if not lent:
            yield f"{account} cannot log in to the role {role}"
            continue
        token = lent["client_token"]
        said = look.answer(profile, "POST", "sys/capabilities-self", {"paths": paths}, token)["data"]
        for path in paths:
            wanted = ["read"] if path in _READS[role] else ["deny"]
            if sorted(said[path]) != wanted:
                yield f"{account}: {', '.join(said[path])} on {path}"


def lent(profile: Profile) -> Iterator[str]:
    """A training job's user reads, nothing else, and ends with its lease, sessions and all."""
    try:
        postgres.connect(profile, postgres.MAKER, profile.secret("postgres-vault")).close()
        yield "the password that too many have seen still opens the database"
    except psycopg.OperationalError:
        pass
    for role, most in (("training", _LONGEST), ("serving", _DAY)):
        terms = look.answer(profile, "GET", f"database/roles/{role}")["data"]
        if not 0 < int(terms["max_ttl"]) <= most:
            yield f"users of the role {role} can live longer than {most} s (max_ttl)"
        yield from _life(profile, role)


def _life(profile: Profile, role: str) -> Iterator[str]:
    """One user of a role, from its loan to its end."""
    given = borrow(profile, role)
    user, password = given["data"]["username"], given["data"]["password"]
    try:
        with postgres.connect(profile) as owner:
            until = owner.execute("SELECT rolvaliduntil FROM pg_roles WHERE rolname = %s", [user]).fetchone()
        if not until or until[0] is None:
            yield f"users of the role {role} have no VALID UNTIL"
        session = postgres.connect(profile, user, password)
        session.execute("SELECT count(*) FROM features")
        for what in ("UPDATE features SET tenure = tenure", "DELETE FROM features WHERE false", "CREATE ROLE more"):
            with contextlib.suppress(psycopg.Error):
                session.execute(what)
                yield f"users of the role {role} may {what.split()[0]}"
    finally:
        revoke(profile, given["lease_id"])
    if opens(profile, user, password, _GONE):
        yield f"a user of the role {role} can log in after its lease was revoked"
    try:
        session.execute("SELECT 1")
        yield f"an open session of the role {role} goes on after its lease was revoked"
    except psycopg.Error:
        pass
    finally:
        session.close()
    with postgres.connect(profile) as owner:
        if owner.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone():
            yield f"a user of the role {role} is still in the database after its lease was revoked"


def borrow(profile: Profile, role: str) -> look.Object:
    """A new user of a role: `data` with username and password, and `lease_id`."""
    return look.answer(profile, "GET", f"database/creds/{role}")


def revoke(profile: Profile, lease: str) -> None:
    """Revoke a lease now; where its statements fail, the check will see the user."""
    with contextlib.suppress(LabError):
        look.answer(profile, "POST", "sys/leases/revoke", {"lease_id": lease, "sync": True})


def opens(profile: Profile, user: str, password: str, patience: float = 0) -> bool:
    """Whether a user can still log in, after some seconds of patience."""
    deadline = time.monotonic() + patience
    while True:
        try:
            postgres.connect(profile, user, password).close()
        except psycopg.OperationalError:
            return False
        if time.monotonic() >= deadline:
            return True
        time.sleep(0.3)


def keys(profile: Profile) -> Iterator[str]:
    """The three secrets, with versions, and a database user that works and has a lease."""
    mount = look.answer(profile, "GET", "sys/mounts/ml")
    mount = mount.get("data", mount)
    if mount["type"] != "kv" or (mount.get("options") or {}).get("version") != "2":
        yield "ml is no KV engine of version 2"
        return
    for path, key in (("prod/provider", "key"), ("prod/tracker", "token")):
        if len(str(look.secret(profile, path).get(key, ""))) < 24:
            yield f"{path} has no {key} of 24 characters"
    store = look.secret(profile, look.STORE)
    if missing := [key for key in ("user", "password", "lease") if not store.get(key)]:
        yield f"{look.STORE} has no {missing[0]}"
        return
    if not str(store["lease"]).startswith("database/creds/serving/"):
        yield f"the lease in {look.STORE} is none of the role serving"
    elif not opens(profile, store["user"], store["password"]):
        yield f"the user in {look.STORE} cannot log in to the database"


def quota(profile: Profile) -> Iterator[str]:
    """Logins are limited."""
    names = look.answer(profile, "LIST", "sys/quotas/rate-limit")["data"]["keys"]
    for name in names:
        terms = look.answer(profile, "GET", f"sys/quotas/rate-limit/{name}")["data"]
        if terms["path"].rstrip("/") == "auth/kubernetes" and terms["rate"] / max(terms.get("interval", 1), 1) <= 50:
            return
    yield "no quota limits auth/kubernetes/ to 50 requests a second"
