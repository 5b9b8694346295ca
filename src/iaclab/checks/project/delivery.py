"""What is wrong with the delivery: fences, topology, and what runs in both regions."""

from __future__ import annotations

from collections.abc import Iterator

from iaclab.checks.lab2 import look as argo
from iaclab.checks.lab2.rights import lets, refusal
from iaclab.checks.project import look
from iaclab.checks.project.look import Object
from iaclab.checks.project.spec import REGIONS, REPOSITORY, TEAMS, Region, image
from iaclab.platform.profile import Profile
from iaclab.platform.services import argocd

ROOT = "platform"
_IN_CLUSTER = "https://kubernetes.default.svc"
_APPLICATIONS = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
_BOUNDS = {"ResourceQuota": "", "RoleBinding": "rbac.authorization.k8s.io"}  # what a team must not move


def servers(profile: Profile) -> dict[str, str]:
    """The address of each region's cluster as Argo CD knows it, by its label `region`."""
    path = "/api/v1/namespaces/argocd/secrets?labelSelector=argocd.argoproj.io%2Fsecret-type%3Dcluster"
    found = {}
    for secret in look.items(profile, REGIONS[0], path):
        label = secret["metadata"]["labels"].get("region")
        if label:
            found[label] = _decoded(secret, "server")
    return found


def _decoded(secret: Object, key: str) -> str:
    import base64

    return base64.b64decode((secret.get("data") or {}).get(key, "")).decode()


def _missing(profile: Profile) -> list[str]:
    known = servers(profile)
    return [f"Argo CD knows no cluster with the label region={r.name}" for r in REGIONS if r.name not in known]


def fences(profile: Profile) -> Iterator[str]:
    """Each team's project deploys platform.git into the team's namespace, in both regions, and nowhere else."""
    if missing := _missing(profile):
        yield from missing
        return
    specs = {team: argo.project(profile, team) for team in TEAMS}
    with argocd.client(profile) as http:
        for region, server in servers(profile).items():
            for team in TEAMS:
                other = TEAMS[1 - TEAMS.index(team)]
                if why := refusal(profile, http, team, REPOSITORY, team, server):
                    yield f"{team} cannot deploy into {team} in {region}: {why}"
                for repository, namespace in ((REPOSITORY, other), (REPOSITORY, "kube-system"), ("somebody", team)):
                    if not refusal(profile, http, team, repository, namespace, server):
                        yield f"{team} may deploy {repository}.git into {namespace} in {region}"
    for team, spec in specs.items():
        if kinds := spec.get("clusterResourceWhitelist"):
            yield f"{team} may deploy cluster-scoped objects: {kinds[0].get('kind')}"
        for kind, group in _BOUNDS.items():
            if lets(spec, group, kind):
                yield f"{team} may deploy a {kind}"


def topology(profile: Profile) -> Iterator[str]:
    """One root by hand, everything else from platform.git, each Application by itself, in its project and region."""
    found = argo.applications(profile)
    if ROOT not in found:
        yield f"there is no Application {ROOT}"
        return
    for name, app in found.items():
        yield from argo.manual(app)
        yield from argo.unsettled(app)
        sources = argo.sources(app)
        if not sources or not all(argo.is_repository(str(s["repoURL"]), profile, REPOSITORY) for s in sources):
            yield f"{name} deploys another repository than {REPOSITORY}.git"
        if app["spec"]["project"] == "default":
            yield f"{name} is in the project default, which may do anything"
        if name != ROOT and not _from_git(profile, app):
            yield f"{name} was made by hand: it comes from no ApplicationSet or Application of {REPOSITORY}.git"
    for region in REGIONS:
        for team in TEAMS:
            yield from _placed(profile, found.get(region.application(team)), region, team)


def _from_git(profile: Profile, app: Object) -> bool:
    """Whether an Application was deployed by another one, or made by an ApplicationSet that was."""
    makers = [o["name"] for o in app["metadata"].get("ownerReferences", []) if o["kind"] == "ApplicationSet"]
    if not makers:
        return bool(look.comes_from(app))
    path = _APPLICATIONS.replace("/applications", f"/applicationsets/{makers[0]}")
    maker = look.api(profile, REGIONS[0]).get(path)
    return bool(maker and look.comes_from(maker))


def _placed(profile: Profile, app: Object | None, region: Region, team: str) -> Iterator[str]:
    name = region.application(team)
    if app is None:
        yield f"there is no Application {name}"
        return
    destination = app["spec"]["destination"]
    if app["spec"]["project"] != team:
        yield f"{name} is in the project {app['spec']['project']}"
    if destination.get("namespace") != team:
        yield f"{name} deploys into {destination.get('namespace')}"
    deployment = look.api(profile, region).get(f"/apis/apps/v1/namespaces/{team}/deployments/{team}-api")
    if deployment is None or look.comes_from(deployment) != name:
        yield f"the Deployment {team}-api in {region.name} does not come from {name}"


def serving(profile: Profile) -> Iterator[str]:
    """Each team's API runs in both regions, in the size and the version of the table, on one GPU a pod."""
    for region in REGIONS:
        for team in TEAMS:
            yield from running(profile, region, team)


def running(profile: Profile, region: Region, team: str) -> Iterator[str]:
    """What lacks of a team's API in a region."""
    ready = [pod for pod in look.items(profile, region, f"/api/v1/namespaces/{team}/pods") if _is_ready(pod, team)]
    images = [str(pod["spec"]["containers"][0]["image"]) for pod in ready]
    if len(ready) != region.pods:
        yield f"{team}-api has {len(ready)} ready pods in {region.name}, not {region.pods}"
    if others := sorted({i for i in images if i != image(team)}):
        yield f"{team}-api in {region.name} runs {others[0]}"
    if any(argo.gpus({"spec": {"template": pod}}) != 1 for pod in ready):
        yield f"a pod of {team}-api in {region.name} has another number of GPUs than one"


def _is_ready(pod: Object, team: str) -> bool:
    conditions = {c["type"]: c["status"] for c in pod["status"].get("conditions", [])}
    meta = pod["metadata"]
    return (
        meta["name"].startswith(f"{team}-api-")
        and "deletionTimestamp" not in meta
        and conditions.get("Ready") == "True"
    )
