"""`cloud {}` against the course's own server, with the real terraform: what its CLI says, and what is kept."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import tfe

pytestmark = pytest.mark.platform

NODES = """
variable "gpus" {
  type    = number
  default = 2
}
resource "terraform_data" "node" {
  count = 2
  input = { gpus = var.gpus, name = "node-${count.index}" }
}
output "gpus" { value = sum(terraform_data.node[*].output.gpus) }
output "password" {
  value     = "hunter-2"
  sensitive = true
}
"""
# `second` waits for a file, so that a test decides when the apply goes on.
GATED = """
resource "terraform_data" "first" { input = "a" }
resource "terraform_data" "second" {
  input = terraform_data.first.output
  provisioner "local-exec" { command = "while [ ! -e '%s' ]; do sleep 0.05; done" }
}
"""
POLICY = """
# METADATA
# description: A node has four GPUs at most.
# custom:
#   enforcement_level: %s
package terraform.policies.gpu_limit

deny contains message if {
	some node in input.plan.resource_changes
	node.change.after.input.gpus > 4
	place := input.run.workspace.name
	message := sprintf("%%s asks for %%d GPUs in %%s", [node.address, node.change.after.input.gpus, place])
}
"""
SENTINEL = """import "tfplan/v2" as tfplan
import "tfrun"

param limit

nodes = filter tfplan.resource_changes as _, rc { rc.type is "terraform_data" and "create" in rc.change.actions or
	rc.change.actions contains "update" }

