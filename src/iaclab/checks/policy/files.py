"""Checks of rules about charts, workloads and data: asked about files and inputs of the check's own."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from iaclab import tools
from iaclab.checks.policy import ask
from iaclab.checks.record import Check
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_DIGEST = "a" * 64
# The rules of the lecture, in the check's own words: the learner's folder may hold others by now.
_OURS = "registry.course.local/"


def _chart(_: Profile) -> dict[str, Any]:
    if not Path("shop/prod.yaml").exists():
        raise LabError("shop/prod.yaml is not there")
    helm = str(tools.ensure("helm")["helm"])
    command = [helm, "template", "prod", "shop/charts/ranker", "--values", "shop/prod.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise LabError(done.stderr.strip().splitlines()[-1][:300])
    made = {item["kind"]: item for item in yaml.safe_load_all(done.stdout) if item}
    container = made["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    limits = container["resources"]["limits"]
    image = str(container["image"])
    return {
        "image": "ours, by digest" if image.startswith(_OURS) and _by_digest(image) else image,
        "memory limit": bool(limits.get("memory")),
        "GPUs": int(limits.get("nvidia.com/gpu") or 0),
        "service": made["Service"]["spec"].get("type", "ClusterIP"),
    }


def _by_digest(image: str) -> bool:
    digest = image.partition("@sha256:")[2]
    return len(digest) == 64 and not set(digest) - set("0123456789abcdef")


def workload(kind: str, name: str, selector: dict[str, str], annotations: dict[str, str]) -> ask.Document:
    """A workload with which no other rule of the lecture is at odds."""
    spec = {"nodeSelector": selector, "containers": [{"name": "c", "image": f"{_OURS}train@sha256:{_DIGEST}"}]}
    whole = {"kind": kind, "metadata": {"name": name, "annotations": annotations}}
    return {**whole, "spec": {"activeDeadlineSeconds": 60, "template": {"spec": spec}}}


def _spot(_: Profile) -> dict[str, Any]:
    spot, saved = {"node.course.local/capacity": "spot"}, {"course.local/checkpoint-every": "10m"}
    cases = {
        "job-that-saves": workload("Job", "job-that-saves", spot, saved),
        "job-that-forgets": workload("Job", "job-that-forgets", spot, {}),
        "server-on-spot": workload("Deployment", "server-on-spot", spot, saved),
        "on-demand": workload("Job", "on-demand", {"node.course.local/capacity": "on-demand"}, {}),
        "anywhere": workload("Deployment", "anywhere", {}, {}),
    }
    if not Path("ml/policy/spot.rego").exists():
        raise LabError("ml/policy/spot.rego is not there")
    found = {}
    for name, case in cases.items():
        denied = ask.messages(ask.decide(["ml/policy"], "data.ml.workloads.deny", case))
        found[name] = any(name in message for message in denied)
    return found


def manifest(**more: Any) -> ask.Document:
    """A training set's manifest with which no rule of the lecture is at odds."""
    splits = {name: {"rows": 5000, "sha256": letter * 64} for name, letter in (("train", "a"), ("test", "b"))}
    whole = {"name": "clicks", "version": "1", "licence": "internal", "created": "2026-11-01T00:00:00Z"}
    return {**whole, "columns": [{"name": "clicks", "personal": False}], "splits": splits} | more


def _data(_: Profile) -> dict[str, Any]:
    leaked = {"rows": 5000, "sha256": "a" * 64}
    splits = manifest()["splits"]
    cases = {
        "good": manifest(),
        "leaked": manifest(splits=splits | {"validation": leaked}),
        "personal": manifest(columns=[{"name": "email", "personal": True}]),
        "licence": manifest(licence="unknown"),
        "no digest": manifest(splits={"train": {"rows": 5000}, "test": {"rows": 5000}}),
    }
    found: dict[str, Any] = {}
    for name, case in cases.items():
        denied = ask.messages(ask.decide(["dataset/dataset.rego"], "data.dataset.deny", case))
        found[name] = len(denied)
        if name == "leaked":
            found["names both"] = bool(denied) and "train" in denied[0] and "validation" in denied[0]
    return found


CHECKS = {
    "chart": Check(
        title="the chart with prod.yaml has our image by digest, a memory limit, a GPU, and no public Service",
        needs=(),
        probe=_chart,
        expect=lambda seen: (
            seen["image"] == "ours, by digest"
            and seen["memory limit"]
            and seen["GPUs"] >= 1
            and seen["service"] == "ClusterIP"
        ),
        hints=(
            "conftest says what is denied, and what it warns of.",
            "Four values: image, memory, service, gpus; charts/ranker/values.yaml has them with what is wrong.",
            "image: registry.course.local/ranker@sha256:<64 hex digits>, memory: 8Gi, service: ClusterIP",
        ),
    ),
    "spot": Check(
        title="on spot machines only jobs that write checkpoints are not denied",
        needs=(),
        probe=_spot,
        expect=lambda seen: (
            seen
            == {
                "job-that-saves": False,
                "job-that-forgets": True,
                "server-on-spot": True,
                "on-demand": False,
                "anywhere": False,
            }
        ),
        hints=(
            "What is denied is the negation of two things together: give them a rule of their own.",
            "`not checkpoints`, where checkpoints holds if it is a Job and has the annotation.",
            'checkpoints if { input.kind == "Job"; input.metadata.annotations["course.local/checkpoint-every"] }',
        ),
    ),
    "data-manifest": Check(
        title="two splits with the same digest are denied, once, with both names",
        needs=(),
        probe=_data,
        expect=lambda seen: (
            seen == {"good": 0, "leaked": 1, "names both": True, "personal": 1, "licence": 1, "no digest": 2}
        ),
        hints=(
            "Each split with each other: two `some … in input.splits`.",
            "A pair must not count twice, nor a split with itself: one name < the other. "
            "Splits without a digest are the business of another rule.",
            "some one, first in input.splits; some other, second in input.splits; one < other; "
            "first.sha256 == second.sha256",
        ),
    ),
}
