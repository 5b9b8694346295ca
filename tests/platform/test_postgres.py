"""PostgreSQL as its users see it: who gets in, what a reset takes, what a restart keeps."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from running import listening, processes_of, shell, state_of, wait_until

from iaclab.platform import lifecycle
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.services import postgres

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("postgres", state=tmp_path_factory.mktemp("postgres"))
    lifecycle.up("postgres", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


def test_the_user_of_the_environment_lends_what_it_may_and_no_more(server: Profile) -> None:
    env = server.env()
    password = Path(env["FEATURES_DB_PASSWORD_FILE"])
    assert password.stat().st_mode & 0o777 == 0o600
    address, _, name = env["FEATURES_DB"].partition("/")
    host, _, port = address.partition(":")
    login = {"host": host, "port": port, "dbname": name, "sslmode": "disable", "autocommit": True}
    with psycopg.connect(**login, user=env["FEATURES_DB_USER"], password=password.read_text()) as maker:  # type: ignore[arg-type]
        assert maker.execute("SELECT count(*) FROM features").fetchone() == (1000,)
        maker.execute("CREATE ROLE trainer LOGIN PASSWORD 'of-a-test'")
        maker.execute("GRANT SELECT ON features TO trainer")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            maker.execute("DROP TABLE features")
    with postgres.connect(server, "trainer", "of-a-test") as trainer:
        assert trainer.execute("SELECT count(*) FROM features").fetchone() == (1000,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            trainer.execute("DELETE FROM features")


def test_nobody_gets_in_without_a_password(server: Profile) -> None:
    for user in (postgres.OWNER, postgres.MAKER):
        with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
            postgres.connect(server, user, "guessed")


def test_only_loopback_hears_it(server: Profile) -> None:
    assert {address.ip for address in listening(processes_of(server))} == {HOST}


def test_a_restart_keeps_what_a_reset_takes(server: Profile) -> None:
    with postgres.connect(server) as owner:
        owner.execute("CREATE TABLE mine (n int)")
    lifecycle.down("postgres", profile=server)
    lifecycle.up("postgres", profile=server)
    with postgres.connect(server) as owner:
        owner.execute("SELECT * FROM mine")
    lifecycle.reset(profile=server)
    with postgres.connect(server) as owner:
        with pytest.raises(psycopg.errors.UndefinedTable):
            owner.execute("SELECT * FROM mine")
        assert owner.execute("SELECT count(*) FROM features").fetchone() == (1000,)


def test_psql_without_arguments_is_the_owner_and_its_password_is_in_private_files_only(server: Profile) -> None:
    asked = ["psql", "--no-psqlrc", "-Atc", "SELECT current_user, current_database(), count(*) FROM features"]
    assert shell(server, *asked).stdout.strip() == "owner|features|1000"
    password = server.secret("postgres-owner")
    files = [path for path in server.root.rglob("*") if path.is_file() and not path.is_symlink()]
    holders = [path for path in files if password in path.read_text(errors="replace")]
    assert {path.name for path in holders} == {"pgpass", "postgres-owner"}
    assert {path.stat().st_mode & 0o777 for path in holders} == {0o600}
    assert not [process for process in processes_of(server) if password in " ".join(process.cmdline())]


def test_a_password_in_a_statement_that_fails_is_in_no_log(server: Profile) -> None:
    with postgres.connect(server) as owner:
        owner.execute("CREATE ROLE twice LOGIN PASSWORD 'kept-to-itself'")
        with pytest.raises(psycopg.errors.DuplicateObject):
            owner.execute("CREATE ROLE twice LOGIN PASSWORD 'kept-to-itself'")
    log = server.root / "logs" / "postgres" / "server.log"
    wait_until(lambda: 'role "twice" already exists' in log.read_text(), "the log has the error")
    assert "kept-to-itself" not in log.read_text()


def test_a_kill_and_a_lock_that_a_lost_machine_left_are_no_obstacle(server: Profile) -> None:
    with postgres.connect(server) as owner:
        owner.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    killed = state_of(server)["postgres"].processes["server"]
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: state_of(server)["postgres"].processes.get("server", killed) != killed, "it is started again")
    lifecycle.up("postgres", profile=server)
    lifecycle.down("postgres", profile=server)
    lock = server.root / "postgres" / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{lock.parent}\n0\n0\n\n127.0.0.1\n")  # the number of a process that runs
    lifecycle.up("postgres", profile=server)
    with postgres.connect(server) as owner:
        assert owner.execute("SELECT answer FROM kept").fetchone() == (42,)
