"""SIGKILL of every process in turn: the platform mends itself, says so, and loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from argo import application, deployment, push, wait_synced
from running import kubectl, objects, state_of, wait_until

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform
KINDS = "applications,appprojects,configmaps,customresourcedefinitions,deployments,namespaces,nodes,pods,secrets"


@pytest.fixture(scope="module")
def deployed(shared: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An Application, Synced and Healthy; its working copy."""
    folder = tmp_path_factory.mktemp("deployed")
    lifecycle.up(profile=shared)
    commit = push(shared, folder, deployment("ranker", replicas=2), repository="killed")
    application(shared, "ranker", "killed", repository="killed")
    wait_synced(shared, "ranker", commit)
    yield folder
    lifecycle.reset(profile=shared)


@pytest.mark.parametrize(
    ("service", "program"),
    [
        ("cluster", "etcd"),
        ("cluster", "apiserver"),
        ("cluster", "controllers"),
        ("cluster", "scheduler"),
        ("cluster", "kwok"),
        ("git", "server"),
        ("redis", "server"),
        ("argocd", "repo-server"),
        ("argocd", "controller"),
        ("argocd", "server"),
        ("argocd", "applicationset"),
    ],
)
def test_a_killed_process_comes_back_and_no_object_is_lost(
    platform: Profile, deployed: Path, service: str, program: str
) -> None:
    before = objects(platform, KINDS)
    status = state_of(platform)[service]
    old = status.processes[program]
    psutil.Process(old).kill()

    wait_until(
        lambda: state_of(platform)[service].processes.get(program, old) != old, f"{program} has been started again"
    )
    wait_until(lambda: {s.state for s in state_of(platform).values() if s.processes} == {"ready"}, "all is ready again")
    after = state_of(platform)[service]
    assert after.restarts == status.restarts + 1
    assert f"restarted {after.restarts} time" in after.detail
    assert objects(platform, KINDS) == before


def test_after_all_that_a_commit_still_arrives(platform: Profile, deployed: Path) -> None:
    """Every part takes part: Git server, webhook, repo-server, controllers, scheduler, KWOK."""
    commit = push(platform, deployed, deployment("ranker", replicas=3), repository="killed")
    wait_synced(platform, "ranker", commit)
    pods = json.loads(kubectl(platform, "get", "pods", "-n", "killed", "-o", "json"))["items"]
    assert [pod["status"]["phase"] for pod in pods] == ["Running"] * 3


def test_status_tells_at_once_that_a_process_is_gone(platform: Profile) -> None:
    """Between its end and its return a service is not called ready."""
    pid = state_of(platform)["cluster-b"].processes["apiserver"]
    psutil.Process(pid).kill()
    status = state_of(platform)["cluster-b"]
    assert status.state == "degraded"
    assert "does not answer" in status.detail or "/readyz says 500" in status.detail, "gone, or on its way back"
    wait_until(lambda: state_of(platform)["cluster-b"].state == "ready", "cluster-b is ready again")
