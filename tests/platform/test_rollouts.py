"""Argo Rollouts with a real Prometheus: a good canary is promoted, a bad one aborted, and Argo CD says so."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from argo import application, push, wait_synced
from running import kubectl, listening, objects, processes_of, shell, state_of, wait_until

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, metrics

pytestmark = pytest.mark.platform
IMAGE = "registry.course.local/ranker"
TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "AnalysisTemplate",
    "metadata": {"name": "errors"},
    "spec": {
        "args": [{"name": "image"}],
        "metrics": [
            {
                "name": "error-ratio",
                "count": 2,
                "interval": "1s",
                "consecutiveErrorLimit": 0,
                "successCondition": "result[0] <= 0.05",
                "provider": {"prometheus": {"query": 'model_error_ratio{image="{{args.image}}"}'}},
            }
        ],
    },
}


def rollout(tag: str) -> dict[str, Any]:
    image = {"name": "image", "valueFrom": {"fieldRef": {"fieldPath": "spec.template.spec.containers[0].image"}}}
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": "ranker"},
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": {"app": "ranker"}},
            "template": {
                "metadata": {"labels": {"app": "ranker"}},
                "spec": {"containers": [{"name": "server", "image": f"{IMAGE}:{tag}"}]},
            },
            "strategy": {
                "canary": {
                    "steps": [
                        {"setWeight": 25},
                        {"analysis": {"templates": [{"templateName": "errors"}], "args": [image]}},
                    ]
                }
            },
        },
    }


def measure(profile: Profile, tag: str, ratio: float) -> None:
    """Push a measurement as a learner does."""
    line = f'model_error_ratio{{image="{IMAGE}:{tag}"}} {ratio}\n'
    push_it = f"promtool push metrics --http.config.file $PROMTOOL_CONFIG $PROMETHEUS_URL <<< '{line}'"
    shell(profile, "bash", "-ec", push_it)


def health(profile: Profile, name: str = "ranker") -> dict[str, Any]:
    """What Argo CD thinks of the Application."""
    found = cluster.kube(profile).get(f"/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/{name}")
    return dict((found or {}).get("status", {}))


def pods(profile: Profile) -> list[str]:
    """The tags of the pods that run."""
    items = json.loads(kubectl(profile, "-n", "ranker", "get", "pods", "-o", "json"))["items"]
    running = [i for i in items if "deletionTimestamp" not in i["metadata"]]
    return sorted(i["spec"]["containers"][0]["image"].rsplit(":")[-1] for i in running)


def phases(profile: Profile) -> dict[str, str]:
    """The phase of each analysis, by the tag that it judged."""
    items = json.loads(kubectl(profile, "-n", "ranker", "get", "analysisruns", "-o", "json"))["items"]
    return {i["spec"]["args"][0]["value"].rsplit(":")[-1]: i["status"]["phase"] for i in items}


@pytest.fixture(scope="module")
def own_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("rollouts", state=tmp_path_factory.mktemp("rollouts"))
    lifecycle.up("argocd", "rollouts", profile=profile)
    try:
        yield profile
    finally:
        lifecycle.down(profile=profile)


@pytest.fixture
def delivered(own_platform: Profile, tmp_path: Path) -> Profile:
    """A clean platform on which Argo CD has deployed 1.0.0."""
    lifecycle.reset(profile=own_platform)
    commit = push(own_platform, tmp_path, TEMPLATE, rollout("1.0.0"), repository="ranker")
    application(own_platform, "ranker", "ranker", repository="ranker")
    wait_synced(own_platform, "ranker", commit)
    return own_platform


def test_a_good_canary_is_promoted_and_a_bad_one_aborted(delivered: Profile, tmp_path: Path) -> None:
    measure(delivered, "1.1.0", 0.01)
    commit = push(delivered, tmp_path, TEMPLATE, rollout("1.1.0"), repository="ranker")
    wait_synced(delivered, "ranker", commit)
    wait_until(lambda: pods(delivered) == ["1.1.0"] * 4, "four pods of 1.1.0")
    assert phases(delivered) == {"1.1.0": "Successful"}

    measure(delivered, "1.2.0", 0.3)
    bad = push(delivered, tmp_path, TEMPLATE, rollout("1.2.0"), repository="ranker")
    wait_until(
        lambda: (
            health(delivered)["sync"].get("revision") == bad and health(delivered)["health"]["status"] == "Degraded"
        ),
        "Argo CD calls the aborted Rollout Degraded",
    )
    wait_until(lambda: pods(delivered) == ["1.1.0"] * 4, "the stable pods, and no other")
    assert phases(delivered) == {"1.1.0": "Successful", "1.2.0": "Failed"}
    said = shell(delivered, "kubectl", "argo", "rollouts", "-n", "ranker", "get", "rollout", "ranker", "--no-color")
    assert "RolloutAborted" in said.stdout and 'Metric "error-ratio" assessed Failed' in said.stdout

    shell(delivered, "git", "revert", "--no-edit", "HEAD", cwd=tmp_path)
    mended = push(delivered, tmp_path, TEMPLATE, rollout("1.1.0"), repository="ranker")
    wait_synced(delivered, "ranker", mended)
    assert phases(delivered) == {"1.1.0": "Successful", "1.2.0": "Failed"}, "a stable version is not analysed again"


def test_a_canary_without_measurements_is_not_promoted(delivered: Profile, tmp_path: Path) -> None:
    push(delivered, tmp_path, TEMPLATE, rollout("2.0.0"), repository="ranker")
    wait_until(lambda: phases(delivered).get("2.0.0") == "Error", "no data is an error")
    wait_until(lambda: pods(delivered) == ["1.0.0"] * 4, "the stable pods, and no other")


def test_a_reset_leaves_no_rollout_and_no_measurement_and_both_work_again(delivered: Profile, tmp_path: Path) -> None:
    measure(delivered, "1.1.0", 0.5)
    assert metrics.query(delivered, "model_error_ratio")
    lifecycle.reset(profile=delivered)
    assert not objects(delivered, "rollouts,analysisruns,analysistemplates,experiments")
    assert metrics.query(delivered, "model_error_ratio") == []
    assert {s.state for s in state_of(delivered).values() if s.processes} == {"ready"}
    measure(delivered, "1.1.0", 0.02)
    assert [value for _, value in metrics.query(delivered, "model_error_ratio")] == [0.02]
    folder = tmp_path / "again"
    push(delivered, folder, TEMPLATE, rollout("1.1.0"), repository="ranker")
    application(delivered, "ranker", "ranker", repository="ranker")
    wait_synced(delivered, "ranker")
    assert pods(delivered) == ["1.1.0"] * 4


def test_a_killed_controller_and_a_killed_prometheus_come_back_and_know_what_was(delivered: Profile) -> None:
    measure(delivered, "1.1.0", 0.01)
    for service in ("rollouts", "metrics"):
        (pid,) = state_of(delivered)[service].processes.values()
        shell(delivered, "kill", "-9", str(pid))
        wait_until(
            lambda name=service, old=pid: (  # type: ignore[misc]
                state_of(delivered)[name].state == "ready" and old not in state_of(delivered)[name].processes.values()
            ),
            f"{service} runs again",
        )
    assert [value for _, value in metrics.query(delivered, "model_error_ratio")] == [0.01]


def test_both_listen_on_loopback_only_and_keep_the_password(own_platform: Profile) -> None:
    family = processes_of(own_platform)
    ours = [p for p in family if p.name().startswith(("argo-rollouts", "prometheus"))]
    assert len(ours) == 2
    addresses = listening(ours)
    assert {a.ip for a in addresses} == {"127.0.0.1"}
    names = ("rollouts.metrics", "rollouts.health", "metrics")
    assert {a.port for a in addresses} == {own_platform.port(name) for name in names}
    password = own_platform.secret("prometheus")
    assert not [p for p in family if password in " ".join(p.cmdline())]
    files = [p for p in (own_platform.root / "metrics").glob("*") if p.is_file()]
    assert files and not [p for p in files if stat.S_IMODE(p.stat().st_mode) & 0o077]
    for method, path in (("GET", "/api/v1/query?query=up"), ("POST", "/api/v1/write"), ("GET", "/metrics")):
        assert httpx.request(method, metrics.url(own_platform) + path, trust_env=False, timeout=60).status_code == 401
