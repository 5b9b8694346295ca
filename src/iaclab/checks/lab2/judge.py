"""What is wrong with the platform and the teams' workloads: what is there is compared with what is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from iaclab.checks.lab2 import look
from iaclab.checks.lab2.look import Object
from iaclab.checks.lab2.spec import DEV, FIRST, GPU_QUOTA, REGISTRY, STAGING, TEAMS, Environment
from iaclab.platform.profile import Profile
from iaclab.platform.services import argocd

_ARGO = "argocd.argoproj.io"


def root(profile: Profile) -> Iterator[str]:
    """The root brings projects, namespaces and quotas, and nothing is in the project `default`."""
    app = look.application(profile, "platform")
    if app["spec"]["project"] != "platform":
        yield f"the Application platform is in the project {app['spec']['project']}"
    if not any(look.is_repository(s["repoURL"], profile, "platform") for s in look.sources(app)):
        yield "the Application platform does not deploy platform.git"
    yield from look.manual(app)
    yield from look.unsettled(app)
    there = from_platform(profile)
    for name in ("platform", *TEAMS):
        if ("AppProject", name) not in there:
            yield f"the project {name} does not come from platform.git"
    for environment in FIRST:
        yield from _namespaces(profile, environment, there)
    for name, other in look.applications(profile).items():
        if other["spec"]["project"] == "default":
            yield f"the Application {name} is in the project default, which may do anything"


def _namespaces(profile: Profile, environment: Environment, there: set[tuple[str, str]]) -> Iterator[str]:
    for team in TEAMS:
        name = environment.namespace(team)
        if ("Namespace", name) not in there:
            yield f"the namespace {name} does not come from platform.git"
            continue
        quotas = look.items(profile, f"/api/v1/namespaces/{name}/resourcequotas")
        hard = [str(q["spec"].get("hard", {}).get(GPU_QUOTA)) for q in quotas if _comes_from_platform(profile, q)]
        if str(environment.quota) not in hard:
            said = f"is {hard[0]}" if hard and hard[0] != "None" else "does not come from platform.git"
            yield f"the quota of {GPU_QUOTA} in {name} {said}, not {environment.quota}"


def _comes_from_platform(profile: Profile, manifest: Object) -> bool:
    """Whether an object is one that Argo CD deployed from platform.git."""
    app = look.marks(manifest).get(f"{_ARGO}/tracking-id", "").split(":")[0]
    return app in _of_platform(profile)


def from_platform(profile: Profile) -> set[tuple[str, str]]:
    """What comes from platform.git: kind and name."""
    return {
        (str(r["kind"]), str(r["name"]))
        for app in _of_platform(profile).values()
        for r in app.get("status", {}).get("resources") or []
        if r.get("status") != "OutOfSync"
    }


def _of_platform(profile: Profile) -> dict[str, Object]:
    """The root, and the Applications of the project `platform` that it may have split its work into."""
    found = look.applications(profile).items()
    return {name: app for name, app in found if name == "platform" or app["spec"]["project"] == "platform"}


def repositories(profile: Profile) -> Iterator[str]:
    """Each team's repository has a main, and Argo CD reads it for the team's project only."""
    with argocd.client(profile) as http:
        known = http.get("/api/v1/repositories", params={"forceRefresh": "true"}).json().get("items") or []
    for team in TEAMS:
        look.commits(profile, team)
        mine = [r for r in known if look.is_repository(str(r["repo"]), profile, team)]
        scoped = [r for r in mine if r.get("project") == team]
        if not mine:
            yield f"{team}.git is not registered with Argo CD"
        elif not scoped:
            yield f"{team}.git is registered for {mine[0].get('project') or 'every project'}, not for {team}"
        elif (state := scoped[0].get("connectionState", {})).get("status") != "Successful":
            yield f"Argo CD cannot read {team}.git: {state.get('message')}"


def applications(profile: Profile) -> Iterator[str]:
    """Each team has an Application for each environment, made by an ApplicationSet that comes from Git.

    That prod is Synced and Healthy in the end is a matter of its releases: here it must have been deployed.
    """
    there, found = from_platform(profile), look.applications(profile)
    for environment in FIRST:
        for team in TEAMS:
            name = environment.namespace(team)
            if name not in found:
                yield f"there is no Application {name}"
                continue
            yield from _application(profile, found[name], team, there)
            yield from look.manual(found[name])
            if environment is DEV or not found[name].get("status", {}).get("history"):
                yield from look.unsettled(found[name])


def _application(profile: Profile, app: Object, team: str, there: set[tuple[str, str]]) -> Iterator[str]:
    name, spec = app["metadata"]["name"], app["spec"]
    makers = [o["name"] for o in app["metadata"].get("ownerReferences", []) if o["kind"] == "ApplicationSet"]
    if not makers:
        yield f"{name} was not made by an ApplicationSet"
    elif ("ApplicationSet", makers[0]) not in there:
        yield f"the ApplicationSet {makers[0]} does not come from platform.git"
    if spec["project"] != team:
        yield f"{name} is in the project {spec['project']}"
    if not look.sources(app) or not all(look.is_repository(s["repoURL"], profile, team) for s in look.sources(app)):
        yield f"{name} does not deploy {team}.git"
    if spec["destination"].get("namespace") != name:
        yield f"{name} deploys into {spec['destination'].get('namespace')}"


def training(profile: Profile, *environments: Environment) -> Iterator[str]:
    """In each environment a training Job has succeeded, with the GPUs that it was given."""
    for environment in environments:
        namespace = environment.namespace("fraud")
        jobs = training_jobs(profile, namespace)
        if not jobs:
            yield f"{namespace} has no Job from Git whose name begins with train"
            continue
        newest, name = jobs[-1], jobs[-1]["metadata"]["name"]
        conditions = {c["type"]: c["status"] for c in newest["status"].get("conditions", [])}
        if conditions.get("Complete") != "True":
            yield f"the Job {name} in {namespace} has not succeeded"
        if (used := look.gpus(newest)) != environment.training_gpus:
            yield f"the Job {name} in {namespace} has {used} GPUs, not {environment.training_gpus}"


def training_jobs(profile: Profile, namespace: str) -> list[Object]:
    """The training Jobs that Argo CD has deployed there, the oldest first."""
    jobs = [j for j in look.items(profile, f"/apis/batch/v1/namespaces/{namespace}/jobs") if _is_training(j, namespace)]
    return sorted(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]))


def _is_training(job: Object, namespace: str) -> bool:
    tracked = look.marks(job).get(f"{_ARGO}/tracking-id", "")
    return job["metadata"]["name"].startswith("train") and tracked.startswith(f"{namespace}:")


def serving(profile: Profile, *environments: Environment) -> Iterator[str]:
    """The inference service and the detector run in the size that is asked for."""
    for environment in environments:
        yield from _api(profile, environment)
        namespace = environment.namespace("vision")
        image = f"{REGISTRY}/detector:"
        pods = look.running(profile, namespace, "detector")
        if len(pods) != environment.detector_pods or not all(p.startswith(image) for p in pods):
            yield f"{namespace} has {len(pods)} ready pods of detector, not {environment.detector_pods}"


def _api(profile: Profile, environment: Environment) -> Iterator[str]:
    namespace = environment.namespace("fraud")
    workload = look.rollout(profile, namespace)
    pods = look.running(profile, namespace, "fraud-api")
    if len(pods) != environment.api_pods or not all(p.startswith(f"{REGISTRY}/fraud-api:") for p in pods):
        yield f"{namespace} has {len(pods)} ready pods of fraud-api, not {environment.api_pods}"
    if (used := look.gpus(workload)) != 1:
        yield f"a pod of fraud-api in {namespace} has {used} GPUs, not 1"
    slices = look.items(
        profile,
        f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io/service-name%3Dfraud-api",
    )
    reached = [e for s in slices for e in s.get("endpoints") or [] if e.get("conditions", {}).get("ready")]
    if len(reached) != len(pods):
        yield f"the Service fraud-api in {namespace} reaches {len(reached)} of {len(pods)} pods"


def staged(profile: Profile) -> Iterator[str]:
    """Staging is there for both teams."""
    yield from _namespaces(profile, STAGING, from_platform(profile))
    there, found = from_platform(profile), look.applications(profile)
    for name, team in ((STAGING.namespace(team), team) for team in TEAMS):
        if name not in found:
            yield f"there is no Application {name}"
            return
        yield from _application(profile, found[name], team, there)
        yield from look.unsettled(found[name])
    yield from training(profile, STAGING)
    yield from serving(profile, STAGING)
    if tags := {p.rsplit(":", 1)[-1] for p in look.running(profile, "fraud-staging", "fraud-api")} - {"1.0.0"}:
        yield f"fraud-staging runs {sorted(tags)[0]}, not 1.0.0"


def waves(profile: Profile) -> Iterator[str]:
    """Training comes before serving: as a hook before the sync, or in an earlier wave."""
    for environment in FIRST:
        namespace = environment.namespace("fraud")
        jobs = training_jobs(profile, namespace)
        if not jobs:
            yield f"{namespace} has no Job from Git whose name begins with train"
            continue
        served = _wave(look.rollout(profile, namespace))
        if "PreSync" not in _hooks(jobs[-1]) and _wave(jobs[-1]) >= served:
            yield f"in {namespace} the training Job is in wave {_wave(jobs[-1])} and the Rollout in wave {served}"


def _wave(manifest: Object) -> int:
    try:
        return int(look.marks(manifest).get(f"{_ARGO}/sync-wave", "0"))
    except ValueError:
        return 0  # as Argo CD reads it


def _hooks(manifest: Object) -> list[str]:
    return [h.strip() for h in look.marks(manifest).get(f"{_ARGO}/hook", "").split(",") if h.strip()]


def hooks(profile: Profile) -> Iterator[str]:
    """A Job checked the data before the sync, another one tested the service after it."""
    for environment in FIRST:
        namespace = environment.namespace("fraud")
        jobs = look.items(profile, f"/apis/batch/v1/namespaces/{namespace}/jobs")
        for phase in ("PreSync", "PostSync"):
            mine = [j for j in jobs if phase in _hooks(j) and not j["metadata"]["name"].startswith("train")]
            if not mine:
                yield f"{namespace} has no {phase} Job of the last sync"
            elif not any(j["status"].get("succeeded") for j in mine):
                yield f"the {phase} Job {mine[0]['metadata']['name']} in {namespace} has not succeeded"


def orphans(profile: Profile) -> Iterator[str]:
    """The projects warn of what Git does not know, and Argo CD does."""
    targets = [manifest for name in _of_platform(profile) for manifest in look.targets(profile, name)]
    warned = {m["metadata"]["name"]: m["spec"].get("orphanedResources") for m in targets if m["kind"] == "AppProject"}
    for team in TEAMS:
        if not (warned.get(team) or {}).get("warn"):
            yield f"platform.git does not have the project {team} warn of orphaned resources"
    if not look.items(profile, "/api/v1/namespaces/vision-dev/configmaps?fieldSelector=metadata.name%3Dleft-over"):
        yield "there is no ConfigMap left-over in vision-dev"
    conditions = look.application(profile, "vision-dev").get("status", {}).get("conditions") or []
    if "OrphanedResourceWarning" not in [c["type"] for c in conditions]:
        yield "vision-dev says nothing of an orphaned resource"
