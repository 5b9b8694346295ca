"""Policies: a thousand manifests and a large plan through each engine, and what rules cost a write to the API server.

Every engine gets the same rule, and has to find the same faults. Latencies with and without a rule are taken in turn,
so that both see the same machine.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import httpx
from kubernetes import client, config

from bench.table import Row, median, timed
from iaclab import tools
from iaclab.platform import lifecycle
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.services import cluster, gatekeeper

TITLE = "Policies"
MANIFESTS, RESOURCES = 1000, 2000
BAD = 10  # every tenth breaks the rule
RUNS = 3  # of each engine on files
AUDITS = 3
CONSTRAINTS = (0, 10, 50)
WRITES = 150  # of each kind, for one median
_KIND = "BenchImages"
_REGISTRY = "registry.course.local/"
_BARE, _JUDGED = gatekeeper.NAMESPACE, "judged"  # the webhook is not asked about the first

Object = dict[str, Any]

_RULE = """
  some container in spec.containers
  not startswith(container.image, "registry.course.local/")
  message := sprintf("%s: %s is not from our registry", [name, container.image])
}
"""
_CONFTEST = (
    "package main\n\nspec := input.spec.template.spec\n\nname := input.metadata.name\n\ndeny contains message if {"
    + _RULE
)
_GATEKEEPER = (
    'package benchimages\n\nviolation contains {"msg": message} if {'
    + _RULE
    + """
spec := object.get(input.review.object, ["spec", "template", "spec"], input.review.object.spec)

name := input.review.object.metadata.name
"""
)
_PLAN = """package main

pools := [change.change.after |
  some change in input.resource_changes
  change.type == "mlplatform_gpu_node_pool"
]

deny contains message if {
  some pool in pools
  pool.total_gpus > 8
  message := sprintf("%s has %d GPUs", [pool.name, pool.total_gpus])
}
"""
_GROUPED = """package names

places[change.change.after.name] contains i if some i, change in input.resource_changes

deny contains name if {
  some name, found in places
  count(found) > 1
}
"""
_PAIRS = """package names

names := [change.change.after.name | some change in input.resource_changes]

deny contains one if {
  some i, one in names
  some j, other in names
  i < j
  one == other
}
"""
_SENTINEL = """import "tfplan/v2" as tfplan

bad = filter tfplan.resource_changes as _, rc {
	rc.type is "mlplatform_gpu_node_pool" and rc.change.after.total_gpus > 8
}

print(length(bad), "found")

