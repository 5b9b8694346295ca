"""What the checks of the GitOps lecture conclude from manifests and from the text of a decision record."""

from __future__ import annotations

from typing import Any

import pytest

from iaclab.checks.gitops.delivery import _share, _unprovided
from iaclab.checks.gitops.repository import lacks_of_record

RECORD = """# 2. Environments are folders

Status: accepted
Date: 2026-11-09

## Context
A merged hotfix took the replicas of prod along to dev.

## Options
- A branch for each environment: settings travel with merges.
- A folder for each environment: nothing is merged.

## Decision
Each environment is a folder on the branch main.

## Consequences
- Good: a promotion copies one line.
- Bad: a change of the base reaches all at once.
"""


def test_a_whole_record_lacks_nothing() -> None:
    assert lacks_of_record(RECORD) == []
    assert lacks_of_record(RECORD.replace("accepted", "superseded by 0007")) == []


@pytest.mark.parametrize(
    ("old", "new", "lacks"),
    [
        ("# 2. ", "# 3. ", "a title '# 2. …'"),
        ("Status: accepted", "Status: done", "a status"),
        ("Status: accepted\n", "", "a status"),
        ("Date: 2026-11-09", "Date: 2026-13-45", "a date"),
        ("Date: 2026-11-09", "Date: yesterday", "a date"),
        ("## Context", "## Background", "Context"),
        ("A merged hotfix took the replicas of prod along to dev.", "Because.", "Context"),
        ("- A folder for each environment: nothing is merged.\n", "", "two options"),
        ("- Good: a promotion copies one line.\n", "", "a line '- Good: …'"),
        ("- Bad: a change of the base reaches all at once.", "- Bad:", "a line '- Bad: …'"),
        ("Each environment is a folder on the branch main.", "<what is done, in one or two sentences, as here>", "<…>"),
    ],
)
def test_a_record_that_lacks_something(old: str, new: str, lacks: str) -> None:
    assert RECORD.count(old) == 1
    assert any(lacks in word for word in lacks_of_record(RECORD.replace(old, new)))


def service(**selector: str) -> dict[str, Any]:
    return {"kind": "Service", "spec": {"selector": {"app": "churn", **selector}}}


def deployment(version: str, replicas: int | None, **labels: str) -> dict[str, Any]:
    template = {"metadata": {"labels": {"app": "churn", "version": version, **labels}}}
    return {"kind": "Deployment", "spec": {"template": template} | ({} if replicas is None else {"replicas": replicas})}


@pytest.mark.parametrize(
    ("objects", "share"),
    [
        ([service(), deployment("1.3", 1), deployment("1.1", 4)], 0.2),
        ([service(colour="green"), deployment("1.3", 4), deployment("1.1", 4, colour="green")], 0.0),
        ([service(), deployment("1.3", None)], 1.0),
        ([service(), deployment("1.3", 0), deployment("1.1", 0)], 0.0),
        ([deployment("1.3", 4)], 0.0),
        ([], 0.0),
    ],
)
def test_the_share_of_a_version_is_that_of_its_pods_behind_the_service(
    objects: list[dict[str, Any]], share: float
) -> None:
    assert _share(objects, "1.3") == pytest.approx(share)


def test_a_need_without_a_feature_view_is_found() -> None:
    needs = {"kind": "Deployment", "metadata": {"annotations": {"features.course.local/needs": "a.x  a.y"}}}
    view = {"kind": "FeatureView", "metadata": {"name": "a"}, "spec": {"features": [{"name": "x"}]}}
    assert _unprovided([needs, view]) == ["a.y"]
    assert _unprovided([needs]) == ["a.x", "a.y"]
    assert _unprovided([view]) == []
