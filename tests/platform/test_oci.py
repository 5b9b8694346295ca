"""The container registry as clients see it: who may do what, what a reset takes, what a restart keeps."""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from running import listening, processes_of, shell, state_of, wait_until

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import oci

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("oci", state=tmp_path_factory.mktemp("oci"))
    lifecycle.up("oci", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture
def clean(server: Profile) -> Profile:
    lifecycle.up("oci", profile=server)
    return lifecycle.reset(profile=server)


@pytest.fixture
def layer(tmp_path: Path) -> Path:
    """A layer with one program in it."""
    (tmp_path / "predict").write_text("#!/bin/sh\necho churn\n")
    with tarfile.open(tmp_path / "layer.tar", "w") as archive:
        archive.add(tmp_path / "predict", "app/predict")
    return tmp_path / "layer.tar"


def push(profile: Profile, layer: Path, image: str) -> str:
    """Make an image of one layer and push it, as a learner does; returns its reference."""
    reference = f"{oci.address(profile)}/{image}"
    shell(profile, "crane", "append", "--oci-empty-base", "-f", str(layer), "-t", reference)
    return reference


def as_others(*args: str) -> subprocess.CompletedProcess[str]:
    """A program without the profile's environment."""
    env = {**os.environ, "DOCKER_CONFIG": "/nonexistent", "HOME": "/nonexistent"}
    return subprocess.run(args, env=env, capture_output=True, text=True, timeout=180)


def test_an_image_is_pushed_tagged_listed_and_pulled_with_crane(clean: Profile, layer: Path, tmp_path: Path) -> None:
    first = push(clean, layer, "models/churn:1.0.0")
    shell(clean, "crane", "tag", first, "stable")
    second = f"{oci.address(clean)}/models/churn:1.1.0"
    shell(clean, "crane", "mutate", "--label", "version=1.1.0", "-t", second, first)
    assert oci.repositories(clean) == ["models/churn"]
    assert oci.tags(clean, "models/churn") == ["1.0.0", "1.1.0", "stable"]
    assert shell(clean, "crane", "ls", f"{oci.address(clean)}/models/churn").stdout.split() == [
        "1.0.0",
        "1.1.0",
        "stable",
    ]
    digests = {
        tag: shell(clean, "crane", "digest", f"{oci.address(clean)}/models/churn:{tag}").stdout
        for tag in oci.tags(clean, "models/churn")
    }
    assert digests["1.0.0"] == digests["stable"] != digests["1.1.0"]
    shell(clean, "crane", "export", second, str(tmp_path / "flat.tar"))
    with tarfile.open(tmp_path / "flat.tar") as archive:
        file = archive.extractfile("app/predict")
        assert file and file.read() == b"#!/bin/sh\necho churn\n"


def test_nobody_without_the_password_pulls_pushes_or_lists(clean: Profile, layer: Path) -> None:
    crane = str(shell(clean, "sh", "-c", "command -v crane").stdout.strip())
    reference = push(clean, layer, "models/secret:1")
    assert "UNAUTHORIZED" in as_others(crane, "digest", reference).stderr
    done = as_others(crane, "append", "-f", str(layer), "-t", reference.replace("secret", "planted"))
    assert done.returncode != 0 and "401 Unauthorized" in done.stderr
    base = f"http://{oci.address(clean)}/v2/"
    for auth in (None, ("learner", "guess"), ("root", clean.secret("oci"))):
        for path in ("", "_catalog", "models/secret/tags/list"):
            assert httpx.get(base + path, auth=auth, trust_env=False, timeout=60).status_code == 401
    assert oci.repositories(clean) == ["models/secret"]


def test_helm_charts_are_pushed_with_the_same_login(clean: Profile, tmp_path: Path) -> None:
    shell(clean, "helm", "create", "demo", cwd=tmp_path)
    shell(clean, "helm", "package", "demo", cwd=tmp_path)
    shell(clean, "helm", "push", "demo-0.1.0.tgz", f"oci://{oci.address(clean)}/charts", "--plain-http", cwd=tmp_path)
    assert oci.tags(clean, "charts/demo") == ["0.1.0"]


def test_a_tag_and_an_image_can_be_deleted(clean: Profile, layer: Path) -> None:
    reference = push(clean, layer, "models/churn:1.0.0")
    shell(clean, "crane", "tag", reference, "stable")
    shell(clean, "crane", "delete", reference)
    assert oci.tags(clean, "models/churn") == ["stable"]
    image = f"{oci.address(clean)}/models/churn"
    digest = shell(clean, "crane", "digest", f"{image}:stable").stdout.strip()
    shell(clean, "crane", "delete", f"{image}@{digest}")
    assert oci.tags(clean, "models/churn") == []
    assert oci.tags(clean, "no/such") == []


def test_a_reset_empties_it_while_it_runs_and_what_is_pushed_next_is_whole(clean: Profile, layer: Path) -> None:
    push(clean, layer, "models/churn:1.0.0")
    before = state_of(clean)["oci"].processes
    lifecycle.reset(profile=clean)
    assert oci.repositories(clean) == []
    assert state_of(clean)["oci"].processes == before, "a reset need not restart it"
    assert not list((clean.root / "oci").glob(".gone-*"))
    reference = push(clean, layer, "models/churn:1.0.0")  # the same layer: nobody may believe that it is still there
    assert "app/predict" in shell(clean, "sh", "-c", f"crane export {reference} - | tar -t").stdout


def test_a_restart_keeps_what_was_pushed(clean: Profile, layer: Path) -> None:
    reference = push(clean, layer, "models/churn:1.0.0")
    digest = shell(clean, "crane", "digest", reference).stdout
    lifecycle.down(profile=clean)
    assert not processes_of(clean)
    lifecycle.up("oci", profile=clean)
    assert shell(clean, "crane", "digest", reference).stdout == digest


def test_killed_it_is_started_again_with_all_that_was_pushed(clean: Profile, layer: Path) -> None:
    reference = push(clean, layer, "models/churn:1.0.0")
    digest = shell(clean, "crane", "digest", reference).stdout
    pid = state_of(clean)["oci"].processes["server"]
    psutil.Process(pid).kill()
    wait_until(lambda: state_of(clean)["oci"].processes.get("server", pid) != pid, "the registry runs again")
    wait_until(lambda: state_of(clean)["oci"].state == "ready", "the registry is ready again")
    assert shell(clean, "crane", "digest", reference).stdout == digest
    assert "restarted 1 time" in state_of(clean)["oci"].detail


def test_a_port_that_another_program_has_taken_is_left_to_it(clean: Profile, layer: Path) -> None:
    import socket

    push(clean, layer, "models/churn:1.0.0")
    old = clean.port("oci")
    lifecycle.down(profile=clean)
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", old))
        other.listen()
        lifecycle.up("oci", profile=clean)
        assert clean.port("oci") != old
        assert oci.tags(clean, "models/churn") == ["1.0.0"]
        shell(clean, "crane", "ls", f"{oci.address(clean)}/models/churn")  # logs in at the new address


def test_it_listens_on_loopback_alone_and_shows_its_password_to_nobody(server: Profile) -> None:
    lifecycle.up("oci", profile=server)
    family = processes_of(server)
    assert {(a.ip, a.port) for a in listening(family)} == {("127.0.0.1", server.port("oci"))}
    password = server.secret("oci")
    assert not [p for p in family if password in " ".join(p.cmdline())]
    loose = [p for p in (server.root / "oci").rglob("*") if p.stat().st_mode & 0o077]
    assert not loose, "files that others may read"
    assert password not in (server.root / "oci" / "htpasswd").read_text()


def test_variables_of_the_users_shell_do_not_change_how_it_runs(
    own: Profile, iaclab: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """Distribution reads REGISTRY_* over its configuration: an address, a storage, another login."""
    done = iaclab(own, "up", "oci", REGISTRY_HTTP_ADDR="0.0.0.0:0", REGISTRY_STORAGE_DELETE_ENABLED="false")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {a.ip for a in listening(processes_of(own))} == {"127.0.0.1"}


def test_the_environment_names_the_registry_and_where_its_password_is(server: Profile) -> None:
    lifecycle.up("oci", profile=server)
    env = server.env()
    login = (env["OCI_USER"], Path(env["OCI_PASSWORD_FILE"]).read_text())
    assert httpx.get(f"http://{env['OCI_REGISTRY']}/v2/", auth=login, trust_env=False, timeout=60).status_code == 200
    assert json.loads((Path(env["DOCKER_CONFIG"]) / "config.json").read_text())["auths"].keys() == {env["OCI_REGISTRY"]}


def test_it_starts_in_seconds(own: Profile) -> None:
    started = time.monotonic()
    lifecycle.up("oci", profile=own)
    seconds = time.monotonic() - started
    print(f"from nothing: {seconds:.1f} s")
    assert seconds < 60
