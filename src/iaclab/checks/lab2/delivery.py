"""What is wrong with the releases: how canaries are judged, what became of two, and how an incident ended."""

from __future__ import annotations

import secrets
import subprocess
import time
from collections.abc import Iterator
from typing import Any

from iaclab import tools
from iaclab.checks.lab2 import judge, look
from iaclab.checks.lab2.look import Object
from iaclab.checks.lab2.spec import MOST_ERRORS, PROD, REGISTRY, STRANGER
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, metrics

_PROD = PROD.namespace("fraud")
_IMAGE = f"{REGISTRY}/fraud-api"
_HASH = "rollouts-pod-template-hash"
_ARGO = "argoproj.io/v1alpha1"
_POLICY = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_EFFECTIVE = 8  # seconds until an admission policy works
_PATIENCE = 20  # seconds for an analysis that measures once
_MEASURED = {"an error ratio of 0.04": 0.04, "an error ratio of 0.06": 0.06, "no measurement": None}


def canary(profile: Profile) -> Iterator[str]:
    """Prod releases to a part first, and its analysis tells good measurements from bad ones and from none."""
    workload = look.rollout(profile, _PROD)
    strategy = workload["spec"].get("strategy", {}).get("canary")
    if strategy is None:
        yield f"the Rollout in {_PROD} has no canary strategy"
        return
    steps = strategy.get("steps") or []
    part = next((n for n, step in enumerate(steps) if 0 < step.get("setWeight", 0) < 100), None)
    if part is None:
        yield "no step sets the weight to a part of the pods"
        return
    later = [step["analysis"] for step in steps[part + 1 :] if "analysis" in step]
    analyses = [a for a in [*later, strategy.get("analysis")] if a]
    if not analyses:
        yield "no analysis comes after the first weight"
        return
    said = [_judgements(profile, workload, analysis) for analysis in analyses]
    for what, value in _MEASURED.items():
        passes = all(one[what] == "Successful" for one in said)
        if value is not None and value <= MOST_ERRORS and not passes:
            yield f"{what} of the new image is not enough: {said[0][what]}"
        elif (value is None or value > MOST_ERRORS) and passes:
            yield f"{what} of the new image is good enough for the analysis"


def _judgements(profile: Profile, workload: Object, analysis: Object) -> dict[str, str]:
    """The phase of one measurement of the analysis for each of three images that nobody has deployed."""
    stamp = secrets.token_hex(3)
    images = {what: f"{_IMAGE}:check-{stamp}-{number}" for number, what in enumerate(_MEASURED)}
    _push(profile, {images[what]: value for what, value in _MEASURED.items() if value is not None})
    names = {what: f"check-{stamp}-{number}" for number, what in enumerate(_MEASURED)}
    runs = [_run(profile, workload, analysis, names[what], images[what]) for what in _MEASURED]
    api = cluster.kube(profile)
    try:
        api.apply(runs, namespace=_PROD)
        return {what: _first_phase(profile, name) for what, name in names.items()}
    finally:
        for name in names.values():
            api.delete(f"/apis/{_ARGO}/namespaces/{_PROD}/analysisruns/{name}")


def _push(profile: Profile, ratios: dict[str, float]) -> None:
    """Push measurements, as the lab's text does."""
    lines = [f'model_error_ratio{{namespace="{_PROD}",image="{image}"}} {ratio}\n' for image, ratio in ratios.items()]
    promtool = tools.find("promtool")
    if promtool is None:
        raise LabError("promtool is not installed", mend="iaclab tools install promtool")
    config = str(profile.folder("metrics") / "promtool.yml")
    command = [str(promtool.path), "push", "metrics", "--http.config.file", config, metrics.url(profile)]
    done = subprocess.run(command, input="".join(lines), capture_output=True, text=True, timeout=30)
    if done.returncode:
        raise LabError("Prometheus takes no measurement", why=" ".join(done.stderr.split()), mend="iaclab up rollouts")


