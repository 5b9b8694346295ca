"""mlplatform_gpu_node_pool through the real terraform: pods of the real scheduler land on what it makes."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from terraform_cli import Terraform

from iaclab.mlplatform.api import Api
from iaclab.platform.kube import Manifest

pytestmark = pytest.mark.platform

ADDRESS = "mlplatform_gpu_node_pool.pool"


def pool(name: str, count: int = 2, more: str = "", accelerator: str = "a100-80gb") -> str:
    return f"""
resource "mlplatform_gpu_node_pool" "pool" {{
  name        = "{name}"
  accelerator = "{accelerator}"
  node_count  = {count}
  {more}
}}
"""


def node(api: Api, name: str) -> Manifest:
    found = api.get(f"/api/v1/nodes/{name}")
    assert found is not None, f"there is no node {name}"
    return found


def names(api: Api, pool_name: str) -> list[str]:
    return sorted(
        n["metadata"]["name"] for n in api.items("/api/v1/nodes", labelSelector=f"node.course.local/pool={pool_name}")
    )


def pod(name: str, pool_name: str, gpus: int = 8) -> Manifest:
    """A pod that runs on this pool only."""
    limits = {"nvidia.com/gpu": str(gpus)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "nodeSelector": {"node.course.local/pool": pool_name},
            "tolerations": [{"operator": "Exists"}],
            "containers": [{"name": "main", "image": "example.test/train:1", "resources": {"limits": limits}}],
        },
    }


def eventually(look: Callable[[], object], wanted: object, within: float = 180) -> None:
    deadline = time.monotonic() + within
    while (seen := look()) != wanted:
        assert time.monotonic() < deadline, f"{seen!r} after {within} s, not {wanted!r}"
        time.sleep(0.1)


def runs_on(api: Api, name: str) -> str | None:
    found = api.get(f"/api/v1/namespaces/default/pods/{name}") or {"status": {}}
    return str(found["spec"]["nodeName"]) if found["status"].get("phase") == "Running" else None


def test_nodes_appear_with_their_gpus_and_a_pod_runs_on_them(terraform: Terraform, api: Api) -> None:
    terraform.apply(pool("create", 3, 'labels = {team = "vision"}', accelerator="h100-80gb"))
    assert names(api, "create") == ["create-1", "create-2", "create-3"]
    there = node(api, "create-3")
    assert there["status"]["allocatable"]["nvidia.com/gpu"] == "8"
    assert there["metadata"]["labels"]["nvidia.com/gpu.product"] == "NVIDIA-H100-80GB-HBM3"
    assert there["metadata"]["labels"]["team"] == "vision"
    zones = [node(api, n)["metadata"]["labels"]["topology.kubernetes.io/zone"] for n in names(api, "create")]
    assert zones == ["eu-west-1a", "eu-west-1b", "eu-west-1c"]
    api.apply([pod("on-create", "create")])
    eventually(lambda: (runs_on(api, "on-create") or "").startswith("create-"), True)
    state = terraform.state(ADDRESS)
    assert (state["total_gpus"], state["hourly_cost"]) == (24, 165.12)
    assert terraform.actions() == {}


def test_names_and_costs_are_known_before_apply(terraform: Terraform) -> None:
    change = terraform.plan(pool("planned", 2))["resource_changes"][0]["change"]
    assert change["after"]["node_names"] == ["planned-1", "planned-2"]
    assert change["after"]["hourly_cost"] == 54.88
    assert not any(change["after_unknown"].get(name) for name in ("node_names", "total_gpus", "hourly_cost", "id"))


def test_scaling_keeps_the_names_of_the_nodes_that_stay(terraform: Terraform, api: Api) -> None:
    terraform.apply(pool("scale", 1))
    first = node(api, "scale-1")["metadata"]["uid"]
    assert terraform.actions(pool("scale", 3)) == {ADDRESS: "update"}
    terraform.apply()
    assert names(api, "scale") == ["scale-1", "scale-2", "scale-3"]
    terraform.apply(pool("scale", 2))
    assert names(api, "scale") == ["scale-1", "scale-2"]
    assert node(api, "scale-1")["metadata"]["uid"] == first
    assert terraform.state(ADDRESS)["node_names"] == ["scale-1", "scale-2"]
    assert terraform.actions() == {}


def test_labels_and_taints_change_in_place(terraform: Terraform, api: Api) -> None:
    taint = 'taint {\n key = "workload"\n value = "training"\n effect = "NoSchedule"\n}'
    terraform.apply(pool("labels", 1, f'labels = {{a = "1", b = "1"}}\n{taint}'))
    gpu = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}
    mine = {"key": "workload", "value": "training", "effect": "NoSchedule"}
    before = node(api, "labels-1")
    assert before["spec"]["taints"] == [gpu, mine]
    terraform.apply(pool("labels", 1, 'labels = {b = "2"}\ngpu_taint = false'))
    after = node(api, "labels-1")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert after["metadata"]["labels"]["b"] == "2" and "a" not in after["metadata"]["labels"]
    assert "taints" not in after["spec"]
    assert terraform.actions() == {}


@pytest.mark.parametrize(
    ("what", "field", "seen"),
    [
        ("a node was deleted", "node_count", 1),
        ("every node was deleted", "node_count", 0),
        ("a label was changed", "labels", {"team": "other"}),
        ("the taints were removed", "gpu_taint", False),
    ],
)
def test_what_was_changed_by_hand_is_seen_and_undone(
    terraform: Terraform, api: Api, unique: str, what: str, field: str, seen: object
) -> None:
    terraform.apply(pool(unique, 2, 'labels = {team = "vision"}'))
    before = terraform.state(ADDRESS)
    match what:
        case "a node was deleted":
            api.delete(f"/api/v1/nodes/{unique}-1")
        case "every node was deleted":
            api.delete(f"/api/v1/nodes/{unique}-1")
            api.delete(f"/api/v1/nodes/{unique}-2")
        case "a label was changed":
            api.merge(f"/api/v1/nodes/{unique}-2", {"metadata": {"labels": {"team": "other"}}})
        case _:
            api.merge(f"/api/v1/nodes/{unique}-2", {"spec": {"taints": None}})
    assert terraform.refreshed(ADDRESS)[field] == seen, what
    terraform.apply()
    assert terraform.state(ADDRESS) == before
    assert names(api, unique) == [f"{unique}-1", f"{unique}-2"]
    assert terraform.actions() == {}


@pytest.mark.parametrize("change", ["accelerator", "gpus_per_node", "zones"])
def test_other_machines_replace_the_pool(terraform: Terraform, api: Api, unique: str, change: str) -> None:
    terraform.apply(pool(unique, 1))
    before = node(api, f"{unique}-1")["metadata"]["uid"]
    new = {
        "accelerator": pool(unique, 1, accelerator="l4"),
        "gpus_per_node": pool(unique, 1, "gpus_per_node = 4"),
        "zones": pool(unique, 1, 'zones = ["eu-west-1c"]'),
    }[change]
    assert terraform.actions(new) == {ADDRESS: "replace"}
    terraform.apply()
    assert node(api, f"{unique}-1")["metadata"]["uid"] != before
    assert terraform.actions() == {}


def test_an_existing_pool_is_imported_as_it_is(terraform: Terraform) -> None:
    more = 'gpus_per_node = 4\nzones = ["eu-west-1b"]\ntaint {\n key = "a"\n effect = "NoExecute"\n}'
    terraform.apply(pool("imported", 2, more))
    before = terraform.state(ADDRESS)
    terraform.run("state", "rm", ADDRESS)
    terraform.run("import", ADDRESS, "imported")
    assert terraform.state(ADDRESS) == before
    assert terraform.actions() == {}


def test_destroy_evicts_the_pods_and_takes_the_nodes(terraform: Terraform, api: Api) -> None:
    terraform.apply(pool("destroyed", 1))
    api.apply([pod("on-destroyed", "destroyed")])
    eventually(lambda: runs_on(api, "on-destroyed"), "destroyed-1")
    terraform.run("destroy", "-auto-approve")
    assert names(api, "destroyed") == []
    assert api.get("/api/v1/namespaces/default/pods/on-destroyed") is None


def test_a_pod_whose_namespace_is_being_deleted_does_not_stop_a_destroy(terraform: Terraform, api: Api) -> None:
    terraform.apply(pool("ending", 1))
    api.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "ending"}}])
    eventually(lambda: api.get("/api/v1/namespaces/ending/serviceaccounts/default") is not None, True)
    manifest = pod("on-ending", "ending")
    manifest["metadata"]["namespace"] = "ending"
    api.apply([manifest])
    path = "/api/v1/namespaces/ending/pods/on-ending"
    eventually(lambda: (api.get(path) or {}).get("spec", {}).get("nodeName"), "ending-1")
    api.delete("/api/v1/namespaces/ending")
    assert api.evict("ending", "on-ending") == "ends with its namespace"
    terraform.run("destroy", "-auto-approve")
    assert names(api, "ending") == []


def test_a_disruption_budget_stops_a_scale_down_and_the_node_takes_pods_again(terraform: Terraform, api: Api) -> None:
    more = 'timeouts {\n delete = "2s"\n}'
    terraform.apply(pool("budget", 1, more))
    budget = {"minAvailable": 1, "selector": {"matchLabels": {"app": "protected"}}}
    api.apply(
        [
            pod("protected", "budget"),
            {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "keep"}, "spec": budget},
        ]
    )
    eventually(lambda: runs_on(api, "protected"), "budget-1")
    path = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/keep"
    eventually(lambda: (api.get(path) or {}).get("status", {}).get("currentHealthy"), 1)
    said = terraform.apply(pool("budget", 0, more), fails=True)
    assert "budget-1 cannot be drained in 2 s." in said and "default/protected" in said
    assert "unschedulable" not in node(api, "budget-1")["spec"]
    assert terraform.state(ADDRESS)["node_count"] == 1, "the state says what did not happen"
    said = terraform.run("destroy", "-auto-approve", fails=True)
    assert terraform.addresses() == [ADDRESS], "a pool that is still there was dropped from the state"
    api.delete(path)
    terraform.apply()
    assert names(api, "budget") == [] and terraform.state(ADDRESS)["node_count"] == 0
    assert terraform.actions() == {}


def test_a_node_of_somebody_else_is_refused_and_left_alone(terraform: Terraform, api: Api) -> None:
    before = node(api, "gpu-a100-1")
    said = terraform.apply(pool("gpu-a100", 1), fails=True)
    assert "The node gpu-a100-1 exists already." in said
    after = node(api, "gpu-a100-1")
    assert (after["spec"], after["metadata"]["labels"]) == (before["spec"], before["metadata"]["labels"])
    assert terraform.addresses() == []


def test_a_pool_whose_state_was_lost_is_taken_over(terraform: Terraform, api: Api) -> None:
    terraform.apply(pool("lost", 2))
    uid = node(api, "lost-1")["metadata"]["uid"]
    (terraform.folder / "terraform.tfstate").unlink()
    assert "The pool lost existed already" in terraform.apply()
    assert node(api, "lost-1")["metadata"]["uid"] == uid
    assert terraform.actions() == {}


@pytest.fixture
def kwok(environment: dict[str, str]) -> Iterator[psutil.Process]:
    """The process that plays the kubelets; while a test holds it, no new node gets Ready."""
    config = f"--kubeconfig={environment['KUBECONFIG']}"
    (process,) = [p for p in psutil.process_iter() if p.name() == "kwok" and config in p.cmdline()]
    yield process
    process.resume()


def test_a_pool_that_does_not_get_ready_in_time_is_tainted_not_forgotten(
    terraform: Terraform, api: Api, kwok: psutil.Process
) -> None:
    kwok.suspend()
    said = terraform.apply(pool("late", 1, 'timeouts {\n create = "1s"\n}'), fails=True)
    assert "Pool late is not ready after 1 s." in said and "node late-1 is not Ready" in said
    assert names(api, "late") == ["late-1"]
    assert terraform.is_tainted(ADDRESS), "a node was made that the state does not know"


def test_after_a_killed_apply_nothing_works_on_and_the_next_apply_converges(
    terraform: Terraform, api: Api, kwok: psutil.Process
) -> None:
    kwok.suspend()
    terraform.write(pool("killed", 2))
    command = ["terraform", "apply", "-auto-approve"]
    apply = subprocess.Popen(command, cwd=terraform.folder, env=terraform.env, stdout=subprocess.DEVNULL)
    eventually(lambda: names(api, "killed"), ["killed-1", "killed-2"], within=60)
    providers = psutil.Process(apply.pid).children(recursive=True)
    assert providers
    apply.kill()
    apply.wait()
    kwok.resume()
    _, alive = psutil.wait_procs(providers, timeout=60)
    assert not alive, "a provider goes on without its Terraform"
    assert "The pool killed existed already" in terraform.apply()
    assert terraform.actions() == {}
