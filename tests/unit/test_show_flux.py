"""The picture of a Kustomization: well-formed, its text twin has the same facts, and states are kstatus's."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from iaclab.show import draw_flux
from iaclab.show.flux import Branch, _inventory, _state

SVG = "{http://www.w3.org/2000/svg}"
TREE = Branch(
    "GitRepository",
    "fleet",
    "Ready",
    "main@sha1:1a2b3c4",
    [
        Branch(
            "Kustomization",
            "flux-system",
            "Ready",
            "main@sha1:1a2b3c4",
            [
                Branch("Kustomization", "fraud", "Failed", "", [Branch("Deployment", "fraud", "InProgress", "fraud")]),
                Branch("ConfigMap", "settings", "NotFound", "fraud"),
            ],
        )
    ],
)


def item(kind: str, spec: dict[str, Any] | None = None, **status: Any) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": 2}, "spec": spec or {}, "status": status}


def condition(kind: str, word: str) -> list[dict[str, str]]:
    return [{"type": kind, "status": word}]


def test_the_picture_is_well_formed_and_its_text_has_every_box() -> None:
    picture = draw_flux(TREE)
    drawing = ET.fromstring(picture.svg())
    assert len(list(drawing.iter(f"{SVG}rect"))) == 5
    lines = str(picture).splitlines()
    assert lines[0] == "GitRepository fleet Ready main@sha1:1a2b3c4"
    assert "      Deployment fraud InProgress fraud" in lines


def test_every_box_lies_within_the_picture() -> None:
    picture = draw_flux(TREE)
    for box in ET.fromstring(picture.svg()).iter(f"{SVG}rect"):
        assert float(box.get("x", 0)) + float(box.get("width", 0)) <= picture.width
        assert float(box.get("y", 0)) + float(box.get("height", 0)) <= picture.height


def test_an_inventory_tells_cluster_wide_objects_and_names_with_colons() -> None:
    entries = [
        {"id": "_fraud__Namespace", "v": "v1"},
        {"id": "fraud_api_apps_Deployment", "v": "v1"},
        {"id": "_system__node_rbac.authorization.k8s.io_ClusterRole", "v": "v1"},
    ]
    assert list(_inventory({"inventory": {"entries": entries}})) == [
        ("", "fraud", "", "Namespace", "v1"),
        ("fraud", "api", "apps", "Deployment", "v1"),
        ("", "system:node", "rbac.authorization.k8s.io", "ClusterRole", "v1"),
    ]


@pytest.mark.parametrize(
    ("seen", "state"),
    [
        (None, "NotFound"),
        ({"kind": "Pod", "metadata": {"deletionTimestamp": "now"}}, "Terminating"),
        (item("Deployment", {"replicas": 2}, availableReplicas=2, observedGeneration=2), "Current"),
        (item("Deployment", {"replicas": 2}, availableReplicas=2, observedGeneration=1), "InProgress"),
        (item("Deployment", {"replicas": 2}, availableReplicas=1), "InProgress"),
        (item("Job", conditions=condition("Complete", "True")), "Current"),
        (item("Job", conditions=condition("Failed", "True")), "Failed"),
        (item("Job"), "InProgress"),
        (item("Rollout", observedGeneration="2", phase="Degraded"), "Failed"),
        (item("Rollout", observedGeneration="1", phase="Healthy"), "InProgress"),
        (item("HelmRelease", conditions=condition("Ready", "False")), "InProgress"),
        (item("ConfigMap"), "Current"),
    ],
)
def test_an_objects_state(seen: dict[str, Any] | None, state: str) -> None:
    assert _state(seen) == state
