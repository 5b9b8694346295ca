"""mlplatform_cluster through the real terraform, on the real API server."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from terraform_cli import Terraform

from iaclab.errors import LabError
from iaclab.mlplatform.api import Api
from iaclab.platform.kube import Manifest

pytestmark = pytest.mark.platform

ADDRESS = "mlplatform_cluster.team"


def team(name: str, *namespaces: str, more: str = "gpu_quota = 4") -> str:
    return f"""
resource "mlplatform_cluster" "team" {{
  name       = "{name}"
  namespaces = {json.dumps(namespaces)}
  {more}
}}
"""


def hard(api: Api, namespace: str) -> dict[str, str]:
    quota = api.get(f"/api/v1/namespaces/{namespace}/resourcequotas/team-quota")
    assert quota is not None, f"{namespace} has no quota"
    return dict(quota["spec"]["hard"])


def pod(name: str, gpus: int = 0) -> Manifest:
    resources = {"limits": {"nvidia.com/gpu": str(gpus)}} if gpus else {}
    container = {"name": "main", "image": "example.test/train:1", "resources": resources}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": [container]}}


def test_a_team_gets_namespaces_whose_quota_and_defaults_hold(terraform: Terraform, api: Api) -> None:
    terraform.apply(
        team("create", "create-a", "create-b", more='gpu_quota = 2\ncpu_quota = "8"\nlabels = {tier = "x"}')
    )
    for namespace in ("create-a", "create-b"):
        assert hard(api, namespace) == {"requests.nvidia.com/gpu": "2", "requests.cpu": "8"}
        there = api.get(f"/api/v1/namespaces/{namespace}")
        assert there is not None and there["metadata"]["labels"]["tier"] == "x"
    api.apply([pod("small")], namespace="create-a")
    made = api.get("/api/v1/namespaces/create-a/pods/small")
    assert made is not None
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "500m", "memory": "1Gi"}
    with pytest.raises(LabError, match=r"exceeded quota: team-quota, requested: requests.nvidia.com/gpu=3"):
        api.apply([pod("large", gpus=3)], namespace="create-a")


def test_a_second_plan_changes_nothing_however_quantities_are_written(terraform: Terraform) -> None:
    hcl = team("same", "same-a", more='cpu_quota = "16000m"\nmemory_quota = "1024Mi"\ncontainer_cpu = "1000m"')
    terraform.apply(hcl)
    assert terraform.actions() == {}
    assert terraform.state(ADDRESS)["cpu_quota"] == "16000m"
    assert terraform.actions(hcl.replace("1024Mi", "1Gi")) == {}, "1024Mi and 1Gi are the same quota"


def test_a_change_is_made_in_place(terraform: Terraform, api: Api) -> None:
    terraform.apply(team("update", "update-a", "update-b", more='gpu_quota = 4\nlabels = {a = "1", b = "1"}'))
    before = api.get("/api/v1/namespaces/update-a")
    changed = team("update", "update-a", "update-c", more='memory_quota = "8Gi"\nlabels = {b = "2"}')
    assert terraform.actions(changed) == {ADDRESS: "update"}
    terraform.apply()
    after = api.get("/api/v1/namespaces/update-a")
    assert before and after and after["metadata"]["uid"] == before["metadata"]["uid"]
    assert hard(api, "update-a") == {"requests.memory": "8Gi"} == hard(api, "update-c")
    assert after["metadata"]["labels"]["b"] == "2" and "a" not in after["metadata"]["labels"]
    assert api.get("/api/v1/namespaces/update-b") is None
    assert terraform.actions() == {}


def test_a_default_comes_back_when_the_attribute_is_removed(terraform: Terraform) -> None:
    terraform.apply(team("default", "default-a", more='container_cpu = "2"'))
    terraform.apply(team("default", "default-a"))
    assert terraform.state(ADDRESS)["container_cpu"] == "500m"


@pytest.mark.parametrize(
    ("what", "field", "seen"),
    [
        ("the quota was raised", "gpu_quota", 99),
        ("the quota was deleted", "gpu_quota", None),
        ("the defaults were deleted", "container_memory", None),
        ("a namespace was deleted", "namespaces", "one"),
        ("a label was added", "labels", {"owner": "somebody"}),
    ],
)
def test_what_was_changed_by_hand_is_seen_and_undone(
    terraform: Terraform, api: Api, unique: str, what: str, field: str, seen: object
) -> None:
    terraform.apply(team(unique, f"{unique}-a", f"{unique}-b"))
    before = terraform.state(ADDRESS)[field]
    path = f"/api/v1/namespaces/{unique}-b"
    match what:
        case "the quota was raised":
            api.merge(f"{path}/resourcequotas/team-quota", {"spec": {"hard": {"requests.nvidia.com/gpu": "99"}}})
        case "the quota was deleted":
            api.delete(f"{path}/resourcequotas/team-quota")
        case "the defaults were deleted":
            api.delete(f"{path}/limitranges/container-defaults")
        case "a namespace was deleted":
            api.delete(path)
        case _:
            api.merge(path, {"metadata": {"labels": {"owner": "somebody"}}})
    assert terraform.refreshed(ADDRESS)[field] == (seen if seen != "one" else [f"{unique}-a"]), what
    terraform.apply()
    assert terraform.state(ADDRESS)[field] == before
    assert terraform.actions() == {}


def test_a_team_that_was_deleted_by_hand_is_made_again(terraform: Terraform, api: Api) -> None:
    terraform.apply(team("gone", "gone-a"))
    api.delete("/api/v1/namespaces/gone-a")
    assert terraform.actions() == {ADDRESS: "create"}
    terraform.apply()
    assert hard(api, "gone-a")


def test_a_new_name_replaces_the_team(terraform: Terraform, api: Api) -> None:
    terraform.apply(team("first", "replace-a"))
    assert terraform.actions(team("second", "replace-a")) == {ADDRESS: "replace"}
    terraform.apply()
    there = api.get("/api/v1/namespaces/replace-a")
    assert there is not None and there["metadata"]["labels"]["mlplatform.course.local/team"] == "second"


def test_destroy_leaves_no_namespace_and_no_account(terraform: Terraform, api: Api) -> None:
    terraform.apply(team("destroyed", "destroyed-a", "destroyed-b"))
    terraform.run("destroy", "-auto-approve")
    for namespace in ("destroyed-a", "destroyed-b"):
        assert api.get(f"/api/v1/namespaces/{namespace}") is None
    for kind in ("secrets", "serviceaccounts"):
        assert api.get(f"/api/v1/namespaces/mlplatform-system/{kind}/destroyed") is None


def test_an_existing_team_is_imported_as_it_is(terraform: Terraform) -> None:
    hcl = team("imported", "imported-a", "imported-b", more='gpu_quota = 3\nlabels = {tier = "gold"}')
    terraform.apply(hcl)
    before = terraform.state(ADDRESS)
    terraform.run("state", "rm", ADDRESS)
    terraform.run("import", ADDRESS, "imported")
    assert terraform.state(ADDRESS) == before
    assert terraform.actions() == {}


def test_an_import_block_writes_the_configuration(terraform: Terraform) -> None:
    terraform.apply(team("generated", "generated-a", more="gpu_quota = 3"))
    terraform.run("state", "rm", ADDRESS)
    terraform.write(f'import {{\n  to = {ADDRESS}\n  id = "generated"\n}}\n')
    terraform.run("plan", "-generate-config-out=generated.tf")
    assert "gpu_quota" in (terraform.folder / "generated.tf").read_text()
    terraform.apply()
    assert terraform.actions() == {}


def test_what_does_not_exist_is_not_imported(terraform: Terraform) -> None:
    terraform.write(team("never", "never-a"))
    assert "There is no team 'never-made'." in terraform.run("import", "-no-color", ADDRESS, "never-made", fails=True)


def test_the_teams_account_may_edit_its_own_namespaces_only(terraform: Terraform, tmp_path: Path) -> None:
    said = terraform.apply(
        team("account", "account-a") + f'output "k" {{\n value = {ADDRESS}.kubeconfig\n sensitive = true\n}}'
    )
    state = terraform.state(ADDRESS)
    assert state["token"] and state["token"] not in said, "the token was printed"
    config = tmp_path / "kubeconfig"
    config.write_text(terraform.outputs()["k"])
    theirs = Api(config)
    assert theirs.items("/api/v1/namespaces/account-a/pods") == []
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        theirs.items("/api/v1/namespaces/kube-system/pods")


def test_credentials_are_sensitive_in_plan_and_state(terraform: Terraform) -> None:
    plan = terraform.plan(team("secretive", "secretive-a"))
    change = next(c["change"] for c in plan["resource_changes"])
    assert change["after_sensitive"]["token"] is True and change["after_sensitive"]["kubeconfig"] is True


def test_a_namespace_of_somebody_else_is_refused_and_left_alone(terraform: Terraform, api: Api) -> None:
    said = terraform.apply(team("thief", "default", "thief-a"), fails=True)
    assert "The namespace default exists already." in said
    assert api.get("/api/v1/namespaces/thief-a") is None, "something was made before the check"
    assert terraform.addresses() == []


def test_an_apply_whose_state_was_lost_takes_its_own_over(terraform: Terraform) -> None:
    terraform.apply(team("lost", "lost-a"))
    (terraform.folder / "terraform.tfstate").unlink()
    assert "Team lost existed already" in terraform.apply()
    assert terraform.actions() == {}
