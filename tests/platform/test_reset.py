"""Reset brings a profile back to clean, whatever goes on at that moment."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from argo import application, deployment, push, wait_synced
from running import kubectl, objects, shell, state_of, wait_until

from iaclab.platform import lifecycle, registry
from iaclab.platform.profile import Profile
from iaclab.platform.services import argocd, cluster, git

pytestmark = pytest.mark.platform
Run = Callable[..., subprocess.CompletedProcess[str]]
CLEAN = {"argocd", "default", "kube-node-lease", "kube-public", "kube-system"}


def namespaces(profile: Profile, name: str = "cluster") -> set[str]:
    return {n.removeprefix("/") for n in objects(profile, "namespaces", name)}


def assert_clean(profile: Profile) -> None:
    assert namespaces(profile) == CLEAN
    assert namespaces(profile, "cluster-b") == CLEAN - {"argocd"}
    left = objects(profile, "applications,applicationsets,appprojects,pods,deployments,replicasets,services,nodes")
    nodes = {f"Node /{name}" for name in ("cpu-1", "cpu-2", "gpu-a100-1", "gpu-a100-2")}
    assert left == {"Service default/kubernetes", "AppProject argocd/default"} | nodes
    events = json.loads(kubectl(profile, "get", "events", "-A", "-o", "json"))["items"]
    assert {event["involvedObject"]["kind"] for event in events} <= {"Node"}, "events of what is gone are left"
    assert not list((profile.root / "git" / "repositories").iterdir())
    assert {s.state for s in state_of(profile).values() if s.processes} == {"ready"}


def test_everything_a_learner_made_is_gone(platform: Profile, tmp_path: Path) -> None:
    push(platform, tmp_path, deployment("fraud-api", replicas=2))
    application(platform, "fraud-api", "fraud")
    wait_synced(platform, "fraud-api")
    kubectl(platform, "create", "namespace", "mine")
    kubectl(platform, "create", "configmap", "mine", "-n", "mine")
    kubectl(platform, "create", "deployment", "loose", "--image=x", "--replicas=3")
    kubectl(platform, "label", "node", "cpu-1", "mine=yes")
    kubectl(platform, "taint", "node", "cpu-2", "mine=yes:NoSchedule")
    kubectl(platform, "cordon", "gpu-a100-1")
    kubectl(platform, "delete", "crd", "applicationsets.argoproj.io")
    kubectl(platform, "delete", "configmap", "argocd-rbac-cm", "-n", "argocd")
    kubectl(platform, "patch", "configmap", "argocd-cm", "-n", "argocd", "--patch", '{"data":{"mine":"yes"}}')
    shell(platform, "argocd", "context", argocd.address(platform), "--delete")
    b = ("--kubeconfig", str(platform.root / "cluster-b" / "kubeconfig"))
    kubectl(platform, *b, "create", "namespace", "mine")
    kubectl(platform, *b, "label", "node", "b-cpu-1", "mine=yes")

    lifecycle.reset(profile=platform)

    assert_clean(platform)
    for node in ("cpu-1", "cpu-2", "gpu-a100-1"):
        found = json.loads(kubectl(platform, "get", "node", node, "-o", "json"))
        assert "mine" not in found["metadata"]["labels"]
        assert not found["spec"].get("unschedulable")
        assert "mine" not in [t["key"] for t in found["spec"].get("taints", [])]
    assert "mine" not in kubectl(platform, *b, "get", "node", "b-cpu-1", "--show-labels")
    assert "applicationsets.argoproj.io" in kubectl(platform, "get", "crds")
    settings = json.loads(kubectl(platform, "get", "configmap", "argocd-cm", "-n", "argocd", "-o", "json"))
    assert "mine" not in settings["data"]
    assert "argocd/argocd-rbac-cm" in objects(platform, "configmaps")
    shell(platform, "argocd", "app", "list")  # the CLI is logged in again


def test_the_platform_works_after_a_reset(platform: Profile, tmp_path: Path) -> None:
    """The same names with other content: nothing is remembered by a cache, and a login stays valid."""
    for image in ("registry.course.local/model:1.0.0", "registry.course.local/model:2.0.0"):
        lifecycle.reset(profile=platform)
        folder = tmp_path / image[-5:]
        folder.mkdir()
        commit = push(platform, folder, deployment("same", image=image))
        application(platform, "same", "same")
        wait_synced(platform, "same", commit)
        assert image in kubectl(platform, "get", "deployment", "same", "-n", "same", "-o", "yaml")
    assert "same" in shell(platform, "argocd", "app", "list").stdout


@pytest.mark.parametrize("moment", [0.0, 0.4, 1.0], ids="{}s after the Application".format)
def test_an_application_that_is_half_deployed_does_not_come_back(
    platform: Profile, tmp_path: Path, moment: float
) -> None:
    """It creates a namespace and forty Deployments, heals itself, and has a finalizer."""
    push(platform, tmp_path, *(deployment(f"d{n}", replicas=2) for n in range(40)))
    application(platform, "many", "many")
    deadline = time.monotonic() + moment
    wait_until(lambda: time.monotonic() >= deadline, "the moment has come")
    lifecycle.reset(profile=platform)
    assert_clean(platform)
    until = time.monotonic() + 2  # what were to come back would come within a second
    while time.monotonic() < until:
        came_back = objects(platform, "applications,deployments,namespaces")
        assert came_back == {f"Namespace /{name}" for name in CLEAN}


def test_a_reset_waits_for_an_api_server_that_starts_again(platform: Profile) -> None:
    """As it does by itself when the snapshot brings back other settings than those it runs with."""
    clear = registry.service("argocd").clear
    psutil.Process(state_of(platform)["argocd"].processes["server"]).kill()
    assert clear is not None
    clear(platform)
    assert "default" in shell(platform, "argocd", "proj", "list", "-o", "name").stdout


def test_an_application_that_is_being_deleted_does_not_hold_a_reset_up(platform: Profile, tmp_path: Path) -> None:
    push(platform, tmp_path, deployment("leaving"))
    application(platform, "leaving", "leaving")
    wait_synced(platform, "leaving")
    kubectl(platform, "patch", "deployment", "leaving", "-n", "leaving", "-p", '{"metadata":{"finalizers":["a/b"]}}')
    kubectl(platform, "delete", "application", "leaving", "-n", "argocd", "--wait=false")
    kubectl(platform, "delete", "namespace", "leaving", "--wait=false")
    lifecycle.reset(profile=platform)
    assert_clean(platform)


def test_a_reset_of_a_stopped_profile_starts_it_clean(platform: Profile) -> None:
    kubectl(platform, "create", "namespace", "mine")
    git.new_repository(platform, "mine")
    lifecycle.down(profile=platform)
    lifecycle.reset(profile=platform)
    assert_clean(platform)


def test_a_reset_knows_the_ports_of_today(platform: Profile) -> None:
    """The snapshot was made when the Git server had another port."""
    lifecycle.down("git", profile=platform)
    old = git.url(platform)
    platform.new_ports(["git"])
    lifecycle.up(profile=platform)
    assert git.url(platform) != old
    for _ in range(2):  # the second comes from the snapshot that the first has taken anew
        lifecycle.reset(profile=platform)
        secret = cluster.kube(platform).get("/api/v1/namespaces/argocd/secrets/git-server")
        assert secret
        shown = shell(platform, "argocd", "repocreds", "list").stdout
        assert git.url(platform) in shown
        assert old not in shown
    assert_clean(platform)


def test_a_service_that_was_interrupted_while_it_was_set_up_is_whole_after_a_reset(own: Profile) -> None:
    """What the first attempt wrote belongs to the snapshot too, and what a learner made before does not."""
    lifecycle.up("cluster", "git", "redis", profile=own)
    kubectl(own, "create", "namespace", "before")
    argocd.argocd_install.apply(own, "https://127.0.0.1")  # as far as the first attempt came …
    before = json.dumps({"cluster": sorted(read_keys(own) - set(argocd_keys(own)))})
    (own.folder("snapshots") / "before-argocd.json").write_text(before)  # … and what it had noted
    lifecycle.up("argocd", profile=own)
    lifecycle.reset(profile=own)
    assert "applications.argoproj.io" in kubectl(own, "get", "crds")
    assert "argocd/argocd-cm" in objects(own, "configmaps")
    assert namespaces(own) == CLEAN


def test_hard_reset_makes_everything_new(platform: Profile, iaclab: Run) -> None:
    kubectl(platform, "create", "namespace", "mine")
    old = {name: platform.secret(name) for name in ("argocd-admin", "git-learner", "redis")}
    authority, processes = platform.ca.read_bytes(), state_of(platform)["cluster"].processes
    done = iaclab(platform, "reset", "--hard")
    assert done.returncode == 0, done.stderr
    assert "clean in" in done.stdout
    assert not {n for n in old if old[n] == platform.secret(n)}, "these credentials are the old ones"
    assert platform.ca.read_bytes() != authority
    assert not set(processes.values()) & set(state_of(platform)["cluster"].processes.values())
    assert_clean(platform)


def test_a_reset_that_is_cut_off_is_done_to_its_end_by_the_next_up(
    own: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    lifecycle.up("cluster", "git", profile=own)
    kubectl(own, "create", "namespace", "mine")

    def cut_off(profile: Profile, name: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle.snapshot, "restore", cut_off)
        with pytest.raises(KeyboardInterrupt):
            lifecycle.reset(profile=own)
    said: list[str] = []
    lifecycle.up("cluster", profile=own, progress=lambda _, what: said.append(what))
    assert "the last reset was cut off: it goes on" in said
    assert "mine" not in namespaces(own)
    kubectl(own, "create", "namespace", "kept")
    lifecycle.up("cluster", profile=own)
    assert "kept" in namespaces(own), "that was the end of it"


def test_a_hard_reset_that_is_cut_off_leaves_no_half_of_a_service(
    own: Profile, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C while files are removed: data and the note that it is there go together."""
    lifecycle.up("redis", "git", profile=own)
    old = own.secret("redis")
    removed: list[Path] = []

    def cut_off(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            removed.append(path)
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(lifecycle.shutil, "rmtree", cut_off)
        with pytest.raises(KeyboardInterrupt):
            lifecycle.reset(hard=True, profile=own)
    assert len(removed) == 1
    assert lifecycle.known(own) == []
    lifecycle.up("redis", profile=own)
    assert own.secret("redis") != old
    lifecycle.reset(hard=True, profile=own)
    assert not removed[0].exists()


def test_a_reset_of_a_profile_that_was_never_used_starts_nothing(own: Profile, iaclab: Run) -> None:
    done = iaclab(own, "reset")
    assert done.returncode == 0
    assert "it is clean" in done.stdout
    assert {s.state for s in lifecycle.status(own)} == {"stopped"}


def read_keys(profile: Profile) -> set[str]:
    with cluster.etcd_of(profile, "cluster") as store:
        return set(store.dump())


def argocd_keys(profile: Profile) -> list[str]:
    from base64 import b64decode

    return [key for key in read_keys(profile) if b"argo" in b64decode(key)]
