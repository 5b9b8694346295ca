"""What is wrong with the secrets. No value of a secret is in what is returned: a check prints what it has seen."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from typing import Any

from iaclab.checks.lab2 import look as argo
from iaclab.checks.project import look
from iaclab.checks.project.spec import REGIONS, SECRET, TEAMS, WEST
from iaclab.mlplatform.teams import SYSTEM
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws

USER = "fraud-training"
ID, VALUE = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
_NAMESPACE = "fraud"
_SHORTEST = 12  # characters of a value that is searched for in Git
_ARGO_KEYS = ("password", "server.secretkey", "admin.password", "tls.key")
_CREDENTIAL = re.compile(r'"(?:bearerToken|password|keyData)":\s*"([^"]+)"')
_PLAIN = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "a bearer token": re.compile(r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}"),
    "a Secret in clear text": re.compile(r"""^\s*["']?kind["']?:\s*["']?Secret["']?\s*,?$""", re.MULTILINE),
}


def iam(profile: Profile) -> Any:
    """A client of the profile's IAM."""
    import boto3

    return boto3.client(
        "iam",
        endpoint_url=aws.endpoint(profile),
        region_name=aws.REGION,
        aws_access_key_id=aws.access_key(profile),
        aws_secret_access_key=profile.secret("aws-secret-key"),
    )


def keys(profile: Profile) -> dict[str, str]:
    """The access keys of the training's user: id and `Active` or `Inactive`."""
    client = iam(profile)
    try:
        found = client.list_access_keys(UserName=USER)["AccessKeyMetadata"]
    except client.exceptions.NoSuchEntityException:
        return {}
    return {str(key["AccessKeyId"]): str(key["Status"]) for key in found}


def opened(profile: Profile) -> dict[str, str]:
    """What the Secret in the cluster holds."""
    secret = look.api(profile, WEST).get(f"/api/v1/namespaces/{_NAMESPACE}/secrets/{SECRET}") or {}
    return {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}


def registry_key(profile: Profile) -> Iterator[str]:
    """The training's access key came sealed through Git, works, and the training Job reads it."""
    api = look.api(profile, WEST)
    sealed = api.get(f"/apis/bitnami.com/v1alpha1/namespaces/{_NAMESPACE}/sealedsecrets/{SECRET}")
    if sealed is None:
        yield f"there is no SealedSecret {SECRET} in {_NAMESPACE}"
        return
    if not look.comes_from(sealed):
        yield f"the SealedSecret {SECRET} does not come from Git"
    conditions = {c["type"]: c["status"] for c in sealed.get("status", {}).get("conditions") or []}
    if conditions.get("Synced") != "True":
        yield f"the SealedSecret {SECRET} has not been opened"
    if any(key.endswith(("-wide", "/scope")) for key in sealed["metadata"].get("annotations") or {}):
        yield f"the SealedSecret {SECRET} can be opened elsewhere: its scope is not strict"
    yield from _works(profile)
    yield from _training(profile)


def _works(profile: Profile) -> Iterator[str]:
    data, known = opened(profile), keys(profile)
    for key in (ID, VALUE):
        if not data.get(key):
            yield f"the Secret {SECRET} has no {key}"
    if not known:
        yield f"the IAM user {USER} has no access key"
    elif data.get(ID) and known.get(data[ID]) != "Active":
        yield f"the access key in the Secret {SECRET} is no active one of {USER}"


def _training(profile: Profile) -> Iterator[str]:
    found = look.items(profile, WEST, f"/apis/batch/v1/namespaces/{_NAMESPACE}/jobs")
    jobs = [job for job in found if job["metadata"]["name"].startswith("train") and look.comes_from(job)]
    if not jobs:
        yield f"{_NAMESPACE} in {WEST.name} has no Job from Git whose name begins with train"
        return
    newest = max(jobs, key=lambda job: str(job["metadata"]["creationTimestamp"]))
    name = newest["metadata"]["name"]
    conditions = {c["type"]: c["status"] for c in newest["status"].get("conditions", [])}
    if conditions.get("Complete") != "True":
        yield f"the Job {name} has not succeeded"
    if SECRET not in _reads(newest):
        yield f"the Job {name} does not read the Secret {SECRET}"


def _reads(job: argo.Object) -> set[str]:
    """The Secrets that the containers of a Job read as variables or files."""
    pod = job["spec"]["template"]["spec"]
    found = {v.get("secret", {}).get("secretName", "") for v in pod.get("volumes") or []}
    for container in pod["containers"]:
        found |= {e.get("secretRef", {}).get("name", "") for e in container.get("envFrom") or []}
        found |= {e.get("valueFrom", {}).get("secretKeyRef", {}).get("name", "") for e in container.get("env") or []}
    return found


def clean(profile: Profile) -> Iterator[str]:
    """Git holds no secret: nothing that looks like one on main, no live value in any commit ever made."""
    for name, text in look.files(profile).items():
        for what, pattern in _PLAIN.items():
            if pattern.search(text):
                yield f"{name} on main holds {what}"
    history = look.everything(profile)
    for where, value in sorted(_live(profile)):
        if any(form in history for form in _forms(value)):
            yield f"a value of {where} stands in the history of platform.git"


def _live(profile: Profile) -> set[tuple[str, str]]:
    """Each value that opens something now, with the name of its Secret."""
    found = set()
    for region in REGIONS:
        for namespace in (*TEAMS, "argocd", SYSTEM):
            for secret in look.items(profile, region, f"/api/v1/namespaces/{namespace}/secrets"):
                name = f"the Secret {namespace}/{secret['metadata']['name']} in {region.name}"
                for key, value in (secret.get("data") or {}).items():
                    text = base64.b64decode(value).decode(errors="replace")
                    found |= {(name, part) for part in _secret_parts(namespace, key, text)}
    return found


def _secret_parts(namespace: str, key: str, text: str) -> list[str]:
    """What is secret of a value: Argo CD keeps addresses and names in Secrets too."""
    if namespace == "argocd" and key == "config":
        return _CREDENTIAL.findall(text)
    if key in (ID, "ca.crt", "namespace") or (namespace == "argocd" and key not in _ARGO_KEYS):
        return []
    return [text] if len(text) >= _SHORTEST else []


def _forms(value: str) -> list[bytes]:
    raw = value.encode()
    return [raw, base64.b64encode(raw)]