def _run(profile: Profile, workload: Object, analysis: Object, name: str, image: str) -> Object:
    """The AnalysisRun that a release of `image` would get, with one measurement of each metric."""
    found = [_template(profile, ref) for ref in analysis.get("templates") or []]
    if not found:
        raise LabError("the analysis names no template")
    given = {a["name"]: _argument(workload, a, image) for a in analysis.get("args") or []}
    arguments = {a["name"]: a for template in found for a in template.get("args") or []}
    arguments |= {name: {"name": name, "value": value} for name, value in given.items() if name in arguments}
    once = {"count": 1, "failureLimit": 0, "inconclusiveLimit": 0, "consecutiveErrorLimit": 0}
    dropped = ("interval", "initialDelay", *once)
    measured = [
        {**{key: value for key, value in metric.items() if key not in dropped}, **once}
        for template in found
        for metric in template["metrics"]
    ]
    spec = {"args": list(arguments.values()), "metrics": measured}
    return {"apiVersion": _ARGO, "kind": "AnalysisRun", "metadata": {"name": name, "namespace": _PROD}, "spec": spec}


def _template(profile: Profile, ref: Object) -> Object:
    name = ref.get("templateName", "")
    scope = "clusteranalysistemplates" if ref.get("clusterScope") else f"namespaces/{_PROD}/analysistemplates"
    found = cluster.kube(profile).get(f"/apis/{_ARGO}/{scope}/{name}")
    if not found:
        raise LabError(f"there is no AnalysisTemplate {name}")
    return dict(found["spec"])


def _argument(workload: Object, argument: Object, image: str) -> str:
    """What an argument would be for a release of `image`."""
    path = argument.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "")
    if not path:
        return str(argument.get("value", ""))
    if path.endswith(".image"):
        return image
    value: Any = workload
    for part in path.replace("['", ".").replace("']", "").replace("[", ".").replace("]", "").split("."):
        value = value[int(part)] if isinstance(value, list) else value.get(part, "")
    return str(value)


