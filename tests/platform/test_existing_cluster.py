"""IACLAB_KUBECONFIG: an existing cluster in place of the local one. Here `cluster-b` of another profile plays it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from argo import application, deployment, push, wait_synced
from running import processes_of, shell, state_of

from iaclab.errors import LabError
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import argocd, cluster

pytestmark = pytest.mark.platform
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def existing(shared: Profile) -> Iterator[Path]:
    """The kubeconfig of a cluster that somebody else runs, with things in it that are theirs."""
    lifecycle.up("cluster-b", profile=shared)
    theirs = cluster.kube(shared, "cluster-b")
    theirs.apply(
        [
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}},
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs"}, "data": {"a": "b"}},
        ],
        namespace="theirs",
    )
    yield cluster.kubeconfig(shared, "cluster-b")
    lifecycle.reset(profile=shared)


@pytest.fixture(scope="module")
def guest_profile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("guest", state=tmp_path_factory.mktemp("guest"))
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture
def guest(guest_profile: Profile, existing: Path, own_state: None, monkeypatch: pytest.MonkeyPatch) -> Profile:
    """A profile that works on the existing cluster, with Argo CD up."""
    monkeypatch.setenv("IACLAB_KUBECONFIG", str(existing))
    return lifecycle.up("argocd", "gpu-nodes", profile=guest_profile)


def there(guest: Profile, kind: str) -> set[str]:
    items = json.loads(shell(guest, "kubectl", "get", kind, "-A", "-o", "json").stdout)["items"]
    return {f"{i['metadata'].get('namespace', '')}/{i['metadata']['name']}" for i in items}


def test_argo_cd_works_on_it_and_no_cluster_runs_here(guest: Profile, existing: Path, tmp_path: Path) -> None:
    state = state_of(guest)
    assert state["cluster"].state == state["argocd"].state == state["gpu-nodes"].state == "ready"
    assert "an existing cluster" in state["cluster"].detail
    assert not state["cluster"].processes
    assert not [p for p in processes_of(guest) if "kube-apiserver" in " ".join(p.cmdline())]
    assert guest.env()["KUBECONFIG"] == str(existing)
    commit = push(guest, tmp_path, deployment("visitor"))
    application(guest, "visitor", "visitor")
    wait_synced(guest, "visitor", commit)
    assert "visitor/visitor" in there(guest, "deployments")


def test_a_reset_forgets_our_objects_and_deletes_nothing_else(guest: Profile, tmp_path: Path) -> None:
    commit = push(guest, tmp_path, deployment("stays"))
    application(guest, "stays", "stays")
    wait_synced(guest, "stays", commit)
    # a snapshot of a local cluster, from days without IACLAB_KUBECONFIG, must not get near this one
    (guest.folder("snapshots") / "cluster.json").write_text("{}")
    for hard in (False, True):
        password = guest.secret("argocd-admin")
        lifecycle.reset(hard=hard, profile=guest)
        assert (guest.secret("argocd-admin") == password) is not hard
        assert not there(guest, "applications")
        assert there(guest, "appprojects") == {"argocd/default"}
        assert "theirs/theirs" in there(guest, "configmaps")
        assert "stays/stays" in there(guest, "deployments"), "what Argo CD deployed is not ours to delete"
        assert {"/b-cpu-1", "/b-gpu-l4-1"} == there(guest, "nodes")
        assert state_of(guest)["argocd"].state == "ready"
        with argocd.client(guest) as http:  # the new password is the one that holds
            assert http.get("/api/v1/applications").status_code == 200


def test_another_kubeconfig_moves_argo_cd(guest: Profile, existing: Path, tmp_path: Path) -> None:
    """What runs with the kubeconfig of before is started anew, not taken for ready."""
    pid = state_of(guest)["argocd"].processes["controller"]
    lifecycle.up("argocd", profile=guest)
    assert state_of(guest)["argocd"].processes["controller"] == pid
    other = tmp_path / "kubeconfig"
    other.write_text(existing.read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IACLAB_KUBECONFIG", str(other))
        lifecycle.up("argocd", profile=guest)
        assert state_of(guest)["argocd"].processes["controller"] != pid


def test_the_local_cluster_makes_room_and_comes_back_with_its_data(
    platform: Profile, existing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.kube(platform).apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "local"}}])
    monkeypatch.setenv("IACLAB_KUBECONFIG", str(existing))
    lifecycle.up("cluster", profile=platform)
    assert not state_of(platform)["cluster"].processes
    assert "/local" not in there(platform, "namespaces")
    monkeypatch.delenv("IACLAB_KUBECONFIG")
    lifecycle.up(profile=platform)
    assert "/local" in there(platform, "namespaces")


def test_an_argo_cd_that_is_there_already_is_left_alone(shared: Profile, own: Profile, iaclab: Run) -> None:
    before = cluster.kube(shared).get("/api/v1/namespaces/argocd/secrets/argocd-secret")
    done = iaclab(own, "up", "argocd", IACLAB_KUBECONFIG=str(shared.root / "cluster" / "kubeconfig"))
    assert done.returncode == 1
    assert "namespace argocd, which this profile did not make" in done.stderr
    assert cluster.kube(shared).get("/api/v1/namespaces/argocd/secrets/argocd-secret") == before


def test_what_needs_gpus_says_that_there_are_none(guest: Profile, shared: Profile) -> None:
    api = cluster.kube(shared, "cluster-b")
    api.delete("/api/v1/nodes/b-gpu-l4-1")
    assert state_of(guest)["gpu-nodes"].state == "degraded"
    lifecycle.down(profile=guest)
    with pytest.raises(LabError) as error:
        lifecycle.up("gpu-nodes", profile=Profile("another", state=guest.state))
    assert "The existing cluster (IACLAB_KUBECONFIG) has no GPU nodes." in str(error.value)
    assert "nvidia.com/gpu" in str(error.value)
    assert "unset IACLAB_KUBECONFIG" in str(error.value)
    lifecycle.down(profile=Profile("another", state=guest.state))


def kubeconfig(path: Path, **user: object) -> str:
    path.write_text(
        yaml.safe_dump(
            {
                "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:9"}}],
                "users": [{"name": "u", "user": user}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return str(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "is not a file"),
        ("", "is not a usable kubeconfig"),
        ("just words", "is not a usable kubeconfig"),
        ("{[", "is not a usable kubeconfig"),
        ("current-context: nowhere\ncontexts: []\nclusters: []\nusers: []\n", "there is no entry 'nowhere'"),
        ({"exec": {"command": "aws"}}, "logs in by running a command"),
        ({"client-certificate-data": "bm90IGEgY2VydA==", "client-key-data": "eA=="}, "is not a usable kubeconfig"),
        ({"token": "t"}, "does not answer"),
    ],
    ids=["absent", "empty", "no YAML map", "no YAML", "no context", "login command", "no certificate", "nobody there"],
)
def test_a_kubeconfig_that_cannot_be_used_is_named(
    own: Profile,
    iaclab: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    content: str | dict[str, object] | None,
    what: str,
) -> None:
    path = tmp_path / "kubeconfig"
    if isinstance(content, str):
        path.write_text(content)
    elif content is not None:
        kubeconfig(path, **content)
    done = iaclab(own, "up", "cluster", IACLAB_KUBECONFIG=str(path))
    assert done.returncode == 1
    assert what in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr
    monkeypatch.setenv("IACLAB_KUBECONFIG", str(path))
    lifecycle.down(profile=own)  # works nevertheless