main = rule {
	all nodes as address, rc {
		rc.change.after.input.gpus <= limit or
			not print(address, "asks for", rc.change.after.input.gpus, "GPUs in", tfrun.workspace.name)
	}
}
"""


@dataclass
class Cloud:
    """A folder with a configuration whose `cloud` block names a workspace of the test's own."""

    profile: Profile
    folder: Path
    workspace: str
    running: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, text: str, workspaces: str | None = None) -> None:
        inner = workspaces or f'name = "{self.workspace}"'
        block = f"terraform {{\n  cloud {{\n    workspaces {{\n      {inner}\n    }}\n  }}\n}}\n"
        (self.folder / "main.tf").write_text(block + text)

    def start(self, *args: str, **env: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            ["terraform", *args],
            cwd=self.folder,
            env={**os.environ, **self.profile.env(), "NO_COLOR": "1", "TF_CLI_ARGS": "-no-color", **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.running.append(process)
        return process

    def terraform(self, *args: str, fails: bool = False, **env: str) -> str:
        process = self.start(*args, **env)
        said = process.communicate(timeout=180)[0]
        assert (process.returncode != 0) == fails, f"terraform {' '.join(args)} ended {process.returncode}:\n{said}"
        return said

    def init(self, text: str) -> None:
        self.write(text)
        self.terraform("init")

    def api(self, method: str, path: str, **attributes: Any) -> Any:
        """One request to the API; `attributes` are sent as a document. `{id}` is the workspace's id."""
        document = {"data": {"type": "any", "attributes": attributes}} if attributes else None
        with tfe.client(self.profile) as client:
            answer = client.request(method, path.replace("{id}", self.id) if "{id}" in path else path, json=document)
        answer.raise_for_status()
        return answer.json()["data"] if answer.content else None

    @property
    def id(self) -> str:
        found: str = self.api("GET", f"organizations/course/workspaces/{self.workspace}")["id"]
        return found

    def runs(self) -> list[str]:
        return [run["attributes"]["status"] for run in self.api("GET", "workspaces/{id}/runs")]

    def state(self) -> set[str]:
        return set(self.terraform("state", "list").split())

    def policy(self, level: str) -> None:
        (tfe.policies(self.profile) / "gpu_limit.rego").write_text(POLICY % level)

    def sentinel(self, level: str, text: str = SENTINEL) -> None:
        """A policy set in a folder of its own."""
        folder = tfe.policies(self.profile) / "gpus"
        folder.mkdir(exist_ok=True)
        block = f'source = "./limit.sentinel"\n  enforcement_level = "{level}"\n  params = {{\n    limit = 4\n  }}'
        (folder / "sentinel.hcl").write_text(f'policy "limit" {{\n  {block}\n}}\n')
        (folder / "limit.sentinel").write_text(text)


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("tfe", tmp_path_factory.mktemp("state"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SECRET_OF_THE_SHELL", "seen")
        lifecycle.up("tfe", profile=profile)
    try:
        yield profile
    finally:
        lifecycle.down(profile=profile)


@pytest.fixture
def cloud(platform: Profile, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    folder = tmp_path / "configuration"
    folder.mkdir()
    cloud = Cloud(platform, folder, request.node.name.removeprefix("test_").translate({ord("["): "-", ord("]"): None}))
    yield cloud
    for process in cloud.running:
        process.kill()
        process.communicate()
    for policy in tfe.policies(platform).iterdir():
        shutil.rmtree(policy) if policy.is_dir() else policy.unlink()


def eventually(what: Callable[[], bool], why: str, seconds: float = 180) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, why
        time.sleep(0.05)


def read_until(process: subprocess.Popen[str], text: str) -> str:
    """What a command says up to and including the line with `text`."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if text in line:
            return said
    pytest.fail(f"'{text}' never came:\n{said}")


def server_pid(profile: Profile) -> int:
    status = next(s for s in lifecycle.status(profile) if s.name == "tfe")
    return next(iter(status.processes.values()))


def kill_server(profile: Profile) -> None:
    old = server_pid(profile)
    os.kill(old, signal.SIGKILL)

    def back() -> bool:
        status = next(s for s in lifecycle.status(profile) if s.name == "tfe")
        return status.state == "ready" and old not in status.processes.values()

    eventually(back, "the server did not come back")


# --- the course of a run ------------------------------------------------------------------------------------


def test_init_makes_the_workspace_and_plan_changes_nothing(cloud: Cloud) -> None:
    cloud.write(NODES)
    assert "HCP Terraform has been successfully initialized" in cloud.terraform("init")
    said = cloud.terraform("plan")
    assert "Running plan in HCP Terraform" in said
    assert "Plan: 2 to add" in said
    assert cloud.runs() == ["planned_and_finished"]
    assert "No state file was found" in cloud.terraform("state", "list", fails=True)


def test_apply_runs_on_the_server_with_nothing_of_the_learners_shell(cloud: Cloud) -> None:
    look = 'provisioner "local-exec" { command = "echo id=$TFC_RUN_ID secret=$SECRET_OF_THE_SHELL home=$HOME" }'
    cloud.init(f'resource "terraform_data" "look" {{\n{look}\n}}\noutput "where" {{ value = terraform.workspace }}')
    said = cloud.terraform("apply", "-auto-approve", SECRET_OF_THE_SHELL="seen")
    run = cloud.api("GET", "workspaces/{id}/runs")[0]["id"]
    assert f"id={run} secret= home={cloud.profile.root}" in said
    assert f'where = "{cloud.workspace}"' in said
    assert cloud.state() == {"terraform_data.look"}


def test_outputs_are_read_without_the_state_and_a_sensitive_one_only_by_name(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.terraform("apply", "-auto-approve")
    assert json.loads(cloud.terraform("output", "-json"))["gpus"]["value"] == 4
    assert cloud.terraform("output", "-raw", "password") == "hunter-2"
    listed = cloud.api("GET", "workspaces/{id}/current-state-version-outputs")
    assert {o["attributes"]["name"]: o["attributes"]["value"] for o in listed} == {"gpus": 4, "password": None}


def test_the_log_streams_while_the_apply_runs(cloud: Cloud, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    cloud.init(GATED % gate)
    apply = cloud.start("apply", "-auto-approve")
    said = read_until(apply, "terraform_data.second: Creating...")
    assert "terraform_data.first: Creation complete" in said
    assert apply.poll() is None
    assert cloud.runs() == ["applying"]
    gate.touch()
    assert "Apply complete! Resources: 2 added" in apply.communicate(timeout=180)[0]
    assert apply.returncode == 0


def test_a_second_apply_waits_for_the_first(cloud: Cloud, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    cloud.init(GATED % gate)
    first = cloud.start("apply", "-auto-approve")
    read_until(first, "terraform_data.second: Creating...")
    second = cloud.start("apply", "-auto-approve")
    read_until(second, "Waiting for 1 run(s) to finish before being queued...")
    assert cloud.runs() == ["pending", "applying"]
    gate.touch()
    assert "Apply complete!" in first.communicate(timeout=180)[0]
    assert "No changes." in second.communicate(timeout=180)[0]
    assert cloud.runs() == ["planned_and_finished", "applied"]


def test_a_failed_plan_fails_the_command_with_terraforms_own_message(cloud: Cloud) -> None:
    cloud.init('resource "terraform_data" "wrong" { input = jsondecode("{") }')
    said = cloud.terraform("apply", "-auto-approve", fails=True)
    assert "Call to function" in said and "jsondecode" in said
    assert cloud.runs() == ["errored"]


def test_an_apply_that_fails_half_way_keeps_what_it_made(cloud: Cloud) -> None:
    cloud.init(GATED.replace("while [ ! -e '%s' ]; do sleep 0.05; done", "exit 3"))
    assert "exit status 3" in cloud.terraform("apply", "-auto-approve", fails=True)
    assert cloud.state() == {"terraform_data.first", "terraform_data.second"}
    assert "is tainted, so must be replaced" in cloud.terraform("plan")


def test_a_saved_plan_is_applied_as_it_was_and_destroy_removes_everything(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.terraform("plan", "-out=tfplan")
    assert cloud.runs() == ["planned_and_saved"]
    assert json.loads(cloud.terraform("show", "-json", "tfplan"))["planned_values"]["outputs"]["password"]["sensitive"]
    assert "Apply complete! Resources: 2 added" in cloud.terraform("apply", "tfplan")
    assert "Saved plan is already applied" in cloud.terraform("apply", "tfplan", fails=True)
    assert "Resources: 0 added, 0 changed, 2 destroyed" in cloud.terraform("destroy", "-auto-approve")
    assert cloud.state() == set()


def test_an_apply_is_not_made_without_a_word_and_can_be_discarded(cloud: Cloud) -> None:
    cloud.init(NODES)
    assert "Cannot confirm apply due to -input=false" in cloud.terraform("apply", "-input=false", fails=True)
    assert cloud.runs() == ["planned"]
    run = cloud.api("GET", "workspaces/{id}/runs")[0]["id"]
    cloud.api("POST", f"runs/{run}/actions/discard")
    assert cloud.runs() == ["discarded"]
    assert "Apply complete!" in cloud.terraform("apply", "-auto-approve")


def test_a_canceled_apply_ends_and_keeps_its_state(cloud: Cloud, tmp_path: Path) -> None:
    cloud.init(GATED % (tmp_path / "never"))
    apply = cloud.start("apply", "-auto-approve")
    read_until(apply, "terraform_data.second: Creating...")
    run = cloud.api("GET", "workspaces/{id}/runs")[0]["id"]
    cloud.api("POST", f"runs/{run}/actions/cancel")
    assert "Interrupt received" in apply.communicate(timeout=180)[0]
    assert apply.returncode != 0
    assert cloud.runs() == ["canceled"]
    assert "terraform_data.first" in cloud.state()


# --- variables ----------------------------------------------------------------------------------------------


def test_variables_of_the_workspace_reach_the_run_and_those_of_the_command_are_stronger(cloud: Cloud) -> None:
    show = 'provisioner "local-exec" { command = "echo region=$REGION" }'
    cloud.init(
        'variable "name" { default = "none" }\nvariable "sizes" { default = [] }\n'
        'variable "token" { sensitive = true }\n'
        f'resource "terraform_data" "show" {{\n  input = nonsensitive(var.token)\n  {show}\n}}\n'
        'output "seen" { value = "${var.name} ${join(",", var.sizes)}" }'
    )
    cloud.api("POST", "workspaces/{id}/vars", key="name", value='quotes " and ${dollars}', category="terraform")
    cloud.api("POST", "workspaces/{id}/vars", key="sizes", value="[1, 2]", category="terraform", hcl=True)
    cloud.api("POST", "workspaces/{id}/vars", key="token", value="t0ken", category="terraform", sensitive=True)
    cloud.api("POST", "workspaces/{id}/vars", key="REGION", value="eu-west-1", category="env")
    values = {v["attributes"]["key"]: v["attributes"]["value"] for v in cloud.api("GET", "workspaces/{id}/vars")}
    assert values["token"] is None, "a sensitive value is never read back"
    said = cloud.terraform("apply", "-auto-approve")
    assert "region=eu-west-1" in said
    assert 'seen = "quotes \\" and ${dollars} 1,2"' in said
    assert "t0ken" in cloud.terraform("state", "pull")
    assert 'seen = "command 1,2"' in cloud.terraform("apply", "-auto-approve", "-var", "name=command")


# --- policies -----------------------------------------------------------------------------------------------


def test_a_hard_mandatory_policy_stops_the_apply(cloud: Cloud) -> None:
    cloud.policy("hard-mandatory")
    cloud.init(NODES)
    assert "Policy result: true" in cloud.terraform("apply", "-auto-approve")
    said = cloud.terraform("apply", "-auto-approve", "-var", "gpus=8", fails=True)
    assert "Organization Policy Check:" in said
    assert "A node has four GPUs at most." in said
    assert f"terraform_data.node[0] asks for 8 GPUs in {cloud.workspace}" in said
    assert "Organization Policy Check hard failed." in said
    assert "hard failed." in cloud.terraform("plan", "-var", "gpus=8", fails=True)
    assert json.loads(cloud.terraform("output", "-json"))["gpus"]["value"] == 4
    assert cloud.runs() == ["errored", "errored", "applied"]


def test_a_soft_mandatory_policy_can_be_overridden_and_until_then_holds_the_apply(cloud: Cloud) -> None:
    cloud.policy("soft-mandatory")
    cloud.init(NODES)
    assert "soft failed." in cloud.terraform("plan", "-var", "gpus=8", fails=True)
    cloud.terraform("apply", "-input=false", "-var", "gpus=8", fails=True)
    assert cloud.runs() == ["policy_override", "policy_soft_failed"]
    run = cloud.api("GET", "workspaces/{id}/runs")[0]["id"]
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        cloud.api("POST", f"runs/{run}/actions/apply")
    cloud.api("POST", f"policy-checks/{run.replace('run-', 'polchk-')}/actions/override")
    cloud.api("POST", f"runs/{run}/actions/apply")
    eventually(lambda: cloud.runs()[0] == "applied", "the overridden run was not applied")
    assert json.loads(cloud.terraform("output", "-json"))["gpus"]["value"] == 16
    said = cloud.terraform("apply", "-auto-approve", "-var", "gpus=9")
    assert "Policy result: false" in said and "Apply complete!" in said, "-auto-approve overrides, as on HCP Terraform"


def test_an_advisory_policy_speaks_and_lets_pass(cloud: Cloud) -> None:
    cloud.policy("advisory")
    cloud.init(NODES)
    said = cloud.terraform("apply", "-auto-approve", "-var", "gpus=8")
    assert "terraform_data.node[1] asks for 8 GPUs" in said
    assert "Apply complete!" in said


def test_a_policy_that_cannot_be_evaluated_stops_the_apply(cloud: Cloud) -> None:
    (tfe.policies(cloud.profile) / "broken.rego").write_text("package broken\n\ndeny contains message if { foo(")
    cloud.init(NODES)
    said = cloud.terraform("apply", "-auto-approve", fails=True)
    assert "this is unclosed" in said
    assert "Organization Policy Check errored." in said


def test_a_hard_mandatory_sentinel_policy_stops_the_apply(cloud: Cloud) -> None:
    cloud.sentinel("hard-mandatory")
    cloud.init(NODES)
    said = cloud.terraform("apply", "-auto-approve")
    assert "Sentinel Result: true" in said and "Apply complete!" in said
    said = cloud.terraform("apply", "-auto-approve", "-var", "gpus=8", fails=True)
    assert "## Policy 1: gpus/limit (hard-mandatory)" in said
    assert f"terraform_data.node[0] asks for 8 GPUs in {cloud.workspace}" in said
    assert 'limit.sentinel:9:1 - Rule "main"' in said
    assert "Organization Policy Check hard failed." in said
    assert cloud.runs() == ["errored", "applied"]
    run = cloud.api("GET", "workspaces/{id}/runs")[0]["id"]
    check = cloud.api("GET", f"policy-checks/{run.replace('run-', 'polchk-')}")["attributes"]
    assert (check["status"], check["result"]["hard-failed"]) == ("hard_failed", 1)
    (policy,) = check["result"]["sentinel"]["data"]["gpus"]["policies"]
    assert policy["policy"] == "limit" and policy["result"] is False
    assert policy["trace"]["rules"]["main"]["position"] == {"filename": "limit.sentinel", "line": 9, "column": 1}


def test_a_soft_mandatory_sentinel_policy_can_be_overridden(cloud: Cloud) -> None:
    cloud.sentinel("soft-mandatory")
    cloud.init(NODES)
    cloud.terraform("apply", "-input=false", "-var", "gpus=8", fails=True)
    assert cloud.runs() == ["policy_override"]
    run = cloud.api("GET", "workspaces/{id}/runs")[0]["id"]
    cloud.api("POST", f"policy-checks/{run.replace('run-', 'polchk-')}/actions/override")
    cloud.api("POST", f"runs/{run}/actions/apply")
    eventually(lambda: cloud.runs()[0] == "applied", "the overridden run was not applied")
    assert json.loads(cloud.terraform("output", "-json"))["gpus"]["value"] == 16


def test_an_advisory_sentinel_policy_speaks_and_lets_pass_beside_rego(cloud: Cloud) -> None:
    cloud.sentinel("advisory")
    cloud.policy("hard-mandatory")
    cloud.init(NODES)
    said = cloud.terraform("apply", "-auto-approve", "-var", "gpus=3")
    assert "Policies evaluated (Rego): 1" in said and "Result: true" in said
    (tfe.policies(cloud.profile) / "gpu_limit.rego").unlink()
    said = cloud.terraform("apply", "-auto-approve", "-var", "gpus=8")
    assert "Result: false (allowed failure based on level)" in said
    assert "terraform_data.node[0] asks for 8 GPUs" in said and "Apply complete!" in said


def test_a_sentinel_policy_with_a_wrong_line_stops_the_apply_and_shows_it(cloud: Cloud) -> None:
    cloud.sentinel("advisory", SENTINEL.replace("<= limit or", "<= limit"))
    cloud.init(NODES)
    said = cloud.terraform("apply", "-auto-approve", fails=True)
    assert "limit.sentinel:12:4: unexpected not" in said
    assert "Organization Policy Check errored." in said


# --- state, locks, local execution ----------------------------------------------------------------------------


def test_in_local_execution_mode_the_server_keeps_only_the_state(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.api("PATCH", "workspaces/{id}", execution_mode="local")
    said = cloud.terraform("apply", "-auto-approve", "-var", "gpus=3")
    assert "Apply complete!" in said and "Running apply in" not in said
    assert cloud.runs() == []
    assert not (cloud.folder / "terraform.tfstate").exists()
    assert json.loads(cloud.terraform("output", "-json"))["gpus"]["value"] == 6


def test_a_locked_workspace_refuses_a_local_apply_with_terraforms_own_message(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.api("PATCH", "workspaces/{id}", execution_mode="local")
    cloud.api("POST", "workspaces/{id}/actions/lock")
    said = " ".join(cloud.terraform("apply", "-auto-approve", fails=True).split())
    assert "Error acquiring the state lock" in said
    assert f'workspace already locked (lock ID: "course/{cloud.workspace}")' in said
    assert "does not match existing lock ID" in cloud.terraform("force-unlock", "-force", "course/other", fails=True)
    assert "successfully unlocked" in cloud.terraform("force-unlock", "-force", f"course/{cloud.workspace}")
    assert "Apply complete!" in cloud.terraform("apply", "-auto-approve")


def test_a_locked_workspace_holds_a_remote_apply_until_it_is_unlocked(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.api("POST", "workspaces/{id}/actions/lock")
    apply = cloud.start("apply", "-auto-approve")
    read_until(apply, "Waiting for the manually locked workspace to be unlocked...")
    assert "Plan: 2 to add" in cloud.terraform("plan"), "a plan-only run does not wait"
    cloud.api("POST", "workspaces/{id}/actions/unlock")
    assert "Apply complete!" in apply.communicate(timeout=180)[0]


def test_a_run_holds_the_lock_against_everybody_else(cloud: Cloud, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    cloud.init(GATED % gate)
    apply = cloud.start("apply", "-auto-approve")
    read_until(apply, "terraform_data.second: Creating...")
    assert "workspace already locked" in cloud.terraform("state", "rm", "terraform_data.first", fails=True)
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        cloud.api("POST", "workspaces/{id}/actions/force-unlock")
    gate.touch()
    assert "Apply complete!" in apply.communicate(timeout=180)[0]


def test_state_is_pulled_edited_and_pushed_and_an_older_one_is_refused(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.terraform("apply", "-auto-approve")
    pulled = cloud.terraform("state", "pull")
    (cloud.folder / "old.json").write_text(pulled)
    cloud.terraform("state", "rm", "terraform_data.node[1]")
    assert cloud.state() == {"terraform_data.node[0]"}
    assert "cannot import state with serial" in cloud.terraform("state", "push", "old.json", fails=True)
    newer = json.loads(pulled)
    newer["serial"] += 10
    (cloud.folder / "newer.json").write_text(json.dumps(newer))
    cloud.terraform("state", "push", "newer.json")
    assert cloud.state() == {"terraform_data.node[0]", "terraform_data.node[1]"}


def test_the_server_itself_refuses_an_older_or_unrelated_state(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.terraform("apply", "-auto-approve")
    state = json.loads(cloud.terraform("state", "pull"))
    md5 = "0" * 32
    with pytest.raises(httpx.HTTPStatusError, match="409"):  # not locked
        cloud.api("POST", "workspaces/{id}/state-versions", serial=state["serial"] + 1, md5=md5)
    cloud.api("POST", "workspaces/{id}/actions/lock")
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        cloud.api("POST", "workspaces/{id}/state-versions", serial=state["serial"], md5=md5)
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        cloud.api("POST", "workspaces/{id}/state-versions", serial=99, md5=md5, lineage="another")
    with pytest.raises(httpx.HTTPStatusError, match="422"):  # the content is not what its md5 says
        cloud.api("POST", "workspaces/{id}/state-versions", serial=99, md5=md5, state="e30=")
    assert json.loads(cloud.terraform("state", "pull")) == state
    content = json.dumps({**state, "serial": 99}).encode()
    md5, inline = hashlib.md5(content).hexdigest(), base64.b64encode(content).decode()
    cloud.api("POST", "workspaces/{id}/state-versions", serial=99, md5=md5, state=inline)
    assert json.loads(cloud.terraform("state", "pull"))["serial"] == 99


def test_tags_group_workspaces_that_are_made_selected_and_deleted(cloud: Cloud) -> None:
    dev, prod = f"{cloud.workspace[:20]}-dev", f"{cloud.workspace[:20]}-prod"
    cloud.write(NODES, workspaces='tags = ["tagged"]')
    tag = {"type": "tag-bindings", "attributes": {"key": "tagged"}}
    document = {"attributes": {"name": dev}, "relationships": {"tag-bindings": {"data": [tag]}}}
    with tfe.client(cloud.profile) as client:
        client.post("organizations/course/workspaces", json={"data": document}).raise_for_status()
    cloud.terraform("init")  # the only workspace with the tag is selected
    assert "Apply complete!" in cloud.terraform("apply", "-auto-approve")
    cloud.terraform("workspace", "new", prod)
    assert [line.strip("* ") for line in cloud.terraform("workspace", "list").split("\n") if line] == [dev, prod]
    assert "No state file was found" in cloud.terraform("state", "list", fails=True)
    assert "Workspace is not empty" in cloud.terraform("workspace", "delete", dev, fails=True)
    with pytest.raises(httpx.HTTPStatusError, match="409"):  # the server says so too
        cloud.api("POST", f"organizations/course/workspaces/{dev}/actions/safe-delete")
    cloud.terraform("workspace", "select", dev)
    assert "Deleted workspace" in cloud.terraform("workspace", "delete", prod)


# --- who may, and what survives -------------------------------------------------------------------------------


def test_a_wrong_token_and_an_unknown_organization_get_terraforms_own_message(cloud: Cloud) -> None:
    cloud.write(NODES)
    config = cloud.folder / "wrong.rc"
    config.write_text(tfe.cli_config(cloud.profile).replace(cloud.profile.secret("tfe"), "wrong"))
    said = cloud.terraform("init", fails=True, TF_CLI_CONFIG_FILE=str(config))
    assert 'Failed to read organization "course"' in said and "unauthorized" in said
    said = " ".join(cloud.terraform("init", fails=True, TF_CLOUD_ORGANIZATION="another").split())
    assert 'organization "another" at host tfe.course.local not found' in said


def test_an_address_without_its_signature_gives_nothing(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.terraform("apply", "-auto-approve")
    state = cloud.api("GET", "workspaces/{id}/current-state-version")
    address = state["attributes"]["hosted-state-download-url"]
    assert httpx.get(address, timeout=60).json()["version"] == 4
    assert httpx.get(address[:-1] + ("0" if address[-1] != "0" else "1"), timeout=60).status_code == 404
    assert httpx.get(f"{tfe.url(cloud.profile)}/api/v2/state-versions/{state['id']}", timeout=60).status_code == 401


def test_what_the_server_keeps_is_for_its_owner_alone(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.terraform("apply", "-auto-approve")
    folders = [cloud.profile.root / "tfe", *(cloud.profile.root / "tfe").iterdir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders if path.is_dir()} == {0o700}
    kept = [path for name in ("records", "files") for path in (cloud.profile.root / "tfe" / name).iterdir()]
    assert kept
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def test_what_the_server_does_not_know_is_refused_not_ignored(cloud: Cloud) -> None:
    cloud.init(NODES)
    for attributes in ({"agent_pool_id": "apool-1"}, {"execution_mode": "agent"}, {"terraform_version": "0.1.0"}):
        with pytest.raises(httpx.HTTPStatusError, match="422"):
            cloud.api("PATCH", "workspaces/{id}", **attributes)
    with pytest.raises(httpx.HTTPStatusError, match="404"):
        cloud.api("GET", "organizations/course/policy-sets")
    with tfe.client(cloud.profile) as client:
        for body in ("nonsense", "[]", '{"data": 1}', '{"data": {"relationships": {"workspace": {"data": "x"}}}}'):
            assert client.post("runs", content=body).status_code == 400, body


def test_an_archive_that_reaches_outside_its_folder_is_not_unpacked(cloud: Cloud) -> None:
    cloud.init(NODES)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../outside"))
    version = cloud.api("POST", "workspaces/{id}/configuration-versions", auto_queue_runs=False)
    httpx.put(version["attributes"]["upload-url"], content=packed.getvalue(), timeout=60).raise_for_status()
    relations = {"workspace": {"data": {"id": cloud.id}}, "configuration-version": {"data": {"id": version["id"]}}}
    with tfe.client(cloud.profile) as client:
        client.post("runs", json={"data": {"relationships": relations}}).raise_for_status()
    eventually(lambda: cloud.runs() == ["errored"], "the run did not end")
    assert not list(cloud.profile.root.rglob("outside"))


def test_a_restarted_server_knows_everything(cloud: Cloud) -> None:
    cloud.init(NODES)
    cloud.terraform("apply", "-auto-approve")
    cloud.api("POST", "workspaces/{id}/vars", key="gpus", value="2", category="terraform", hcl=True)
    kill_server(cloud.profile)
    assert "No changes." in cloud.terraform("plan")
    assert cloud.runs() == ["planned_and_finished", "applied"]


def test_a_server_killed_during_an_apply_loses_no_state(cloud: Cloud, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    cloud.init(GATED % gate)
    apply = cloud.start("apply", "-auto-approve")
    read_until(apply, "terraform_data.second: Creating...")
    kill_server(cloud.profile)
    assert "Failed to read logs" in apply.communicate(timeout=180)[0]
    eventually(lambda: cloud.runs() == ["errored"], "the interrupted run was not ended")
    assert "terraform_data.first" in cloud.state()
    gate.touch()
    assert "Apply complete!" in cloud.terraform("apply", "-auto-approve")
    assert cloud.state() == {"terraform_data.first", "terraform_data.second"}


def test_clear_ends_runs_and_leaves_nothing(cloud: Cloud, tmp_path: Path) -> None:
    cloud.policy("advisory")
    cloud.init(GATED % (tmp_path / "never"))
    apply = cloud.start("apply", "-auto-approve")
    read_until(apply, "terraform_data.second: Creating...")
    lifecycle.reset(profile=cloud.profile)
    assert cloud.api("GET", "organizations/course/workspaces") == []
    assert list(tfe.policies(cloud.profile).iterdir()) == []
