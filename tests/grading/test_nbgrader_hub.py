"""A class on JupyterHub: the manifests are what a real API server takes, and who owns a file is who handed it in.

The chart itself cannot be had where the tests run: its values are read as YAML, and the Python in them is executed.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes.client
import pytest
import yaml
from traitlets.config import Config

from iaclab import paths
from iaclab.grading import nbgrader_hub
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

ROOT = paths.repo_root()
assert ROOT is not None
HUB = ROOT / "grading" / "jupyterhub"
VALUES = yaml.safe_load((HUB / "values.yaml").read_text())
MANIFESTS = sorted(path.name for path in HUB.glob("*.yaml") if path.name != "values.yaml")


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """kubectl on a cluster of this module's, in a namespace of it."""
    profile = lifecycle.up("cluster", profile=Profile("hub", state=tmp_path_factory.mktemp("hub")))
    env = {**os.environ, **profile.env()}

    def run(*args: str, text: str | None = None) -> str:
        done = subprocess.run(["kubectl", *args], input=text, env=env, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stderr
        return done.stdout

    try:
        run("create", "namespace", "iaclab")
        run("create", "serviceaccount", "grading", "--namespace=iaclab")
        run("wait", "--for=create", "serviceaccount/default", "--namespace=iaclab", "--timeout=150s")  # of every pod
        yield run
    finally:
        lifecycle.down(profile=profile)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Config:
    """The settings that extraConfig makes; the hub's Kubernetes client has the same models as ours."""
    monkeypatch.setitem(sys.modules, "kubernetes_asyncio", SimpleNamespace(client=kubernetes.client))
    monkeypatch.setitem(sys.modules, "kubernetes_asyncio.client", kubernetes.client)
    c = Config()
    names: dict[str, Any] = {"c": c}
    for _, code in sorted(VALUES["hub"]["extraConfig"].items()):
        exec(code, names)
    c.user_id = names["user_id"]
    return c


def spawner(name: str, *groups: str) -> Any:
    user = SimpleNamespace(name=name, groups=[SimpleNamespace(name=group) for group in groups])
    return SimpleNamespace(user=user, volumes=[], volume_mounts=[], service_account=None, extra_labels={})


def pod(hub: Config, name: str) -> Any:
    """The pod that a user gets."""
    models = kubernetes.client.models
    container = models.V1Container(name="notebook", image="registry.example.org/iaclab:1")
    made = models.V1Pod(
        api_version="v1",
        kind="Pod",
        metadata=models.V1ObjectMeta(name=f"jupyter-{name}"),
        spec=models.V1PodSpec(containers=[container]),
    )
    return hub.KubeSpawner.modify_pod_hook(spawner(name), made)


@pytest.mark.platform
@pytest.mark.parametrize("name", MANIFESTS)
def test_an_api_server_takes_the_manifests(name: str, kubectl: Any) -> None:
    said = kubectl("apply", "--dry-run=server", "--namespace=iaclab", f"--filename={HUB / name}")
    kinds = [entry["kind"].lower() for entry in yaml.safe_load_all((HUB / name).read_text())]
    assert said.count("server dry run") == len(kinds)


@pytest.mark.platform
def test_an_api_server_takes_the_pod_of_a_user(hub: Config, kubectl: Any) -> None:
    made = kubernetes.client.ApiClient().sanitize_for_serialization(pod(hub, "ada"))
    kubectl("create", "--dry-run=server", "--namespace=iaclab", "--filename=-", text=json.dumps(made))


def test_every_user_has_a_user_id_of_its_own_which_the_collector_knows(hub: Config) -> None:
    ids = [hub.user_id(name) for name in ("ada", "ben", "eve")]
    assert ids == [nbgrader_hub.user_id(name) for name in ("ada", "ben", "eve")]
    assert len(set(ids)) == 3
    assert all(100_000 <= uid < 2**31 + 100_000 for uid in ids)
    made = pod(hub, "ada")
    for container in [*made.spec.containers, *made.spec.init_containers]:
        assert container.security_context.run_as_user == ids[0]
    assert f"jovyan:x:{ids[0]}:" in made.spec.init_containers[0].command[-1], "nbgrader takes the hub's name for jovyan"


def test_a_name_that_another_took_for_a_submission_is_not_its_owners(tmp_path: Path) -> None:
    inbound = tmp_path / "iaclab" / "inbound"
    for student in ("ada", "eve"):
        (inbound / f"{student}+lab0-files+2026+AAAA").mkdir(parents=True)
    (inbound / "nonsense").mkdir()
    owner = nbgrader_hub.owner(str(tmp_path), "iaclab")
    assert owner(nbgrader_hub.user_id("eve")) == "eve"
    assert owner(nbgrader_hub.user_id("mallory")) is None
    assert owner(0) is None


def test_only_instructors_pods_have_the_course_folder(hub: Config) -> None:
    instructor, learner = spawner("ada", "instructors"), spawner("eve", "learners")
    for one in (instructor, learner):
        asyncio.run(hub.KubeSpawner.pre_spawn_hook(one))
    claims = [volume["persistentVolumeClaim"]["claimName"] for volume in instructor.volumes]
    assert (claims, instructor.service_account) == (["course"], "grading")
    assert (learner.volumes, learner.service_account, learner.extra_labels) == ([], None, {})


def test_nbgraders_settings_in_the_pods_are_settings(tmp_path: Path) -> None:
    c = Config()
    exec(VALUES["singleuser"]["extraFiles"]["nbgrader-config"]["stringData"], {"get_config": lambda: c})
    assert c.Exchange.root == VALUES["singleuser"]["storage"]["extraVolumeMounts"][0]["mountPath"]
    assert c.Exchange.assignment_dir == VALUES["singleuser"]["extraEnv"]["IACLAB_WORKSPACE"]
    assert callable(c.TrustedCollect.owner)


def test_the_claims_that_the_values_name_are_in_the_manifests() -> None:
    made = [entry for name in MANIFESTS for entry in yaml.safe_load_all((HUB / name).read_text())]
    claims = {entry["metadata"]["name"] for entry in made if entry["kind"] == "PersistentVolumeClaim"}
    named = {volume["persistentVolumeClaim"]["claimName"] for volume in VALUES["singleuser"]["storage"]["extraVolumes"]}
    assert named | {"course"} == claims