main = rule { bad is empty }
"""
_MOCK = 'sentinel {\n  features = {\n    terraform = true\n  }\n}\n\nimport "plugin" "tfplan/v2" {\n  config = {\n'


def rows() -> Iterator[Row]:
    """The measurements, on one profile."""
    profile = Profile("policy")
    tools.ensure("opa", "conftest", "gator", quiet=True)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        yield from _plans(folder)
        try:
            lifecycle.up("gatekeeper", profile=profile)
            config.load_kube_config(str(cluster.kubeconfig(profile)))  # type: ignore[no-untyped-call]
            yield from _writes(profile)
            yield from _manifests(profile, folder)
        finally:
            lifecycle.down(profile=profile)


def _run(tool: str, *arguments: str, cwd: Path, codes: tuple[int, ...] = (0,)) -> str:
    """What a program says; an engine that finds something ends with another code than 0."""
    command = [str(tools.ensure(tool, quiet=True)[tool])] if tool != sys.executable else [tool]
    done = subprocess.run([*command, *arguments], cwd=cwd, capture_output=True, text=True)
    if done.returncode not in codes:
        raise RuntimeError(f"{tool} {' '.join(arguments)}\n{done.stdout[-800:]}{done.stderr[-800:]}")
    return done.stdout


def _expect(found: object, wanted: int, who: str) -> None:
    if found != wanted:
        raise RuntimeError(f"{who} finds {found} faults, there are {wanted}")


def _in_turn(*engines: Callable[[], object]) -> list[float]:
    """The median of each, one run of each after the other."""
    times: list[list[float]] = [[] for _ in engines]
    for _ in range(RUNS):
        for engine, taken in zip(engines, times, strict=True):
            taken.append(timed(engine))
    return [median(taken) for taken in times]


def _plans(folder: Path) -> Iterator[Row]:
    """The same question about a plan of 2,000 resources, in Rego by two programs and in Sentinel."""
    (folder / "plan").mkdir()
    for name, text in (("plan", _PLAN), ("grouped", _GROUPED), ("pairs", _PAIRS)):
        (folder / "plan" / f"{name}.rego").write_text(text)
    (folder / "plan.json").write_text(json.dumps(_plan()))
    (folder / "gpus.sentinel").write_text(_SENTINEL)
    (folder / "sentinel.hcl").write_text(f'{_MOCK}    plan_path = "plan.json"\n  }}\n}}\n')
    bad = RESOURCES // BAD

    def conftest() -> None:
        said = _run("conftest", "test", "-o=json", "-p=plan/plan.rego", "plan.json", cwd=folder, codes=(1,))
        _expect(sum(len(entry.get("failures") or []) for entry in json.loads(said)), bad, "conftest")

    def opa(query: str, file: str, wanted: int) -> None:
        said = _run("opa", "eval", "-f=raw", f"-d=plan/{file}.rego", "-i=plan.json", f"count({query})", cwd=folder)
        _expect(int(said), wanted, "opa")

    def sentinel() -> None:
        arguments = ("-P", "-m", "iaclab.sentinel", "apply", "-trace", "-config=sentinel.hcl", "gpus.sentinel")
        found = re.search(r"^\s*(\d+) found", _run(sys.executable, *arguments, cwd=folder, codes=(1,)), re.MULTILINE)
        _expect(int(found[1]) if found else None, bad, "sentinel")

    plan = f"a plan of {RESOURCES:,} resources"
    by_conftest, by_opa, by_sentinel = _in_turn(conftest, lambda: opa("data.main.deny", "plan", bad), sentinel)
    yield Row(f"{plan}: conftest", by_conftest, "s", by_opa, "opa eval")
    yield Row(f"{plan}: the course's Sentinel", by_sentinel, "s", by_opa, "opa eval")
    grouped, pairs = _in_turn(lambda: opa("data.names.deny", "grouped", 1), lambda: opa("data.names.deny", "pairs", 1))
    yield Row(f"two of one name in {plan}: each with each", pairs, "s", grouped, "grouped by name")


def _plan() -> Object:
    changes = []
    for number in range(RESOURCES):
        name = f"pool-{max(number, 1)}"  # two are called pool-1
        after = {
            "name": name,
            "accelerator": "l4",
            "node_count": 2,
            "gpus_per_node": 4,
            "total_gpus": 16 if number % BAD == 0 else 8,
            "hourly_cost": 6.4,
            "labels": {"team": f"team-{number % 20}"},
            "zones": ["eu-west-1a", "eu-west-1b"],
        }
        changes.append(
            {
                "address": f"mlplatform_gpu_node_pool.p{number}",
                "mode": "managed",
                "type": "mlplatform_gpu_node_pool",
                "name": f"p{number}",
                "change": {"actions": ["create"], "before": None, "after": after, "after_unknown": {"id": True}},
            }
        )
    return {"format_version": "1.2", "terraform_version": "1.11.4", "resource_changes": changes}


def _manifests(profile: Profile, folder: Path) -> Iterator[Row]:
    """The same thousand Deployments as files, and as objects in the cluster."""
    files = folder / "manifests"
    files.mkdir()
    (folder / "rules").mkdir()
    (folder / "rules" / "images.rego").write_text(_CONFTEST)
    (folder / "template.json").write_text(json.dumps(_template()))
    (folder / "constraint.json").write_text(json.dumps(_constraint("all", "Deployment", "bench")))
    deployments = [_deployment(number) for number in range(MANIFESTS)]
    for deployment in deployments:
        (files / f"{deployment['metadata']['name']}.json").write_text(json.dumps(deployment))
    bad = MANIFESTS // BAD

    def conftest() -> None:
        said = _run("conftest", "test", "-o=json", "-p=rules", "manifests", cwd=folder, codes=(1,))
        _expect(sum(len(entry.get("failures") or []) for entry in json.loads(said)), bad, "conftest")

    def gator() -> None:
        given = ("-f=template.json", "-f=constraint.json", "-f=manifests")
        said = _run("gator", "test", "-o=json", *given, cwd=folder, codes=(1,))
        _expect(len(json.loads(said)), bad, "gator")

    by_conftest, by_gator = _in_turn(conftest, gator)
    yield Row(f"{MANIFESTS:,} manifests: gator test", by_gator, "s", by_conftest, "conftest")
    cluster.kube(profile).apply([_namespace("bench"), *deployments])
    yield Row(f"{MANIFESTS:,} objects: an audit of Gatekeeper", _audit(profile, bad), "s", by_conftest, "conftest")


def _deployment(number: int) -> Object:
    image = "docker.io/someone/" if number % BAD == 0 else _REGISTRY
    containers = [{"name": "c", "image": f"{image}model-{number}:1"}]
    labels = {"app": f"d{number}"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"d{number}", "namespace": "bench"},
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def _audit(profile: Profile, bad: int) -> float:
    """Seconds of an audit, the mean of some, by its own clock."""
    custom: Any = client.CustomObjectsApi()
    _create_template(custom)
    _create_constraints(custom, [_constraint("all", "Deployment", "bench")])

    def violations() -> object:
        found = custom.get_cluster_custom_object("constraints.gatekeeper.sh", "v1beta1", _KIND.lower(), "all")
        return found.get("status", {}).get("totalViolations")

    _wait(lambda: violations() == bad, f"the audit finds {bad}")
    seconds, count = _audits(profile)
    _wait(lambda: _audits(profile)[1] >= count + AUDITS, "some audits more")
    later, there = _audits(profile)
    _expect(violations(), bad, "the audit")
    return (later - seconds) / (there - count)


def _audits(profile: Profile) -> tuple[float, float]:
    """Seconds that all audits took together, and how many there were."""
    text = httpx.get(f"http://{HOST}:{profile.port('gatekeeper.metrics')}/metrics", trust_env=False).text
    name = "gatekeeper_audit_duration_seconds"
    found = [re.search(rf"^{name}_{part}(?:\{{.*\}})? (\S+)$", text, re.MULTILINE) for part in ("sum", "count")]
    if not all(found):
        raise RuntimeError(f"Gatekeeper has no metric {name}")
    seconds, count = (float(match[1]) for match in found if match)
    return seconds, count


def _writes(profile: Profile) -> Iterator[Row]:
    """Milliseconds of a write that every rule lets pass, beside one that neither webhook nor policy is asked about."""
    cluster.kube(profile).apply([_namespace(_JUDGED)])
    custom: Any = client.CustomObjectsApi()
    _create_template(custom)
    there = 0
    for count in CONSTRAINTS:
        new = range(there, count)
        there = count
        if new:
            _create_constraints(custom, [_constraint(f"c{number}", "Pod", _JUDGED) for number in new])
            for number in new:
                _create_cel(f"bench-{number}")
            _wait(lambda: _refuses(_JUDGED, {}) and _refuses(_BARE, {"cel": "yes"}), "the rules hold")
        bare, rego, cel = _latencies()
        yield Row(f"a write, Gatekeeper with {count} constraints", rego, "ms", bare, "without the webhook")
        if count:
            yield Row(f"a write, {count} policies in CEL", cel, "ms", bare, "without them")
    for number in range(there):
        custom.delete_cluster_custom_object("constraints.gatekeeper.sh", "v1beta1", _KIND.lower(), f"c{number}")


def _latencies() -> tuple[float, float, float]:
    """Medians: bare, through Gatekeeper, through CEL."""
    kinds: tuple[tuple[str, dict[str, str]], ...] = ((_BARE, {}), (_JUDGED, {}), (_BARE, {"cel": "yes"}))
    times: list[list[float]] = [[], [], []]
    for turn in range(WRITES + 5):
        for (namespace, labels), taken in zip(kinds, times, strict=True):
            seconds = timed(lambda: _write(namespace, labels, _REGISTRY))  # noqa: B023, it runs at once
            if turn >= 5:  # the first ones open connections
                taken.append(seconds * 1000)
    bare, rego, cel = (median(taken) for taken in times)
    return bare, rego, cel


def _write(namespace: str, labels: dict[str, str], registry: str) -> None:
    """Ask the API server for a pod, and keep nothing."""
    closed = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}  # what the bare namespace asks for
    container = {"name": "c", "image": f"{registry}model:1", "securityContext": closed}
    secure = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    spec = {"securityContext": secure, "containers": [container]}
    pod = {"metadata": {"name": "timed", "labels": labels}, "spec": spec}
    _core().create_namespaced_pod(namespace, pod, dry_run="All")


@lru_cache(maxsize=1)
def _core() -> Any:
    """One client, so that its connection is kept."""
    return client.CoreV1Api()


def _refuses(namespace: str, labels: dict[str, str]) -> bool:
    try:
        _write(namespace, labels, "docker.io/")
    except client.ApiException as error:
        return bool(error.status in (403, 422))
    return False


def _namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _template() -> Object:
    source = {"version": "v1", "rego": _GATEKEEPER}
    target = {"target": "admission.k8s.gatekeeper.sh", "code": [{"engine": "Rego", "source": source}]}
    return {
        "apiVersion": "templates.gatekeeper.sh/v1",
        "kind": "ConstraintTemplate",
        "metadata": {"name": _KIND.lower()},
        "spec": {"crd": {"spec": {"names": {"kind": _KIND}}}, "targets": [target]},
    }


def _constraint(name: str, kind: str, namespace: str) -> Object:
    group = "apps" if kind == "Deployment" else ""
    match = {"kinds": [{"apiGroups": [group], "kinds": [kind]}], "namespaces": [namespace]}
    return {
        "apiVersion": "constraints.gatekeeper.sh/v1beta1",
        "kind": _KIND,
        "metadata": {"name": name},
        "spec": {"match": match},
    }


def _create_template(custom: Any) -> None:
    try:
        custom.create_cluster_custom_object("templates.gatekeeper.sh", "v1", "constrainttemplates", _template())
    except client.ApiException as error:
        if error.status != 409:
            raise


def _create_constraints(custom: Any, constraints: list[Object]) -> None:
    """Create them, and wait until Gatekeeper enforces each."""
    place = ("constraints.gatekeeper.sh", "v1beta1", _KIND.lower())

    def created(document: Object) -> bool:
        try:
            custom.create_cluster_custom_object(*place, document)
        except client.ApiException as error:
            return bool(error.status == 409)
        return True

    def enforced(name: str) -> bool:
        status = custom.get_cluster_custom_object(*place, name).get("status", {})
        return any(pod.get("enforced") for pod in status.get("byPod") or [])

    for document in constraints:
        _wait(lambda: created(document), "the kind of the template is there")  # noqa: B023, it runs at once
    for document in constraints:
        _wait(lambda: enforced(document["metadata"]["name"]), "the constraint is enforced")  # noqa: B023


def _create_cel(name: str) -> None:
    """The same rule as a ValidatingAdmissionPolicy with its binding, for pods with a label."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    validation = {
        "expression": f"object.spec.containers.all(c, c.image.startsWith('{_REGISTRY}'))",
        "message": "not from our registry",
    }
    policy = {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}
    where = {"objectSelector": {"matchLabels": {"cel": "yes"}}}
    binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": where}
    api: Any = client.AdmissionregistrationV1Api()
    api.create_validating_admission_policy({"metadata": {"name": name}, "spec": policy})
    api.create_validating_admission_policy_binding({"metadata": {"name": name}, "spec": binding})


def _wait(reached: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 180
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"not in time: {what}")
        time.sleep(0.05)
