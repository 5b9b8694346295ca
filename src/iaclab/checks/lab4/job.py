"""The training job: what it can do with the token that the kubelet would mount into its pod."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg

from iaclab.checks.lab4 import look, vaulting
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, new_vault, postgres

_NAME = "train-churn"
_LONGEST = 900  # seconds of the mounted token
_GONE = 15.0  # seconds until the user of a job that has ended must be gone


def works(profile: Profile) -> Iterator[str]:
    """The pod of the job logs in, borrows a user, reads, and its user ends with its login."""
    api = cluster.kube(profile)
    if not api.get(f"/apis/batch/v1/namespaces/training/jobs/{_NAME}"):
        yield f"there is no Job {_NAME} in training"
        return
    pods = api.get(f"/api/v1/namespaces/training/pods?labelSelector=job-name={_NAME}") or {"items": []}
    if not pods["items"]:
        yield f"the Job {_NAME} has no pod yet"
        return
    pod = pods["items"][-1]
    yield from _carries(pod["spec"])
    mounted = _mounted(pod["spec"])
    if not mounted:
        yield "the pod mounts no token of its service account for the vault (projected, with an audience)"
        return
    if not 0 < mounted.get("expirationSeconds", 3600) <= _LONGEST:
        yield f"the mounted token lives {mounted.get('expirationSeconds', 3600)} s"
    login = look.log_in(profile, "trainer", _as_the_kubelet(profile, pod, mounted))
    if not login:
        yield "the token that the pod mounts opens no login to the role trainer"
        return
    yield from _does_its_work(profile, login["client_token"])


def _carries(spec: look.Object) -> Iterator[str]:
    """What the pod has and should not have."""
    if spec.get("serviceAccountName") != "trainer":
        yield "the pod does not run as the service account trainer"
    if spec.get("automountServiceAccountToken") is not False:
        yield "the pod gets a token for the API server"
    sources = [s for v in spec.get("volumes") or [] for s in (v.get("projected") or {}).get("sources", [])]
    secrets = [v for v in spec.get("volumes") or [] if "secret" in v] + [s for s in sources if "secret" in s]
    for container in [*spec["containers"], *(spec.get("initContainers") or [])]:
        secrets += [e for e in container.get("env") or [] if "secretKeyRef" in (e.get("valueFrom") or {})]
        secrets += [e for e in container.get("envFrom") or [] if "secretRef" in e]
    if secrets:
        yield "the pod takes a Secret: what it needs, it borrows"


def _mounted(spec: look.Object) -> look.Object | None:
    """The projected token of the first volume that a container mounts and that has one."""
    mounts = {m["name"] for c in spec["containers"] for m in c.get("volumeMounts") or []}
    for volume in spec.get("volumes") or []:
        for source in (volume.get("projected") or {}).get("sources", []):
            # The API server adds one with its own audience where automountServiceAccountToken is on.
            if volume["name"] in mounts and source.get("serviceAccountToken", {}).get("audience"):
                return dict(source["serviceAccountToken"])
    return None


def _as_the_kubelet(profile: Profile, pod: look.Object, mounted: look.Object) -> str:
    """The token that the kubelet would mount: of the pod's account, for its audience, bound to the pod."""
    account = f"training/{pod['spec'].get('serviceAccountName', 'default')}"
    about = pod["metadata"]
    bound = {"apiVersion": "v1", "kind": "Pod", "name": about["name"], "uid": about["uid"]}
    return look.account_token(profile, account, mounted["audience"], bound_to=bound)


def _does_its_work(profile: Profile, token: str) -> Iterator[str]:
    """Borrow with the job's own token, read, and end the login."""
    try:
        given = look.answer(profile, "GET", "database/creds/training", token=token)["data"]
        user, password = given["username"], given["password"]
        with postgres.connect(profile, user, password) as session:
            session.execute("SELECT count(*) FROM features")
    except psycopg.Error as refused:
        yield f"the job's user cannot read features: {' '.join(str(refused).split())[:120]}"
        return
    finally:
        with contextlib.suppress(LabError):
            new_vault.ask(profile, "POST", "auth/token/revoke-self", token=token)
    if vaulting.opens(profile, user, password, _GONE):
        yield "the job's user can still log in after the job's login has ended"
