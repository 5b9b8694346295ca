"""What is wrong with the written programme, and how the three incidents ended."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator
from pathlib import Path

from iaclab.checks.lab2 import look as argo
from iaclab.checks.project import delivery, foundation, look, secrecy
from iaclab.checks.project.spec import COLLEAGUE, NORTH, POOL, REGIONS, TEAMS
from iaclab.errors import LabError
from iaclab.mlplatform.node_pools import POOL_LABEL
from iaclab.platform.profile import Profile

DESIGN: dict[str, tuple[str, ...]] = {
    "design.md": ("Ownership boundaries", "GitOps topology", "Policy and drift", "On call", "Decisions")
}
PLAYBOOKS: dict[str, tuple[str, ...]] = {
    f"playbooks/{name}.md": ("Detect", "Contain", "Recover", "Verify", "Exercised")
    for name in ("bad-release", "leaked-key", "lost-region")
}
_WORDS = {"design.md": 40, "playbooks": 8}  # the fewest of a section
LEAKED = "notebooks/train.env"
_PROVIDER = "iaclab"  # as the API server calls who wrote an object's fields
LOST = "lost-region.txt"  # in the work folder: when the region was lost, in seconds


def design(profile: Profile) -> Iterator[str]:
    """design.md has its sections, and something in each; what it is worth, a reader says."""
    yield from _sections(look.files(profile), DESIGN, _WORDS["design.md"])


def playbooks(profile: Profile) -> Iterator[str]:
    """Each playbook has its sections, and says when it was exercised."""
    yield from _sections(look.files(profile), PLAYBOOKS, _WORDS["playbooks"])


def _sections(files: dict[str, str], wanted: dict[str, tuple[str, ...]], fewest: int) -> Iterator[str]:
    for name, titles in wanted.items():
        if name not in files:
            yield f"{name} is not on main"
            continue
        found = sections(files[name])
        for title in titles:
            words = len(found.get(title.lower(), "").split())
            if title.lower() not in found:
                yield f"{name} has no section '{title}'"
            elif words < fewest:
                yield f"'{title}' of {name} has {words} words"


def sections(text: str) -> dict[str, str]:
    """The text under each heading of level 2, by the heading in small letters; fenced code is no heading."""
    found: dict[str, str] = {}
    title, fenced = "", False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        heading = None if fenced else re.fullmatch(r"## +(.+?)\s*", line)
        if heading:
            title = heading[1].lower()
            found[title] = ""
        elif title:
            found[title] += f"{line}\n"
    return found


def _commit_of_colleague(profile: Profile, *paths: str) -> str:
    """The newest commit of main by which the colleague began an incident.

    Raises:
        LabError: main has none.
    """
    found = look.git(profile, "log", "main", "--format=%H", f"--author=<{COLLEAGUE}>", "--", *paths).split()
    if not found:
        raise LabError("the incident has not begun, or the history of main has been rewritten")
    return str(found[0])


def bad_release(profile: Profile) -> Iterator[str]:
    """The colleague's release is taken back by a commit; both regions serve 1.0.0 and follow main."""
    bad = _commit_of_colleague(profile, ".", f":!{LEAKED}")
    if not look.git(profile, "log", f"{bad}..main", "--format=%H").split():
        yield "main ends with the colleague's commit: nothing takes it back"
    for name, text in look.files(profile).items():
        if Path(name).suffix in (".yaml", ".yml") and "vision-api" in text and "latest" in text:
            yield f"{name} on main still says latest"
    for region in REGIONS:
        yield from delivery.running(profile, region, "vision")
        yield from _follows(profile, region.application("vision"))


def _follows(profile: Profile, name: str) -> Iterator[str]:
    app = argo.application(profile, name)
    yield from argo.manual(app)
    yield from argo.unsettled(app)


def leaked_key(profile: Profile) -> Iterator[str]:
    """The leaked key opens nothing, a new one came sealed through Git, and the file is gone from main."""
    bad = _commit_of_colleague(profile, LEAKED)
    leaked = dict(
        line.split("=", 1) for line in look.git(profile, "show", f"{bad}:{LEAKED}").splitlines() if "=" in line
    )[secrecy.ID]
    if secrecy.keys(profile).get(leaked) == "Active":
        yield f"the leaked access key of {secrecy.USER} still works"
    if secrecy.opened(profile).get(secrecy.ID) == leaked:
        yield "the Secret in the cluster still holds the leaked key"
    if LEAKED in look.files(profile):
        yield f"{LEAKED} is still on main"
    yield from secrecy.registry_key(profile)
    yield from secrecy.clean(profile)


def lost_region(profile: Profile) -> Iterator[str]:
    """What was lost in the north was made again by Terraform and by Argo CD, and serves."""
    try:
        lost = float(Path(LOST).read_text())
    except (OSError, ValueError):
        raise LabError(f"the region has not been lost: {LOST} is not there") from None
    api = look.api(profile, NORTH)
    for team in TEAMS:
        there = api.get(f"/api/v1/namespaces/{team}")
        if there is None:
            yield f"{NORTH.name} has no namespace {team}"
        elif _seconds(there["metadata"]["creationTimestamp"]) < int(lost):
            yield f"the namespace {team} in {NORTH.name} was never lost"
        elif _PROVIDER not in [entry["manager"] for entry in there["metadata"].get("managedFields", [])]:
            yield f"the namespace {team} in {NORTH.name} was not made by Terraform"
        yield from _follows(profile, NORTH.application(team))
        yield from delivery.running(profile, NORTH, team)
    nodes = look.items(profile, NORTH, f"/api/v1/nodes?labelSelector={POOL_LABEL}%3D{POOL}")
    if not nodes or any(_seconds(node["metadata"]["creationTimestamp"]) < int(lost) for node in nodes):
        yield f"the nodes of the pool {POOL} in {NORTH.name} are not new"
    yield from foundation.state(profile)


def _seconds(timestamp: str) -> float:
    return datetime.datetime.fromisoformat(timestamp.replace("Z", "+00:00")).timestamp()
