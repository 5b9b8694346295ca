"""What is wrong with policy, drift and evidence. Where a check breaks something, it mends it again."""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

from iaclab.checks.project import look
from iaclab.checks.project.foundation import PLAN
from iaclab.checks.project.look import Object
from iaclab.checks.project.spec import GPU_QUOTA, NORTH, REGIONS, REGISTRY, TEAMS, VERSION, WEST, Region
from iaclab.checks.project.tenancy import DEVELOPER
from iaclab.errors import LabError
from iaclab.platform.profile import Profile
from iaclab.platform.services import aws

CHECK, COMPLIANCE = "bin/check", "bin/compliance"
CONTROLS = ("buckets", "images", "isolation", "secrets", "drift", "delivery")
BROKEN = {"a bucket without versions": "buckets", "a developer who reads the other team": "isolation"}
_SETTINGS = (".yaml", ".yml", ".json", ".toml", ".tpl")
_PATIENCE = 30  # seconds for Argo CD to undo a change
_LONG_ENOUGH = 10  # characters of evidence that says something

# --- admission -------------------------------------------------------------------------------------------


def admission(profile: Profile) -> Iterator[str]:
    """In both regions the API server takes the teams' pods from the registry, by version, and no others."""
    for region, team in product(REGIONS, TEAMS):
        good = f"{REGISTRY}/{team}-api:2.3.4"
        if refusal := _refused(profile, region, team, [good]):
            yield f"{region.name} refuses {good} in {team}: {refusal}"
        for what, images, first in (
            ("docker.io/someone/model:2.3.4", ["docker.io/someone/model:2.3.4"], []),
            (f"{REGISTRY}.evil.example/model:2.3.4", [f"{REGISTRY}.evil.example/model:2.3.4"], []),
            (f"{REGISTRY}/model:latest", [f"{REGISTRY}/model:latest"], []),
            (f"{REGISTRY}/model, without a tag", [f"{REGISTRY}/model"], []),
            ("a second container from docker.io", [good, "docker.io/someone/model:2.3.4"], []),
            ("an init container from docker.io", [good], ["docker.io/someone/model:2.3.4"]),
        ):
            if _refused(profile, region, team, images, first) is None:
                yield f"{region.name} takes {what} in {team}"
    for region in REGIONS:
        if not any(map(look.comes_from, _policies(profile, region))):
            yield f"no policy in {region.name} comes from Git"


def _policies(profile: Profile, region: Region) -> list[Object]:
    found = look.items(profile, region, "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies")
    return found + look.items(profile, region, "/apis/templates.gatekeeper.sh/v1/constrainttemplates")


