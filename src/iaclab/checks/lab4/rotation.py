"""The program while its password changes, and what is left of a leak."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

from iaclab.checks.lab4 import look, pod, vaulting
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, new_vault, postgres

_SYNC = 75.0  # seconds until a new value is in the Secret
_TAKES = 30.0  # seconds until the program uses it
_AFTER = 0.7  # seconds of load after the old user is gone, and what the table holds has changed
_LARGEST = 1 << 20
_KEYS = ("user", "password")


def answers(profile: Profile) -> Iterator[str]:
    """The program answers some customers, and holds no password."""
    values = _mounted(profile)
    if any(value in pod.PROGRAM.read_text(errors="replace") for value in values.values()):
        yield f"{pod.PROGRAM} holds the user or the password itself"
    with pod.running(profile, values) as program:
        for customer in (7, 61, 999):
            if program.ask(customer) != values["user"]:
                yield "it asks the database as another user than the mounted one"


def _mounted(profile: Profile) -> dict[str, str]:
    found = look.kube_secret(profile, "feature-store")
    if missing := [key for key in _KEYS if key not in found]:
        raise LabError(f"the Secret feature-store has no {missing[0]}")
    return {key: found[key] for key in _KEYS}


def twice(profile: Profile) -> Iterator[str]:
    """Two rotations under load: no request fails, and the old users are refused."""
    yield from _rotations(profile, 2, kill=False)


def cut(profile: Profile) -> Iterator[str]:
    """A rotation in which the database cuts the program's sessions and the old user goes before the new one arrives."""
    yield from _rotations(profile, 1, kill=True)


def _rotations(profile: Profile, times: int, kill: bool) -> Iterator[str]:
    with pod.running(profile, _mounted(profile)) as program:
        threads = program.load()
        try:
            for _ in range(times):
                trouble = list(_rotate(profile, program, kill))
                yield from trouble
                if trouble:
                    break
        finally:
            program.finish(threads)
        if program.failures:
            total = len(program.failures) + sum(program.users.values())
            yield f"{len(program.failures)} of {total} requests failed: {program.failures[0]}"
        if program.ended:
            yield program.ended


def _rotate(profile: Profile, program: pod.Pod, kill: bool) -> Iterator[str]:
    old = look.secret(profile, look.STORE)
    if not program.uses(old["user"], _TAKES):
        yield "the program does not use the mounted user"
        return
    new = vaulting.borrow(profile, "serving")
    user, password = new["data"]["username"], new["data"]["password"]
    stored = {"user": user, "password": password, "lease": new["lease_id"]}
    look.answer(profile, "POST", f"ml/data/{look.STORE}", {"data": stored})
    if not _arrives(profile, user):
        yield f"the new user does not reach the Secret feature-store within {_SYNC:.0f} s"
        return
    if kill:  # the other order: an emergency
        vaulting.revoke(profile, old["lease"])
        with postgres.connect(profile) as owner:
            owner.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = %s", [old["user"]])
        time.sleep(0.5)
    program.mount({"user": user, "password": password})
    if not program.uses(user, _TAKES):
        yield "the program goes on with the old user" if not program.failures else "the program never used the new user"
    if not kill:
        vaulting.revoke(profile, old["lease"])
    if vaulting.opens(profile, old["user"], old["password"], patience=10):
        yield "the old user can still log in to the database"
    program.change_table()
    time.sleep(_AFTER)


def _arrives(profile: Profile, user: str) -> bool:
    path = f"{look.ES}/externalsecrets/feature-store"
    mark = {"metadata": {"annotations": {"force-sync": str(time.time_ns())}}}
    cluster.kube(profile).patch(path, mark)
    deadline = time.monotonic() + _SYNC
    while time.monotonic() < deadline:
        if look.kube_secret(profile, "feature-store").get("user") == user:
            return True
        time.sleep(0.2)
    return False


