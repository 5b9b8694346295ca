"""Up, down, status, logs and env of a whole platform, and what it outlives."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from filelock import FileLock
from running import command, kubectl, listening, objects, processes_of, state_of, taken, wait_until

from iaclab.errors import LabError
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import git, redis

pytestmark = pytest.mark.platform
Run = Callable[..., subprocess.CompletedProcess[str]]


def test_every_service_that_was_asked_for_is_ready(platform: Profile, iaclab: Run) -> None:
    rows = {row["name"]: row for row in json.loads(iaclab(platform, "status", "--json").stdout)}
    ready = {name for name, row in rows.items() if row["state"] == "ready"}
    assert ready == {"argocd", "cluster", "cluster-b", "git", "gpu-nodes", "redis"}
    assert {n for n, row in rows.items() if row["detail"] == "never started"} == rows.keys() - ready
    assert rows["cluster"]["processes"].keys() == {"etcd", "apiserver", "controllers", "scheduler", "kwok"}
    table = iaclab(platform, "status").stdout
    assert all(name in table for name in rows)
    assert "Git server" in table and "Prometheus" not in table  # one of those that were never started
    assert "Prometheus" in iaclab(platform, "status", "--all").stdout


def test_up_again_changes_nothing(platform: Profile) -> None:
    before = {p.pid for p in processes_of(platform)}
    said: list[str] = []
    lifecycle.up("argocd", profile=platform, progress=lambda service, what: said.append(what))
    assert set(said) == {"ready"}
    assert {p.pid for p in processes_of(platform)} >= before


def test_gpus_are_scheduled_for_real(platform: Profile) -> None:
    name = "too-many-gpus"
    limits = json.dumps(
        {"spec": {"containers": [{"name": "c", "image": "x", "resources": {"limits": {"nvidia.com/gpu": "9"}}}]}}
    )
    kubectl(platform, "run", name, "--image=x", f"--overrides={limits}")
    try:
        wait_until(
            lambda: "Insufficient nvidia.com/gpu" in kubectl(platform, "get", "pod", name, "-o", "yaml"),
            "the scheduler says that no node has nine GPUs",
        )
    finally:
        kubectl(platform, "delete", "pod", name, "--grace-period=0", "--force")


def test_logs_are_those_of_the_service_alone(platform: Profile, iaclab: Run) -> None:
    assert lifecycle.logs("cluster", 2, platform).keys() == {"etcd", "apiserver", "controllers", "scheduler", "kwok"}
    assert all(len(lines) <= 2 for lines in lifecycle.logs("cluster-b", 2, platform).values())
    printed = iaclab(platform, "logs", "argocd", "-n", "1").stdout
    assert all(program in printed for program in ("applicationset", "controller", "repo-server", "server"))
    assert "nothing yet" in iaclab(platform, "logs", "aws").stdout
    unknown = iaclab(platform, "logs", "argo")
    assert unknown.returncode == 1
    assert "There is no service 'argo'" in unknown.stderr


def test_env_makes_a_plain_shell_work(platform: Profile, iaclab: Run, tmp_path: Path) -> None:
    exports = iaclab(platform, "env").stdout
    script = f"{exports}\nkubectl get nodes -o name && argocd app list -o name && git ls-remote $GIT_URL/none.git"
    plain = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=plain)
    assert "node/gpu-a100-1" in done.stdout, done.stderr
    assert "not found" in done.stderr  # the Git server knows the learner: it says 404, not 401
    assert "Unauthenticated" not in done.stderr


def test_an_unknown_service_is_refused_with_the_nearest_name(own: Profile, iaclab: Run) -> None:
    for words in (("up", "argcd"), ("down", "argcd"), ("logs", "argcd")):
        done = iaclab(own, *words)
        assert done.returncode == 1
        assert "There is no service 'argcd'" in done.stderr
        assert "iaclab up argocd" in done.stderr
        assert "Traceback" not in done.stderr


def test_up_without_a_tool_says_which_one_and_why(own: Profile, iaclab: Run, tmp_path: object) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        mirror = f"http://127.0.0.1:{closed.getsockname()[1]}"
        done = iaclab(
            own, "up", "cluster", IACLAB_CACHE=f"{tmp_path}/cache", IACLAB_TOOLS_FROM="release", IACLAB_MIRROR=mirror
        )
    assert done.returncode == 1
    assert "kube-apiserver" in done.stderr
    assert "cannot be installed" in done.stderr
    assert "127.0.0.1" in done.stderr, "the message names the mirror that does not answer"
    assert "Traceback" not in done.stderr
    assert not processes_of(own)


def test_down_of_one_service_leaves_the_others(platform: Profile) -> None:
    lifecycle.down("git", profile=platform)
    state = state_of(platform)
    assert (state["git"].state, state["git"].detail) == ("stopped", "its data is on disk")
    assert state["cluster"].state == state["argocd"].state == "ready"
    lifecycle.up("git", profile=platform)
    assert state_of(platform)["git"].state == "ready"


def test_two_ups_at_once_both_succeed_and_start_one_set_of_processes(own: Profile) -> None:
    env = {**os.environ, "IACLAB_STATE": str(own.state), "IACLAB_PROFILE": own.name}
    both = [
        subprocess.Popen(
            command("up", "git", "redis"), env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=240)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert any("another command works on this profile" in words for words in said)
    names = sorted(" ".join(p.cmdline()) for p in processes_of(own))
    assert len(names) == 3, names  # supervisord, the Git server, Valkey


def test_services_outlive_the_process_that_started_them(own: Profile) -> None:
    """As a kernel that is killed, or a terminal that is closed."""
    code = "import iaclab, time; iaclab.up('git'); print('up', flush=True); time.sleep(600)"
    env = {**os.environ, "IACLAB_STATE": str(own.state), "IACLAB_PROFILE": own.name}
    parent = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, start_new_session=True)
    assert parent.stdout
    assert parent.stdout.readline() == b"up\n"
    os.killpg(parent.pid, signal.SIGHUP)
    parent.wait(timeout=60)
    assert state_of(own)["git"].state == "ready"


def test_ctrl_c_ends_up_at_once_and_down_leaves_nothing(own: Profile) -> None:
    env = {**os.environ, "IACLAB_STATE": str(own.state), "IACLAB_PROFILE": own.name, "PYTHONUNBUFFERED": "1"}
    up = subprocess.Popen(command("up", "cluster"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert up.stdout
    assert "starting" in up.stdout.readline()
    wait_until(lambda: len(processes_of(own)) > 2, "etcd and the API server have been started")
    up.send_signal(signal.SIGINT)
    _, stderr = up.communicate(timeout=120)
    assert up.returncode == 130
    assert "Stopped" in stderr
    assert "Traceback" not in stderr
    lifecycle.down(profile=own)
    assert not processes_of(own)


def test_the_first_failure_is_the_one_that_is_reported(own: Profile) -> None:
    """What was still starting when it came ends its wait, and is no second error."""
    own.folder("redis", "valkey.conf")  # a folder where its configuration should be
    with pytest.raises(LabError) as error:
        lifecycle.up("git", "redis", profile=own)
    assert "valkey.conf" in str(error.value)


def test_down_leaves_no_process_and_no_port_and_up_goes_on_with_the_data(platform: Profile) -> None:
    kubectl(platform, "create", "namespace", "kept")
    git.new_repository(platform, "kept")
    family = processes_of(platform)
    ports = {address.port for address in listening(family)}
    run_dir = platform.run_dir
    assert len(ports) > 20

    lifecycle.down(profile=platform)
    assert not [p.cmdline() for p in family if p.is_running() and p.status() != "zombie"]
    assert not processes_of(platform)
    assert not run_dir.exists()
    for port in ports:
        with socket.socket() as sock:
            sock.settimeout(1)
            assert sock.connect_ex(("127.0.0.1", port)) != 0, f"port {port} still answers"
    assert {s.state for s in lifecycle.status(platform)} == {"stopped"}
    lifecycle.down(profile=platform)  # again: nothing to do

    lifecycle.up(profile=platform)
    assert "/kept" in objects(platform, "namespaces")
    assert git.head(platform, "kept") is None  # it is there, and empty
    assert (platform.root / "git" / "repositories" / "kept.git").is_dir()


def test_after_a_machine_restart_up_goes_on_even_when_ports_are_taken_meanwhile(platform: Profile) -> None:
    """Everything dies at once, /tmp is emptied, and other programs listen where we did."""
    kubectl(platform, "create", "configmap", "survivor", "--from-literal=value=1")
    before = platform.ports
    psutil.Process(int((platform.root / "supervisord.pid").read_text())).kill()  # first: it would start others again
    for process in processes_of(platform):
        process.kill()
    wait_until(lambda: not processes_of(platform), "everything is dead")
    shutil.rmtree(platform.run_dir)
    moved = ("cluster.apiserver", "cluster.etcd", "git", "redis", "argocd.server")
    said: list[str] = []
    with taken(*(before[name] for name in moved)):
        lifecycle.up(profile=platform, progress=lambda service, what: said.append(what))
    after = platform.ports
    assert {name for name in after if after[name] != before[name]} == set(moved)
    for name in moved:
        assert any(f"port {before[name]} is taken" in words and str(after[name]) in words for words in said), said
    assert "default/survivor" in objects(platform, "configmaps")
    assert {s.state for s in state_of(platform).values() if s.processes} == {"ready"}
    assert redis._ready(platform) is None


def test_down_says_that_it_waits_for_another_command(own: Profile) -> None:
    env = {**os.environ, "IACLAB_STATE": str(own.state), "IACLAB_PROFILE": own.name, "COLUMNS": "200"}
    with FileLock(own.create() / "lock"):
        down = subprocess.Popen(command("down"), env=env, stdout=subprocess.PIPE, text=True)
        assert down.stdout
        said = down.stdout.readline()
    rest, _ = down.communicate(timeout=120)
    assert said == "profile: another command works on this profile: waiting for it\n"
    assert (down.returncode, rest) == (0, "stopped\n")
