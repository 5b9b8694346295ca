"""What goes wrong at work: a killed run, two at a time, a wrong passphrase, a plugin that is not there."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import psutil
import pytest
from programs import Program

pytestmark = pytest.mark.platform

WAITS = """
import time
from pathlib import Path
from pulumi.dynamic import CreateResult, Resource, ResourceProvider

class Waits(ResourceProvider):
    def create(self, props):
        while not Path(props["until"]).exists():
            time.sleep(0.05)
        return CreateResult("done", outs=props)

class Job(Resource):
    pass

first = ModelBucket("first-of-{name}")
Job(Waits(), "waits", {{"until": "{until}"}}, pulumi.ResourceOptions(depends_on=[first]))
"""


def started(program: Program, until: str) -> subprocess.Popen[str]:
    """An up in the background, that has come as far as the line."""
    log = program.folder / "log"
    with log.open("w") as file:
        run = subprocess.Popen(program.command("up"), env=program.env, stdout=file, stderr=subprocess.STDOUT, text=True)
    deadline = time.monotonic() + 120
    while until not in log.read_text():
        assert run.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
    return run


def kill(run: subprocess.Popen[str]) -> None:
    """kill -9 for the program, the engine and every plugin."""
    for process in [*psutil.Process(run.pid).children(recursive=True), psutil.Process(run.pid)]:
        process.kill()
    run.wait()


def waiting(program: Program) -> Path:
    """Write a program that waits for a file; returns the file."""
    until = program.folder / "go"
    program.write(WAITS.format(name=program.folder.name[-20:].strip("-"), until=until))
    return until


def test_a_killed_up_is_mended_by_cancel_and_refresh(program: Program) -> None:
    go = waiting(program)
    kill(started(program, "waits creating"))
    error = program.error("up")
    assert "locked by 1 lock" in error and "pulumi cancel" in error, "the error names the command that mends it"
    pending = [o["type"] for o in program.latest["pending_operations"]]
    assert pending == ["creating"]
    program.cli("cancel", "--stack", "dev", "--yes")
    program.cli("refresh", "--stack", "dev", "--yes", "--skip-preview", "--clear-pending-creates")
    assert not program.latest.get("pending_operations")
    go.touch()
    program.up()
    assert program.known == sorted([f"first-of-{program.folder.name[-20:].strip('-')}", "waits"])
    assert program.preview() == []


def test_two_at_a_time_are_one_too_many(program: Program) -> None:
    go = waiting(program)
    first = started(program, "waits creating")
    error = program.error("up")
    assert error.startswith("ConcurrentUpdateError"), error
    assert "pulumi cancel" in error, "the error names the command that mends it"
    go.touch()
    assert first.wait(timeout=120) == 0, (program.folder / "log").read_text()
    assert program.preview() == []


def test_a_wrong_passphrase_opens_nothing(program: Program) -> None:
    program.write('pulumi.export("key", pulumi.Config().require_secret("key"))')
    program.cli("stack", "init", "dev")
    program.cli("config", "set", "--secret", "key", "s3cret")
    wrong = program.cli("config", "get", "key", check=False, PULUMI_CONFIG_PASSPHRASE="wrong")
    assert wrong.returncode != 0 and "incorrect passphrase" in wrong.stderr
    assert "s3cret" not in wrong.stdout + wrong.stderr
    program.env["PULUMI_CONFIG_PASSPHRASE"] = "wrong"
    assert "incorrect passphrase" in program.tried("up").stderr
    program.env["PULUMI_CONFIG_PASSPHRASE"] = ""
    assert program.up() == {"key": "s3cret"}


def test_no_passphrase_says_which_variable_is_missing(program: Program) -> None:
    program.env.update(PULUMI_CONFIG_PASSPHRASE_FILE="")
    del program.env["PULUMI_CONFIG_PASSPHRASE"]
    said = program.cli("stack", "init", "dev", check=False).stderr
    assert "PULUMI_CONFIG_PASSPHRASE" in said, said


def test_a_missing_plugin_is_named_and_not_fetched(program: Program) -> None:
    error = program.write('pulumi.CustomResource("aws:s3/bucket:Bucket", "x", {})').error("preview")
    assert "no resource plugin 'pulumi-resource-aws' found" in error, error


def test_the_settings_are_the_profiles_own_and_private(environment: dict[str, str], program: Program) -> None:
    root = Path(environment["PULUMI_HOME"]).parent
    passphrase = Path(environment["PULUMI_CONFIG_PASSPHRASE_FILE"])
    assert passphrase.parent == root and passphrase.stat().st_mode & 0o777 == 0o600
    assert len(passphrase.read_text()) >= 24
    for launcher in (root / "home" / "plugins").glob("*/pulumi-*"):
        assert launcher.stat().st_mode & 0o777 == 0o700, launcher
    assert environment["PULUMI_BACKEND_URL"] == f"file://{root}/states"