def _refused(
    profile: Profile, region: Region, namespace: str, images: list[str], first: list[str] | None = None
) -> str | None:
    """Why the API server refuses a pod; `None` where it would take it. Nothing is made."""
    containers = [{"name": f"c{number}", "image": image} for number, image in enumerate(images)]
    before = [{"name": f"i{number}", "image": image} for number, image in enumerate(first or [])]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"check-{secrets.token_hex(4)}", "namespace": namespace},
        "spec": {"containers": containers, "initContainers": before},
    }
    try:
        look.api(profile, region).ask(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    except LabError as error:
        return error.what
    return None


# --- the pipeline ----------------------------------------------------------------------------------------


def pipeline(profile: Profile) -> Iterator[str]:
    """bin/check takes main as it is, and refuses the same with an image from elsewhere or without a version."""
    with look.clone(profile) as folder:
        done = look.run(profile, folder, CHECK)
        if done.returncode != 0:
            yield f"{CHECK} refuses main: {look.last_words(done)}"
            return
    for what, old, new in (
        ("an image from docker.io", f"{REGISTRY}/", "docker.io/someone/"),
        ("the tag latest", VERSION, "latest"),
    ):
        for team in TEAMS:
            with look.clone(profile) as folder:
                if not _change(folder, team, old, new):
                    yield f"no manifest on main names {team}-api with {old}"
                elif look.run(profile, folder, CHECK).returncode == 0:
                    yield f"{CHECK} takes {what} in {team}-api"


def _change(folder: Path, team: str, old: str, new: str) -> bool:
    """Replace a text in what deploys a team's API; whether there was something to replace."""
    found = False
    for path in sorted(folder.rglob("*")):
        if ".git" in path.parts or "policy" in str(path.relative_to(folder)) or path.suffix not in _SETTINGS:
            continue
        text = path.read_text(errors="replace")
        if f"{team}-api" in text and old in text:
            path.write_text(text.replace(old, new))
            found = True
    return found


# --- drift -----------------------------------------------------------------------------------------------


def drift(profile: Profile) -> Iterator[str]:
    """What Terraform owns is reported when somebody changes it; what Argo CD owns is put right."""
    with look.clone(profile) as folder:
        if (code := look.run(profile, folder, PLAN).returncode) != 0:
            yield f"{PLAN} ends with {code} before anything was changed"
            return
        with_drift = _while_changed(profile, lambda: look.run(profile, folder, PLAN).returncode)
        if with_drift != 2:
            yield f"a quota changed by hand in {NORTH.name}: {PLAN} ends with {with_drift}, not 2"
    api, path = look.api(profile, NORTH), "/apis/apps/v1/namespaces/vision/deployments/vision-api"
    wanted = (api.get(path) or {"spec": {}})["spec"].get("replicas")
    api.patch(path, {"spec": {"replicas": 0}})
    deadline = time.monotonic() + _PATIENCE
    while (api.get(path) or {"spec": {}})["spec"].get("replicas") != wanted:
        if time.monotonic() > deadline:
            yield f"vision-api scaled to 0 by hand in {NORTH.name} is still at 0 after {_PATIENCE} s"
            return
        time.sleep(0.2)


def _while_changed(profile: Profile, look_at: Callable[[], Any]) -> Any:
    """What is seen while somebody has changed a quota in the north by hand."""
    api = look.api(profile, NORTH)
    quotas = look.items(profile, NORTH, "/api/v1/namespaces/fraud/resourcequotas")
    (quota,) = (q for q in quotas if GPU_QUOTA in q["spec"].get("hard", {}))
    path = f"/api/v1/namespaces/fraud/resourcequotas/{quota['metadata']['name']}"
    api.patch(path, {"spec": {"hard": {GPU_QUOTA: "64"}}})
    try:
        return look_at()
    finally:
        api.patch(path, {"spec": {"hard": {GPU_QUOTA: quota["spec"]["hard"][GPU_QUOTA]}}})


# --- evidence --------------------------------------------------------------------------------------------


def compliance(profile: Profile) -> Iterator[str]:
    """bin/compliance answers from the systems: all well now, and the right control fails when something is not."""
    with look.clone(profile) as folder:
        code, table = _table(profile, folder)
        if missing := [c for c in CONTROLS if c not in table]:
            yield f"{COMPLIANCE} has no control {missing[0]}"
            return
        for control, row in table.items():
            if row.get("state") != "pass":
                yield f"{control} is {row.get('state')}: {row.get('evidence')}"
            if len(str(row.get("evidence", "")).strip()) < _LONG_ENOUGH:
                yield f"{control} names no evidence"
        if code != 0:
            yield f"{COMPLIANCE} ends with {code}, not 0"
        code, seen = _while_broken(profile, lambda: _table(profile, folder))
        for what, control in BROKEN.items():
            if seen.get(control, {}).get("state") != "fail":
                yield f"{what}: {control} is still {seen.get(control, {}).get('state')}"
            elif seen[control].get("evidence") == table[control].get("evidence"):
                yield f"{what}: the evidence of {control} says the same as before"
        if code == 0:
            yield f"two controls do not hold, and {COMPLIANCE} ends with 0"
        if seen.get("images", {}).get("state") != "pass":
            yield f"images is {seen.get('images', {}).get('state')} while something else is broken"


def _table(profile: Profile, folder: Path) -> tuple[int, dict[str, Object]]:
    """How the program ends, and its rows by the name of their control.

    Raises:
        LabError: it does not print a JSON list of rows.
    """
    done = look.run(profile, folder, COMPLIANCE)
    text = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
    try:
        rows = json.loads(text)
        return done.returncode, {str(row["control"]): dict(row) for row in rows}
    except (ValueError, TypeError, KeyError):
        raise LabError(
            f"{COMPLIANCE} prints no JSON list of rows with control, evidence, state: {look.last_words(done)}"
        ) from None


def _while_broken(profile: Profile, look_at: Callable[[], Any]) -> Any:
    """What is seen while one bucket keeps no versions and one developer reads the other team."""
    s3, bucket = aws.s3(profile), WEST.bucket("fraud")
    name, api = f"check-{secrets.token_hex(4)}", look.api(profile, NORTH)
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": name, "namespace": "vision"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view"},
        "subjects": [{"kind": "ServiceAccount", "name": DEVELOPER, "namespace": "fraud"}],
    }
    try:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
        api.apply([binding])
        return look_at()
    finally:
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        api.delete(f"/apis/rbac.authorization.k8s.io/v1/namespaces/vision/rolebindings/{name}")
