"""A machine that is not as it should be: ports taken, disk full, folders closed, leftovers of a crash."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from running import processes_of, state_of

from iaclab.errors import LabError
from iaclab.platform import lifecycle, registry
from iaclab.platform.profile import Profile
from iaclab.platform.start import Starting, start_all
from iaclab.platform.supervise import Supervisor

pytestmark = pytest.mark.platform
Run = Callable[..., subprocess.CompletedProcess[str]]


def hold(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen()
    return sock


def test_a_port_taken_after_it_was_chosen_is_chosen_anew(own: Profile) -> None:
    chosen = own.port("redis")
    said: list[str] = []
    with hold(chosen):
        lifecycle.up("redis", profile=own, progress=lambda service, what: said.append(what))
    assert own.port("redis") != chosen
    assert any(f"port {chosen} is taken" in words for words in said), said
    assert state_of(own)["redis"].state == "ready"


@pytest.mark.parametrize("name", ["redis", "git"])
def test_a_port_taken_at_the_very_moment_of_binding_is_chosen_anew(own: Profile, name: str) -> None:
    """`prepare` runs after the ports were found free and before the program binds them: there the thief comes."""
    thieves: list[socket.socket] = []
    service = registry.service(name)

    def steal(profile: Profile) -> None:
        if service.prepare:
            service.prepare(profile)
        if not thieves:
            thieves.append(hold(profile.port(name)))

    supervisor = Supervisor(own)
    supervisor.ensure()
    said: list[str] = []
    start_all(Starting(own, supervisor, lambda _, what: said.append(what)), [replace(service, prepare=steal)])
    stolen = thieves[0].getsockname()[1]
    thieves[0].close()
    assert own.port(name) != stolen
    assert any(f"port {stolen} is taken" in words for words in said), said
    assert state_of(own)[name].state == "ready"


def test_a_state_folder_may_have_a_space_in_its_path(tmp_path: Path) -> None:
    """On macOS it always has: ~/Library/Application Support."""
    profile = Profile("own", state=tmp_path / "Application Support")
    try:
        lifecycle.up("redis", "aws", "git", "cluster", profile=profile)
        states = state_of(profile)
        assert {states[name].state for name in ("redis", "aws", "git", "cluster")} == {"ready"}
    finally:
        lifecycle.down(profile=profile)
    assert not processes_of(profile)


def test_what_a_killed_supervisor_leaves_behind_is_ended_and_started_anew(own: Profile) -> None:
    lifecycle.up("git", "redis", profile=own)
    orphans = {p.pid for p in processes_of(own)}
    supervisord = psutil.Process(int((own.root / "supervisord.pid").read_text()))
    supervisord.kill()
    supervisord.wait(timeout=60)
    assert (own.run_dir / "supervisor.sock").exists(), "the socket file is stale now, and so is the pid file"
    assert len(processes_of(own)) == len(orphans) - 1
    assert state_of(own)["git"].state == "stopped"
    lifecycle.up(profile=own)
    assert not orphans & {p.pid for p in processes_of(own)}
    assert state_of(own)["git"].state == state_of(own)["redis"].state == "ready"


def test_down_ends_what_a_killed_supervisor_leaves_behind(own: Profile) -> None:
    lifecycle.up("redis", profile=own)
    psutil.Process(int((own.root / "supervisord.pid").read_text())).kill()
    lifecycle.down(profile=own)
    assert not processes_of(own)


def test_a_folder_of_somebody_else_in_place_of_ours_is_not_used(own: Profile) -> None:
    """/tmp may be emptied, and then anybody can make a folder of the name that we had."""
    lifecycle.up("redis", profile=own)
    before = own.run_dir
    lifecycle.down(profile=own)
    own.run_dir  # noqa: B018, made anew
    other = own.run_dir
    other.chmod(0o777)
    assert own.run_dir not in (before, other)
    other.rmdir()


def test_a_state_folder_that_cannot_be_made_is_named(iaclab: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = iaclab(Profile("own", state=tmp_path / "file"), "up", "git")
    assert done.returncode == 1
    assert f"{tmp_path}/file/profiles/own cannot be written" in done.stderr
    assert "IACLAB_STATE" in done.stderr
    assert "Traceback" not in done.stderr


def on_a_small_disk(options: str, script: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a script whose state folder is a file system of its own, in a mount namespace that ends with it."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this system lets no user mount a file system of his own (unshare -rm)")
    disk = tmp_path / "disk"
    disk.mkdir()
    env = {**os.environ, "IACLAB_STATE": str(disk), "IACLAB_PROFILE": "own", "COLUMNS": "200", "PYTHON": sys.executable}
    mount = f'mount -t tmpfs -o {options} tmpfs "$IACLAB_STATE" && iaclab() {{ "$PYTHON" -m iaclab.cli "$@"; }}\n'
    return subprocess.run(
        ["unshare", "-rm", "bash", "-c", mount + script], env=env, capture_output=True, text=True, timeout=240
    )


def test_a_state_folder_that_is_read_only_is_named(tmp_path: Path) -> None:
    done = on_a_small_disk("ro,size=1m", "iaclab up git", tmp_path)
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Read-only file system" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    script = 'cat /dev/zero > "$IACLAB_STATE/fill" 2>/dev/null; iaclab up git'
    done = on_a_small_disk("size=64k", script, tmp_path)
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "df -h" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_fills_up_while_a_program_starts_is_named(tmp_path: Path) -> None:
    """etcd reserves 64 MB for its log."""
    done = on_a_small_disk("size=16m", "iaclab up cluster; code=$?; iaclab down; exit $code", tmp_path)
    assert done.returncode == 1
    assert "cluster did not get ready: the disk is full" in done.stderr
    assert "etcd" in done.stderr
    assert "Traceback" not in done.stderr
    assert not processes_of(Profile("own", state=tmp_path / "disk")), "`down` left processes behind"


def test_a_program_that_ends_at_once_is_named_with_its_last_word(own: Profile) -> None:
    service = registry.service("redis")
    broken = replace(service, programs=lambda p: [replace(x, argv=[*x.argv, "--no-such"]) for x in service.programs(p)])
    supervisor = Supervisor(own)
    supervisor.ensure()
    with pytest.raises(LabError) as error:
        start_all(Starting(own, supervisor, lambda _, what: None), [broken])
    assert "its server ends as soon as it starts" in str(error.value)
    assert "Its last word" in str(error.value)
    assert "iaclab logs redis" in str(error.value)
