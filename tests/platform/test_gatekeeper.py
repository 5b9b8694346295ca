"""Gatekeeper as a process: it refuses, changes and audits, its statuses stay, and a stopped one stops nobody else."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from running import kubectl, listening, objects, processes_of, shell, state_of, wait_until

from iaclab.errors import LabError
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, gatekeeper

pytestmark = pytest.mark.platform
Object = dict[str, Any]
REGO = """
package teamlabel

violation contains {"msg": message} if {
  not input.review.object.metadata.labels.team
  message := sprintf("%s has no team", [input.review.object.metadata.name])
}
"""
CEL = [
    {"expression": "has(object.metadata.labels) && 'team' in object.metadata.labels", "message": "no team, says CEL"}
]


def template(name: str, engine: str, source: Object) -> Object:
    target = {"target": "admission.k8s.gatekeeper.sh", "code": [{"engine": engine, "source": source}]}
    names = {"names": {"kind": name}}
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": name.lower()},
        "spec": {"crd": {"spec": names}, "targets": [target]},
    }


def constraint(kind: str, namespace: str, action: str = "deny") -> Object:
    match = {"kinds": [{"apiGroups": [""], "kinds": ["ConfigMap"]}], "namespaces": [namespace]}
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": kind,
        "metadata": {"name": namespace},
        "spec": {"enforcementAction": action, "match": match},
    }


@dataclass
class World:
    profile: Profile

    def apply(self, item: Object) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, **self.profile.env()}
        command = ["kubectl", "apply", "-f", "-"]
        return subprocess.run(command, input=json.dumps(item), env=env, text=True, capture_output=True)

    def enforce(self, made: Object, *constraints: Object) -> None:
        assert self.apply(made).returncode == 0
        for item in constraints:
            wait_until(lambda item=item: self.apply(item).returncode == 0, "its kind is served")  # type: ignore[misc]
            kind, name = item["kind"].lower(), item["metadata"]["name"]
            path = f"/apis/constraints.gatekeeper.sh/v1beta1/{kind}/{name}"
            wait_until(lambda path=path: self._enforced(path), f"{kind} {name} is enforced")  # type: ignore[misc]

    def _enforced(self, path: str) -> bool:
        status = (cluster.kube(self.profile).get(path) or {}).get("status", {})
        return any(pod.get("enforced") for pod in status.get("byPod") or [])

    def config_map(self, namespace: str, name: str) -> subprocess.CompletedProcess[str]:
        return shell(self.profile, "kubectl", "-n", namespace, "create", "configmap", name, check=False)

    def violations(self, kind: str, name: str) -> int:
        path = f"/apis/constraints.gatekeeper.sh/v1beta1/{kind}/{name}"
        status: Object = (cluster.kube(self.profile).get(path) or {}).get("status", {})
        return int(status.get("totalViolations", -1))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    profile = Profile("gatekeeper", state=tmp_path_factory.mktemp("gatekeeper"))
    lifecycle.up("gatekeeper", profile=profile)
    try:
        made = World(profile)
        for name in ("strict", "counted", "celled"):
            kubectl(profile, "create", "namespace", name)
        counted = constraint("TeamLabel", "counted", "dryrun")
        rego = template("TeamLabel", "Rego", {"version": "v1", "rego": REGO})
        made.enforce(rego, constraint("TeamLabel", "strict"), counted)
        yield made
    finally:
        lifecycle.down(profile=profile)


def test_it_listens_on_loopback_only(world: World) -> None:
    addresses = {address.ip for address in listening(processes_of(world.profile))}
    assert addresses == {"127.0.0.1"}


def test_a_violation_is_refused_where_the_constraint_says_so(world: World) -> None:
    refused = world.config_map("strict", "settings")
    assert refused.returncode != 0
    assert '"validation.gatekeeper.sh" denied the request: [strict] settings has no team' in refused.stderr
    assert world.config_map("default", "settings").returncode == 0


def test_the_audit_counts_what_is_there_and_its_statuses_stay(world: World) -> None:
    assert world.config_map("counted", "settings").returncode == 0
    # the namespace's own ConfigMap with the authority's certificate has no team either
    wait_until(lambda: world.violations("teamlabel", "counted") == 2, "the audit has counted two")
    owner = cluster.kube(world.profile).get(f"/api/v1/namespaces/{gatekeeper.NAMESPACE}/pods/{gatekeeper.POD}") or {}
    path = f"/apis/status.gatekeeper.sh/v1beta1/namespaces/{gatekeeper.NAMESPACE}/constraintpodstatuses"
    statuses = (cluster.kube(world.profile).get(path) or {})["items"]
    assert len(statuses) >= 2
    assert {s["metadata"]["ownerReferences"][0]["uid"] for s in statuses} == {owner["metadata"]["uid"]}
    metrics = world.profile.env()["GATEKEEPER_METRICS"]
    count = 'gatekeeper_violations{enforcement_action="dryrun"} 2'
    wait_until(lambda: count in httpx.get(metrics, trust_env=False, timeout=60).text, "the metrics say so too")


def test_cel_in_a_template_is_asked_too(world: World) -> None:
    world.enforce(template("TeamCel", "K8sNativeValidation", {"validations": CEL}), constraint("TeamCel", "celled"))
    wait_until(lambda: "no team, says CEL" in world.config_map("celled", "settings").stderr, "CEL refuses")
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "celled"}}
    item["metadata"]["labels"] = {"team": "vision"}  # type: ignore[index]
    assert world.apply(item).returncode == 0


def test_mutation_changes_what_comes_in(world: World) -> None:
    spec = {
        "match": {"scope": "Namespaced", "kinds": [{"apiGroups": [""], "kinds": ["ConfigMap"]}]},
        "location": 'metadata.labels."owner"',
        "parameters": {"assign": {"value": "platform"}},
    }
    made = world.apply({
        "apiVersion": "mutations.gatekeeper.sh/v1",
        "kind": "AssignMetadata",
        "metadata": {"name": "owner"},
        "spec": spec,
    })  # fmt: skip
    assert made.returncode == 0, made.stderr

    def owner() -> str:
        command = ["create", "configmap", "m", "--dry-run=server", "-o", "jsonpath={.metadata.labels.owner}"]
        return kubectl(world.profile, *command)

    wait_until(lambda: owner() == "platform", "a new object has an owner")


def test_while_it_is_stopped_others_can_work(world: World) -> None:
    lifecycle.down("gatekeeper", profile=world.profile)
    try:
        kubectl(world.profile, "create", "namespace", "meanwhile")
        assert world.config_map("strict", "meanwhile").returncode == 0, "failurePolicy Ignore lets it in"
    finally:
        lifecycle.up("gatekeeper", profile=world.profile)
    wait_until(lambda: world.config_map("strict", "again").returncode != 0, "it refuses again")
    assert state_of(world.profile)["gatekeeper"].state == "ready"


def test_a_failure_policy_of_the_learner_ends_with_the_next_start(world: World) -> None:
    hook = "validatingwebhookconfiguration/gatekeeper-validating-webhook-configuration"
    change = '[{"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"}]'
    kubectl(world.profile, "patch", hook, "--type=json", "-p", change)
    lifecycle.down("gatekeeper", profile=world.profile)
    try:
        closed = world.config_map("default", "closed")
        assert closed.returncode != 0 and "failed calling webhook" in closed.stderr
    finally:
        lifecycle.up("gatekeeper", profile=world.profile)
    assert kubectl(world.profile, "get", hook, "-o", "jsonpath={.webhooks[0].failurePolicy}") == "Ignore"


def test_reset_forgets_templates_and_constraints(world: World) -> None:
    lifecycle.reset(profile=world.profile)
    assert objects(world.profile, "constrainttemplates") == set()
    crds = objects(world.profile, "crds")
    assert not [name for name in crds if name.endswith(".constraints.gatekeeper.sh")]
    assert world.config_map("default", "anything").returncode == 0
    kubectl(world.profile, "create", "namespace", "strict")
    rego = template("TeamLabel", "Rego", {"version": "v1", "rego": REGO})
    world.enforce(rego, constraint("TeamLabel", "strict"))
    assert world.config_map("strict", "settings").returncode != 0


def test_an_existing_cluster_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "kubeconfig"
    config.write_text("{}")
    monkeypatch.setenv("IACLAB_KUBECONFIG", str(config))
    prepare = gatekeeper.SERVICES[0].prepare
    assert prepare
    with pytest.raises(LabError, match="Gatekeeper needs the local cluster"):
        prepare(Profile("elsewhere", state=tmp_path))
