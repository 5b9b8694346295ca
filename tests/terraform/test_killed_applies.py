"""SIGKILL in the middle of an apply, at ten moments: the state stays readable, and the next apply converges."""

from __future__ import annotations

import json
import random
import subprocess
import time

import psutil
import pytest
from terraform_cli import Terraform

from iaclab.mlplatform import node_pools
from iaclab.mlplatform.api import Api

POOLS = 4
KILLS = 10


def configuration(prefix: str, generation: int) -> str:
    """Four pools and some data; each generation changes every one of them."""
    return f"""
resource "mlplatform_gpu_node_pool" "many" {{
  count         = {POOLS}
  name          = "{prefix}${{count.index}}"
  accelerator   = "t4"
  node_count    = {1 + generation % 2}
  gpus_per_node = 1
  labels        = {{ generation = "{generation}" }}
}}

resource "terraform_data" "note" {{
  count = 20
  input = "{generation}"
}}
"""


def test_ten_killed_applies_lose_no_state_and_every_next_apply_converges(terraform: Terraform, api: Api) -> None:
    seed = random.randrange(1 << 32)
    moments = random.Random(seed)
    killed = 0
    started = time.monotonic()
    terraform.apply(configuration("kills", 0))
    whole = time.monotonic() - started
    for generation in range(1, KILLS + 1):
        terraform.write(configuration("kills", generation))
        apply = subprocess.Popen(
            ["terraform", "apply", "-auto-approve"],
            cwd=terraform.folder,
            env=terraform.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started = time.monotonic()
        try:
            apply.wait(moments.uniform(0.1, 0.9) * whole)
            whole = time.monotonic() - started  # the machine has become quicker
        except subprocess.TimeoutExpired:
            killed += 1
        providers = psutil.Process(apply.pid).children(recursive=True) if apply.poll() is None else []
        apply.kill()
        apply.wait()
        _, alive = psutil.wait_procs(providers, timeout=60)
        assert not alive, f"seed {seed}: a provider goes on without its Terraform"
        assert json.loads(terraform.run("show", "-json"))["format_version"], f"seed {seed}: the state cannot be read"
        terraform.apply()
        names = [name for index in range(POOLS) for name in node_pools.names_of(api, f"kills{index}")]
        wanted = [f"kills{i}-{n}" for i in range(POOLS) for n in range(1, 2 + generation % 2)]
        assert names == wanted, f"seed {seed}, after kill {generation}"
    assert terraform.actions() == {}, f"seed {seed}: the plan after the last apply is not empty"
    assert killed >= KILLS // 2, f"only {killed} applies were killed before they ended"


@pytest.mark.parametrize("moment", ["at once", "later"])
def test_a_killed_apply_with_state_in_s3_leaves_a_lock_that_force_unlock_takes_away(
    terraform: Terraform, s3: object, unique: str, moment: str
) -> None:
    s3.create_bucket(Bucket=unique, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})  # type: ignore[attr-defined]
    (terraform.folder / "backend.tf").write_text(f"""
terraform {{
  backend "s3" {{
    bucket                      = "{unique}"
    key                         = "state"
    region                      = "eu-west-1"
    use_lockfile                = true
    use_path_style              = true
    skip_credentials_validation = true
    skip_requesting_account_id  = true
    skip_metadata_api_check     = true
    skip_region_validation      = true
  }}
}}
""")
    wait = 'provisioner "local-exec" {\n command = "sleep 30"\n}'
    inside = wait if moment == "later" else ""
    terraform.write(f'resource "terraform_data" "slow" {{\n{inside}\n}}').run("init", "-reconfigure")
    apply = subprocess.Popen(
        ["terraform", "apply", "-auto-approve", "-no-color"],
        cwd=terraform.folder,
        env=terraform.env,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert apply.stdout is not None
    sign = "slow: Creating" if moment == "later" else "Plan: 1 to add"
    for line in apply.stdout:
        if sign in line:
            break
    apply.kill()
    apply.wait()
    said = terraform.apply(fails=True)
    assert "Error acquiring the state lock" in said and "412" in said, said
    lock = next(line.split()[-1] for line in said.splitlines() if line.strip(" │").startswith("ID:"))
    terraform.run("force-unlock", "-force", lock)
    terraform.apply('resource "terraform_data" "slow" {}')
    assert terraform.actions() == {}