def incident(profile: Profile) -> Iterator[str]:
    """The reader is named and out, the leaked user is gone, no version holds it, and the service has another."""
    user, password = _leaked()
    digest = look.answer(profile, "POST", "sys/audit-hash/file", {"input": password})["hash"]
    given = [line for line in _lines(profile) if digest in json.dumps(line.get("response") or {})]
    readers = {
        (line["auth"]["display_name"], line["auth"]["accessor"])
        for line in given
        if line["auth"]["display_name"].startswith(("token-notebook-", "token-ci-"))
    }
    if not readers:
        yield "the audit log knows nothing of the password in leak/build.log"
        return
    report = _report()
    if (report.get("reader"), report.get("accessor")) not in readers:
        yield "incident.json does not name who got the password"
    if report.get("user") != user:
        yield "incident.json does not name the leaked user"
    if password in Path("incident.json").read_text(errors="replace"):
        yield "incident.json holds the password"
    for name, accessor in readers:
        said = new_vault.ask(profile, "POST", "auth/token/lookup-accessor", {"accessor": accessor}, token=look.admin())
        if said.status_code == 200:
            yield f"the token of {name} still lives"
    if vaulting.opens(profile, user, password):
        yield "the leaked user can still log in to the database"
    versions = look.answer(profile, "GET", f"ml/metadata/{look.STORE}")["data"]["versions"]
    for number, about in versions.items():
        if about["destroyed"] or about["deletion_time"]:
            if not about["destroyed"] and _holds(profile, number, password):
                yield f"version {number} is deleted, not destroyed: undelete brings the password back"
            continue
        found = look.answer(profile, "GET", f"ml/data/{look.STORE}?version={number}")["data"]["data"]
        if found.get("password") == password:
            yield f"version {number} of {look.STORE} holds the leaked password"
    now = look.secret(profile, look.STORE)
    if not vaulting.opens(profile, now["user"], now["password"]):
        yield f"the user in {look.STORE} cannot log in to the database"


def _holds(profile: Profile, number: str, password: str) -> bool:
    """Whether a deleted version holds a password; it is deleted again."""
    look.answer(profile, "POST", f"ml/undelete/{look.STORE}", {"versions": [int(number)]})
    try:
        found = look.answer(profile, "GET", f"ml/data/{look.STORE}?version={number}")["data"]["data"]
    finally:
        look.answer(profile, "POST", f"ml/delete/{look.STORE}", {"versions": [int(number)]})
    return bool(found.get("password") == password)


def _leaked() -> tuple[str, str]:
    found = re.search(r"postgresql://([^:@/]+):([^@]+)@", _text(Path("leak/build.log")))
    if not found or found[2] == "None":
        raise LabError("leak/build.log holds no password: run the cell that plays the day")
    return found[1], found[2]


def _report() -> look.Object:
    with contextlib.suppress(ValueError):
        found = json.loads(_text(Path("incident.json")))
        if isinstance(found, dict):
            return found
    raise LabError("incident.json is no JSON object")


def _text(path: Path) -> str:
    if not path.is_file() or path.is_symlink():
        raise LabError(f"{path} is not there")
    with path.open(errors="replace") as file:
        return file.read(_LARGEST)


def _lines(profile: Profile) -> Iterator[look.Object]:
    with new_vault.audit_log(profile).open() as file:
        for line in file:
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("type") == "response" and entry.get("auth", {}).get("display_name"):
                    yield entry


def failover(profile: Profile) -> Iterator[str]:
    """The active node is sealed: another takes over within seconds, and three shares open the sealed one again."""
    status = {node: new_vault.ask(profile, "GET", "sys/leader", node=node).json() for node in new_vault.NODES}
    active = next((node for node, said in status.items() if said.get("is_self")), None)
    if not active:
        yield "no node is active"
        return
    shares = [look.key_share(number) for number in (2, 4, 5)]
    new_vault.ask(profile, "POST", "sys/seal", token=look.admin(), node=active)
    deadline, read = time.monotonic() + 30, False
    while not read and time.monotonic() < deadline:
        time.sleep(0.3)
        with contextlib.suppress(Exception):
            read = bool(look.secret(profile, "prod/provider"))
    if not read:
        yield "after the loss of the active node nobody can read"
    for share in shares:
        new_vault.ask(profile, "POST", "sys/unseal", {"key": share}, node=active)
    deadline = time.monotonic() + 30
    while (new_vault.seal_status(profile, active) or {"sealed": True})["sealed"]:
        if time.monotonic() > deadline:
            yield f"the shares 2, 4 and 5 do not unseal {active}"
            return
        time.sleep(0.3)
