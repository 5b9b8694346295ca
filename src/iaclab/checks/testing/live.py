"""Checks of what runs: drift, an incident, and a branch that the pipeline lets through."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import psutil

from iaclab.checks.record import Check
from iaclab.checks.testing.bench import plan, run, verdict
from iaclab.mlplatform.node_pools import POOL_LABEL
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster
from iaclab.platform.supervise import Supervisor


def _drift(profile: Profile) -> dict[str, Any]:
    Path("training/drift.tfstate").read_text()
    nodes = cluster.kube(profile).get(f"/api/v1/nodes?labelSelector={POOL_LABEL}%3Ddrift") or {}
    words = [
        "plan",
        "-detailed-exitcode",
        "-lock=false",
        "-state=drift.tfstate",
        "-var",
        "team=drift",
        "-var",
        "nodes=1",
    ]
    code = run(profile, "training", "terraform", *words).returncode
    return {
        "labels": [node["metadata"]["labels"].get("team") for node in nodes.get("items", [])],
        "a plan finds": {0: "nothing to do", 2: "something to do"}.get(code, "an error"),
    }


def _culprit(profile: Profile) -> dict[str, Any]:
    said = Path("culprit.txt").read_text().strip()
    stopped = []
    for process in Supervisor(profile).processes():
        if process.pid and psutil.Process(process.pid).status() == psutil.STATUS_STOPPED:
            stopped.append(process.name)
    found = cluster.kube(profile).get("/apis/apps/v1/namespaces/default/deployments/probe") or {}
    return {
        "you say": said or "nothing",
        "right": hashlib.sha256(said.encode()).hexdigest() == Path("incident.txt").read_text(),
        "hanging": stopped,
        "probe": "available" if found.get("status", {}).get("availableReplicas") else "not available",
    }


def _green(profile: Profile) -> dict[str, Any]:
    """The branch in a clone of its own: what its pipeline's stages say, and what has changed since main."""

    def git(*words: str) -> str:
        return subprocess.run(["git", "-C", "infra", *words], capture_output=True, text=True).stdout

    changed = git("diff", "--name-only", "main...bad-policy").split()
    with tempfile.TemporaryDirectory(prefix="iaclab-branch-") as base:
        clone = Path(base) / "infra"
        subprocess.run(["git", "clone", "-q", "-b", "bad-policy", "infra", str(clone)], check=True, capture_output=True)
        seen: dict[str, Any] = {stage: verdict(run(profile, clone, f"ci/{stage}")) for stage in ("lint", "test")}
        pools = [values for address, values in plan(profile, clone).items() if "gpu_node_pool" in address]
        run(profile, clone, "ci/plan")
        seen["policy"] = verdict(run(profile, clone, "ci/policy"))
    seen["GPUs"] = sum(values["node_count"] * values["gpus_per_node"] for values in pools)
    return {**seen, "changed": changed}


CHECKS = {
    "drift": Check(
        title="the node has its team's label again, and a plan finds nothing to do",
        needs=("cluster", "terraform"),
        probe=_drift,
        expect=lambda seen: seen == {"labels": ["drift"], "a plan finds": "nothing to do"},
        within=5,
        hints=(
            "The configuration is right, and the platform is not. Which command brings it back?",
            "terraform apply, with the state and the variables of the plan.",
            "terraform -chdir=training apply -auto-approve -state=drift.tfstate -var team=drift -var nodes=1",
        ),
    ),
    "culprit": Check(
        title="the culprit is named, nothing hangs, and the probe is available",
        probe=_culprit,
        expect=lambda seen: seen["right"] and not seen["hanging"] and seen["probe"] == "available",
        within=120,
        hints=(
            "Which of the three objects is the last that is there?",
            "No pod: kube-controller-manager. A pod without a node: kube-scheduler. A node, and not Running: kwok.",
            'echo NAME > culprit.txt; pkill -CONT -f "NAME.*$KUBECONFIG"',
        ),
    ),
    "green": Check(
        title="lint, test and policy pass on bad-policy with 16 GPUs, by a change of terraform.tfvars alone",
        needs=("cluster", "terraform"),
        probe=_green,
        expect=lambda seen: (
            seen
            == {"lint": "passes", "test": "passes", "policy": "passes", "GPUs": 16, "changed": ["terraform.tfvars"]}
        ),
        hints=(
            "The policy's message has the number that is allowed.",
            "16 GPUs with four a node are four nodes; commit it on the branch bad-policy.",
            "cd infra; git switch bad-policy; sed -i 's/nodes = 8/nodes = 4/' terraform.tfvars; "
            "git commit -qam Four; git switch main",
        ),
    ),
}
