"""Checks of lab 1: the state in the bucket, the plans, the cluster and S3. Each says what is wrong, in words.

`score` runs them all, for those who grade: it needs the profile and the work folder, and nothing of the notebook.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path

from iaclab.checks.lab1 import judge, look, proofs
from iaclab.checks.lab1.look import State
from iaclab.checks.lab1.spec import ENVIRONMENTS, STATE_BUCKET, Environment
from iaclab.checks.record import Check, Result
from iaclab.errors import LabError
from iaclab.mlplatform import buckets
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws

_MOST = 3  # problems that are told at once
_DEV = ENVIRONMENTS["dev"]
Probe = Callable[[Profile], list[str]]


def score(profile: Profile, folder: Path) -> dict[str, Result]:
    """The result of every check, by its name; their points add up to 100 at most.

    Args:
        profile: where the platform runs.
        folder: the learner's work folder, with `plans/`, `policy/` and the tests.
    """
    with contextlib.chdir(folder):
        return {name: check.run(profile) for name, check in CHECKS.items()}


def _of(problems: Callable[[Profile], Iterable[str]]) -> Probe:
    return lambda profile: list(islice(problems(profile), _MOST))


def _of_dev(problems: Callable[[Profile, State, Environment], Iterable[str]]) -> Probe:
    return _of(lambda profile: problems(profile, look.state(profile, "dev"), _DEV))


def _state(profile: Profile) -> Iterator[str]:
    look.state(profile, "dev")
    bucket = buckets.get(aws.s3(profile), STATE_BUCKET)
    if bucket and not bucket.versioning:
        yield f"{STATE_BUCKET} keeps no versions: a state that is overwritten is lost"


def _locked(profile: Profile) -> Iterator[str]:
    """A lock is an object beside the state: a bucket with versions remembers that it came and went."""
    key = f"{look.state(profile, 'dev').key}.tflock"
    locks = [entry for entry in look.state_objects(profile) if entry["Key"] == key]
    bucket = buckets.get(aws.s3(profile), STATE_BUCKET)
    if bucket and not bucket.versioning:
        yield f"{STATE_BUCKET} keeps no versions, so that nobody can see whether there was a lock"
    elif not locks:
        yield f"no lock {key} was ever written to {STATE_BUCKET}"
    elif any(entry["IsLatest"] and "Size" in entry for entry in locks):
        yield f"the lock {key} is still there: a run was killed"


def _deployed(profile: Profile) -> Iterator[str]:
    """The plan of dev has nothing to do, speaks of the state in the bucket, and the cluster agrees."""
    plan, state = look.plan("dev"), look.state(profile, "dev")
    if plan.get("errored") or not plan.get("complete", True):
        yield "the plan in plans/dev.json ended with an error"
        return
    work = [c for c in plan["resource_changes"] if c["mode"] == "managed" and c["change"]["actions"] != ["no-op"]]
    if work:
        yield f"plans/dev.json has something to do: {'/'.join(work[0]['change']['actions'])} {work[0]['address']}"
        return
    planned: dict[str, list[str]] = {}
    for resource in look.planned(plan["planned_values"]["root_module"]):
        planned.setdefault(resource["type"], []).append(str(resource["values"].get("id")))
    for kind in sorted({*planned, *look.KINDS}):
        if sorted(planned.get(kind, [])) != sorted(str(r.values.get("id")) for r in state.resources(kind)):
            yield f"plans/dev.json and the state in the bucket hold different {kind}: plan again"
    for resource in look.planned(plan["planned_values"]["root_module"]):
        if resource["type"] == "mlplatform_gpu_node_pool":
            there = [n["metadata"]["name"] for n in look.nodes(profile, resource["values"]["name"])]
            if gone := sorted(set(resource["values"]["node_names"]) - set(there)):
                yield f"drift: the node {gone[0]} is in the state and not in the cluster"


def _cost(profile: Profile) -> Iterator[str]:
    yield from judge.cost(profile, look.state(profile, "dev"), _DEV)
    if failing := look.failing(look.plan("dev")):
        yield f"{failing[0]} fails in plans/dev.json: the budget is too small, or compared wrongly"
    dear = look.plan("too-dear")
    if str(dear.get("variables", {}).get("monthly_budget", {}).get("value")) != "1":
        yield "plans/too-dear.json was not made with monthly_budget=1"
    elif not look.failing(dear):
        yield "with a budget of 1 dollar nothing fails in plans/too-dear.json"


def _environments(profile: Profile) -> Iterator[str]:
    found = look.states(profile)
    if missing := [name for name in ENVIRONMENTS if name not in found]:
        yield f"{STATE_BUCKET} has no state of {', '.join(missing)}"
    if len({state.document["lineage"] for state in found.values()}) < len(found):
        yield "two environments have states of the same lineage: one is a copy of the other"
    for name, want in ENVIRONMENTS.items():
        if name in found and name != "dev":
            yield from _all_of(profile, found[name], want)


def _all_of(profile: Profile, state: State, want: Environment) -> Iterator[str]:
    for problem in judge.network(state, want):
        yield f"{want.name}: {problem}"
    yield from judge.team(profile, state, want)
    yield from judge.pools(profile, state, want)
    yield from judge.storage(profile, state, want)
    yield from judge.monitoring(profile, state, want)
    yield from judge.cost(profile, state, want)


def _check(
    points: int, title: str, probe: Probe, hints: tuple[str, str, str], needs: tuple[str, ...] = ("cluster", "aws")
) -> Check:
    return Check(title, probe, lambda problems: problems == [], hints, points=points, needs=needs)


CHECKS = {
    "state": _check(
        4,
        f"the state of dev is in {STATE_BUCKET}, which keeps versions",
        _of(_state),
        (
            "Where does the state lie, and what happens to the one before when it is written anew?",
            'A bucket with versioning, a `backend "s3"` block, and the root\'s output `environment`.',
            f's3.put_bucket_versioning(Bucket="{STATE_BUCKET}", VersioningConfiguration={{"Status": "Enabled"}})',
        ),
        needs=("aws",),
    ),
    "locked": _check(
        6,
        "the state of dev was locked while it was written, and is not now",
        _of(_locked),
        (
            "What keeps two applies apart?",
            "An argument of the backend writes a lock file beside the state; the bucket's versions remember it.",
            "use_lockfile = true   # then terraform init -reconfigure … and apply",
        ),
        needs=("aws",),
    ),
    "network": _check(
        10,
        "the network module cuts 10.10.0.0/16 of dev into a /20 for each zone",
        _of(lambda profile: judge.network(look.state(profile, "dev"), _DEV)),
        (
            "Which function of Terraform cuts a range into parts?",
            "cidrsubnet(range, newbits, number): from a /16 to a /20 are four bits, the number is the zone's.",
            "{ for index, zone in var.zones : zone => cidrsubnet(var.cidr, 4, index) }",
        ),
        needs=("aws",),
    ),
    "team": _check(
        8,
        "ml-dev-train and ml-dev-serve have a quota of four GPUs each",
        _of_dev(judge.team),
        (
            "Which resource of the provider gives a team its namespaces?",
            "mlplatform_cluster: namespaces, gpu_quota and labels.",
            "kubectl get resourcequota -A; kubectl get namespaces -L environment",
        ),
    ),
    "pools": _check(
        10,
        "the node pools of dev are there: tainted, labelled, spread over its zones",
        _of_dev(judge.pools),
        (
            "kubectl shows the nodes; what differs from the table?",
            "mlplatform_gpu_node_pool: zones (from the network), gpus_per_node, labels; gpu_taint stays true.",
            "kubectl get nodes -l environment=dev -L node.course.local/pool,topology.kubernetes.io/zone",
        ),
    ),
    "storage": _check(
        10,
        "ml-dev-datasets and ml-dev-models keep versions, clean up, and are tagged",
        _of_dev(judge.storage),
        (
            "S3 itself says what each bucket does; which line of the table is missing?",
            "mlplatform_model_bucket: versioning, encryption, tags, and lifecycle_rule blocks.",
            "terraform state show shows a bucket; lifecycle_rule { id, prefix, expiration_days } is a rule",
        ),
        needs=("aws",),
    ),
    "root": _check(
        6,
        "the outputs of dev say what is there, and its kubeconfig works for the team alone",
        _of_dev(judge.outputs),
        (
            "terraform output lists what the root says. What is missing?",
            "An output of a module is not one of the root: each must be handed up, kubeconfig with sensitive = true.",
            'output "kubeconfig" { value = module.cluster.kubeconfig, sensitive = true }   # on lines of their own',
        ),
    ),
    "structure": _check(
        8,
        "network, node pools and buckets are made by modules of their own, nothing by the root",
        _of(lambda profile: judge.structure(look.state(profile, "dev"))),
        (
            "terraform state list: which addresses do not begin with module?",
            "A resource of the root goes into the module whose matter it is; moved keeps what it stands for.",
            "moved { from = mlplatform_model_bucket.models, to = module.storage.mlplatform_model_bucket.models }",
        ),
        needs=("aws",),
    ),
    "tests": _check(
        8,
        "the network module's tests pass a right module and catch four wrong ones",
        _of(proofs.tests),
        (
            "What could be wrong with subnets, and which assertion would see it?",
            "Every zone has one, all differ, they lie in var.cidr; expect_failures = [var.cidr] for a /24.",
            'condition = output.subnets["eu-west-1c"] == "10.50.32.0/20"   # of 10.50.0.0/16, the third zone',
        ),
        needs=("terraform",),
    ),
    "deployed": _check(
        5,
        "a plan of dev after the apply has nothing to do, and the cluster agrees",
        _of(_deployed),
        (
            "Has anything changed since the plan was made, in the configuration or by hand?",
            "terraform apply, then plan -out=plan, then show -json plan > plans/dev.json.",
            "terraform plan -out=plan && terraform show -json plan > ../../plans/dev.json",
        ),
    ),
    "monitoring": _check(
        5,
        "a module watches the pools of dev: a namespace, an alert for each pool, a check that passes",
        _of_dev(judge.monitoring),
        (
            "What must the module know of the pools, and from which output can it have it?",
            "mlplatform_cluster with gpu_quota = 0, terraform_data for each pool, a check block with "
            "data.mlplatform_cluster_info.",
            "lookup(data.mlplatform_cluster_info.now.gpus_by_pool, pool, 0) >= gpus   # in an assert",
        ),
    ),
    "cost": _check(
        6,
        "monthly_cost is what the nodes of dev cost, and a plan over budget says so",
        _of(_cost),
        (
            "Is every GPU counted, for all hours of the month?",
            "hourly_cost of a pool times 730, and a check, precondition or validation with var.monthly_budget.",
            "terraform plan -var monthly_budget=1 -out=dear; terraform show -json dear > ../../plans/too-dear.json",
        ),
    ),
    "environments": _check(
        8,
        "staging and prod are there as the table says, each with a state of its own",
        _of(_environments),
        (
            "Which value of the modules is written for dev where a variable should be?",
            "A folder, a workspace or a backend key for each environment; the modules are the same.",
            'python -c \'import boto3; print(boto3.client("s3").list_objects_v2(Bucket="ml-platform-tfstate"))\'',
        ),
    ),
    "compliance": _check(
        6,
        "the policies pass all three plans and catch six breaches",
        _of(proofs.policies),
        (
            "Try a policy on a plan that breaks the rule: does it say anything?",
            "input.resource_changes[_].change.after holds what would be; a missing tag is undefined, so use not.",
            "conftest test --policy policy plans/prod.json",
        ),
        needs=(),
    ),
}

if sum(check.points for check in CHECKS.values()) != 100:
    raise LabError("The points of lab 1 do not add up to 100.")