def _first_phase(profile: Profile, name: str) -> str:
    """How an AnalysisRun ended."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        run = cluster.kube(profile).get(f"/apis/{_ARGO}/namespaces/{_PROD}/analysisruns/{name}") or {}
        phase = run.get("status", {}).get("phase", "")
        if phase not in ("", "Pending", "Running"):
            return str(phase)
        time.sleep(0.1)
    return "it takes too long"


def promoted(profile: Profile) -> Iterator[str]:
    """1.1.0 runs on every pod, because its analysis was successful."""
    tags = [pod.rsplit(":", 1)[-1] for pod in look.running(profile, _PROD, "fraud-api")]
    if tags != ["1.1.0"] * PROD.api_pods:
        yield f"the pods of fraud-api in {_PROD} run {', '.join(sorted(set(tags))) or 'nothing'}"
    runs = _runs_of(profile, "1.1.0")
    if not runs:
        yield "the analysis of 1.1.0 was never made"
    elif not any(run["status"].get("phase") == "Successful" and "Successful" in _measured(run) for run in runs):
        yield f"the analysis of 1.1.0 measured nothing good: it ended as {runs[-1]['status'].get('phase')}"
    if not look.commits(profile, "fraud", touching="1.1.0"):
        yield "no commit of fraud.git mentions 1.1.0"


def aborted(profile: Profile) -> Iterator[str]:
    """1.2.0 was measured, found bad and aborted, and Git has taken it back."""
    runs = _runs_of(profile, "1.2.0")
    if not runs:
        yield f"1.2.0 was never released to {_PROD} with an analysis"
    elif not any("Failed" in _measured(run) for run in runs):
        yield f"the analysis of 1.2.0 measured nothing bad: it ended as {runs[-1]['status'].get('phase')}"
    workload = look.rollout(profile, _PROD)
    if look.image(workload) != f"{_IMAGE}:1.1.0":
        yield f"the Rollout in {_PROD} asks for {look.image(workload)}"
    elif (phase := workload.get("status", {}).get("phase")) != "Healthy":
        yield f"the Rollout in {_PROD} is {phase}: {workload.get('status', {}).get('message', '')}"
    yield from _synced(profile, _PROD)
    yield from _taken_back(profile, "fraud", "1.2.0", _PROD)


def _synced(profile: Profile, name: str) -> Iterator[str]:
    """An Application follows main by itself, and is there."""
    app = look.application(profile, name)
    if look.automated(app) is None:
        yield f"{name} does not sync by itself"
    yield from look.unsettled(app)


def _runs_of(profile: Profile, tag: str) -> list[Object]:
    """The AnalysisRuns of a version of the inference service in prod, the oldest first."""
    sets = [s for s in look.replica_sets(profile, _PROD, "fraud-api") if look.image(s) == f"{_IMAGE}:{tag}"]
    hashes = {s["metadata"]["labels"].get(_HASH) for s in sets}
    runs = [r for r in look.analysis_runs(profile, _PROD) if r["metadata"].get("labels", {}).get(_HASH) in hashes]
    return sorted((r for r in runs if r.get("status")), key=lambda run: str(run["metadata"]["creationTimestamp"]))


def _measured(run: Object) -> list[str]:
    """What came of each measurement of an AnalysisRun."""
    results = run["status"].get("metricResults") or []
    return [str(m["phase"]) for result in results for m in result.get("measurements") or []]


def _taken_back(profile: Profile, repository: str, text: str, application: str) -> Iterator[str]:
    """Main has a commit that brought `text` in and a later one that took it out, and was never rewritten."""
    if len(look.commits(profile, repository, touching=text)) < 2:
        yield f"the history of {repository}.git does not show how {text} came and went"
    history = look.application(profile, application).get("status", {}).get("history") or []
    deployed = [revision for h in history for revision in h.get("revisions") or [h.get("revision")] if revision]
    if lost := [revision for revision in deployed if not look.is_part_of_main(profile, repository, revision)]:
        yield f"{application} has deployed {lost[0][:7]}, which is no longer in the history of {repository}.git"


def policy(profile: Profile) -> Iterator[str]:
    """Pods with images from elsewhere are refused, by a policy that comes from Git."""
    missing = {*_POLICY} - {kind for kind, _ in judge.from_platform(profile)}
    for kind in sorted(missing):
        yield f"no {kind} comes from platform.git"
    for namespace in (_PROD, PROD.namespace("vision")):
        if not missing and _takes_stranger(profile, namespace):
            yield f"{namespace} takes a pod with the image {STRANGER}:2.0.0"
        if refusal := look.would_create(profile, _pod(namespace, f"{REGISTRY}/detector:1.0.0")):
            yield f"{namespace} refuses a pod with an image of our own: {refusal}"


def _takes_stranger(profile: Profile, namespace: str) -> bool:
    """Whether a pod with the strange image is taken; a new policy works after some seconds."""
    deadline = time.monotonic() + _EFFECTIVE
    while look.would_create(profile, _pod(namespace, f"{STRANGER}:2.0.0")) is None:
        if time.monotonic() > deadline:
            return True
        time.sleep(0.3)
    return False


def _pod(namespace: str, image: str) -> Object:
    meta = {"generateName": "check-", "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": meta,
        "spec": {"containers": [{"name": "x", "image": image}]},
    }


def incident(profile: Profile) -> Iterator[str]:
    """The strange image was deployed to vision-prod, and a commit has brought the detector back."""
    namespace = PROD.namespace("vision")
    deployment = cluster.kube(profile).get(f"/apis/apps/v1/namespaces/{namespace}/deployments/detector")
    if not deployment:
        yield f"there is no Deployment detector in {namespace}"
        return
    images = [look.image(s) for s in look.replica_sets(profile, namespace, "detector")]
    if not any(image.startswith(STRANGER) for image in images):
        yield f"{STRANGER} was never deployed to {namespace}"
    if look.image(deployment) != f"{REGISTRY}/detector:1.0.0":
        yield f"the Deployment in {namespace} asks for {look.image(deployment)}"
    yield from _synced(profile, namespace)
    yield from _taken_back(profile, "vision", STRANGER.rsplit("/", 1)[0], namespace)
