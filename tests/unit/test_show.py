"""Pictures: well-formed, with a text twin that has the same facts, and nothing that leaves its box."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from iaclab.errors import LabError
from iaclab.show import Picture, draw_nodes, draw_tree, file, nodes
from iaclab.show.picture import cut, width_of

Object = dict[str, Any]
SVG = "{http://www.w3.org/2000/svg}"
LONG = "a-name-that-somebody-found-good-and-that-is-far-too-long-for-any-box-7c9f8b6d5-abcde"


def node(name: str, pool: str = "cpu", gpus: int = 0, **status: Any) -> Object:
    size = {"cpu": "16", "memory": "64Gi", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    labels = {"node.course.local/pool": pool} | ({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"} if gpus else {})
    return {"metadata": {"name": name, "labels": labels}, "spec": {}, "status": {"capacity": size, **status}}


def pod(name: str, on: str | None = None, gpus: int = 0, phase: str = "Running") -> Object:
    limits = {"nvidia.com/gpu": str(gpus)} if gpus else {}
    spec = {"nodeName": on, "containers": [{"name": "main", "resources": {"limits": limits}}]}
    return {"metadata": {"namespace": "ml", "name": name}, "spec": spec, "status": {"phase": phase}}


def resource(kind: str, name: str, uid: str = "", parent: str = "", health: str = "") -> Object:
    made: Object = {"group": "", "version": "v1", "kind": kind, "namespace": "ml", "name": name}
    return (
        made
        | ({"uid": uid} if uid else {})
        | ({"parentRefs": [{"uid": parent}]} if parent else {})
        | ({"health": {"status": health}} if health else {})
    )


def application(sync: str = "Synced", health: str = "Healthy", **resources: str) -> Object:
    managed = [{"kind": k, "namespace": "ml", "name": "api", "status": s} for k, s in resources.items()]
    status = {"sync": {"status": sync}, "health": {"status": health}, "resources": managed}
    return {"metadata": {"name": "fraud"}, "status": status}


CLUSTER = draw_nodes(
    [node("gpu-1", "gpu-a100", 8), node("cpu-1"), node(LONG, LONG, 20)],
    [
        pod("train", "gpu-1", 2),
        pod(LONG, "gpu-1", 1),
        pod("done", "gpu-1", 4, "Succeeded"),
        *[pod(f"worker-{n}", "cpu-1") for n in range(6)],
        pod("too-large", None, 16, "Pending"),
    ],
)
TREE = draw_tree(
    application("OutOfSync", "Progressing", Deployment="OutOfSync", Service="Synced"),
    {
        "nodes": [
            resource("Deployment", "api", "d", health="Progressing"),
            resource("ReplicaSet", "api-1", "r", "d", "Healthy"),
            resource("Pod", "api-1-x", "p1", "r", "Healthy"),
            resource("Pod", LONG, "p2", "r", "Degraded"),
            resource("Service", "api", "s", health="Healthy"),
            resource("EndpointSlice", "api-z", "e", "s"),
            resource("ConfigMap", "in-git-only", health="Missing"),
        ]
    },
)
PICTURES = pytest.mark.parametrize("picture", [CLUSTER, TREE], ids=["nodes", "tree"])


def texts(picture: Picture) -> Iterator[tuple[ET.Element, str]]:
    """Every text of a picture with what is shown of it (a title in it is a tooltip)."""
    for element in ET.fromstring(picture.svg()).iter(f"{SVG}text"):
        title = element.find(f"{SVG}title")
        yield element, str(element.text if title is None else title.tail)


def boxes(picture: Picture) -> list[tuple[float, float, float, float]]:
    """Left, top, right and bottom of every box."""
    found = []
    for rect in ET.fromstring(picture.svg()).iter(f"{SVG}rect"):
        x, y, w, h = (float(rect.attrib[key]) for key in ("x", "y", "width", "height"))
        found.append((x, y, x + w, y + h))
    return found


# --- for every picture -----------------------------------------------------------------------------------


@PICTURES
def test_a_picture_is_well_formed_and_says_what_it_is(picture: Picture) -> None:
    svg = ET.fromstring(picture.svg())
    title, desc = svg.find(f"{SVG}title"), svg.find(f"{SVG}desc")
    assert svg.attrib["role"] == "img"
    assert title is not None and title.text == picture.title
    assert desc is not None and desc.text == picture.text
    assert svg.attrib["aria-labelledby"] == title.attrib["id"]
    assert svg.attrib["aria-describedby"] == desc.attrib["id"]
    assert picture._repr_mimebundle_() == {"text/html": picture.svg(), "text/plain": picture.text}


@PICTURES
def test_lines_and_letters_have_the_colour_of_the_theme(picture: Picture) -> None:
    svg = ET.fromstring(picture.svg())
    assert svg.attrib["fill"] == "currentColor"
    assert {e.attrib["stroke"] for e in svg.iter() if "stroke" in e.attrib} == {"currentColor"}
    assert not [e for e, _ in texts(picture) if "fill" in e.attrib]


@PICTURES
def test_everything_lies_inside_the_picture_and_boxes_do_not_cross(picture: Picture) -> None:
    all_boxes = boxes(picture)
    assert all(x >= 0 and y >= 0 and r <= picture.width and b <= picture.height for x, y, r, b in all_boxes)
    for x, y, r, b in all_boxes:
        for x2, y2, r2, b2 in all_boxes:
            apart = r <= x2 or r2 <= x or b <= y2 or b2 <= y
            inside = (x <= x2 and r2 <= r and y <= y2 and b2 <= b) or (x2 <= x and r <= r2 and y2 <= y and b <= b2)
            assert apart or inside, "two boxes cross"


@PICTURES
def test_no_text_leaves_its_box(picture: Picture) -> None:
    for element, shown in texts(picture):
        x, y, size = (float(element.attrib[key]) for key in ("x", "y", "font-size"))
        right = x + width_of(shown, size, "font-weight" in element.attrib)
        around = [box for box in boxes(picture) if box[0] <= x <= box[2] and box[1] <= y <= box[3]]
        room = min((box[2] for box in around), default=picture.width)
        floor = min((box[3] for box in around), default=picture.height)
        assert right <= room, f"{shown!r} is too wide"
        assert y + size / 4 <= floor, f"{shown!r} sinks through the bottom"


@PICTURES
def test_a_name_that_is_cut_keeps_its_end_and_is_told_on_hovering(picture: Picture) -> None:
    shortened = [(element.findtext(f"{SVG}title") or "", shown) for element, shown in texts(picture) if "…" in shown]
    assert shortened
    for whole, shown in shortened:
        start, end = shown.split("…")
        assert whole.startswith(start)
        assert whole.endswith(end)


def test_what_fits_is_not_cut() -> None:
    assert cut("fraud-api-7c9f8b6d5-abcde", 220, 12, bold=True) == "fraud-api-7c9f8b6d5-abcde"
    assert cut(LONG, 100, 12) != LONG
    assert width_of(cut(LONG, 100, 12), 12) <= 100


def test_what_comes_from_a_cluster_is_escaped() -> None:
    svg = draw_nodes([node('<b>&"')], []).svg()
    assert "<b>" not in svg
    assert ET.fromstring(svg) is not None


# --- nodes -----------------------------------------------------------------------------------------------


def test_the_nodes_picture_and_its_text_have_the_same_facts() -> None:
    assert CLUSTER.text.splitlines() == [
        "3 nodes",
        f"{LONG}: pool {LONG} · 16 CPU · 64Gi · NVIDIA-A100-SXM4-80GB; GPUs in use 0 of 20; pods: none",
        "cpu-1: pool cpu · 16 CPU · 64Gi; pods: ml/worker-0, ml/worker-1, ml/worker-2, ml/worker-3, and 2 more",
        "gpu-1: pool gpu-a100 · 16 CPU · 64Gi · NVIDIA-A100-SXM4-80GB; GPUs in use 3 of 8; "
        f"pods: ml/train (2 GPUs), ml/{LONG} (1 GPU)",
        "waiting for a node: too-large",
    ]
    drawn = [shown for _, shown in texts(CLUSTER)]
    assert drawn.count("GPU in use") == 3
    assert drawn.count("GPU free") == 20 + 8 - 3
    for word in ("3 nodes", "cpu-1", "gpu-1", "▸ ml/worker-3", "and 2 more", "▸ ml/train (2 GPUs)"):
        assert word in drawn
    assert "waiting for a node: too-large" in drawn


@pytest.mark.parametrize(("gpus", "rows"), [(0, 0), (1, 1), (8, 1), (9, 2), (16, 2), (20, 3)])
def test_gpus_stand_in_rows_of_eight(gpus: int, rows: int) -> None:
    squares = [box for box in boxes(draw_nodes([node("n", gpus=gpus)], [])) if box[2] - box[0] < 100]
    assert len(squares) == gpus
    assert len({top for _, top, _, _ in squares}) == rows


def test_a_node_that_takes_no_pods_says_so() -> None:
    lost = node("lost", conditions=[{"type": "Ready", "status": "Unknown"}])
    closed = node("closed")
    closed["spec"]["unschedulable"] = True
    text = draw_nodes([lost, closed], []).text
    assert "lost: pool cpu · 16 CPU · 64Gi · not ready" in text
    assert "closed: pool cpu · 16 CPU · 64Gi · cordoned" in text


def test_a_cluster_of_another_make_is_drawn_too() -> None:
    foreign: Object = {
        "metadata": {"name": "ip-10-0-1-2", "labels": {"eks.amazonaws.com/nodegroup": "inference"}},
        "spec": {},
        "status": {"capacity": {"cpu": "4", "memory": "16374516Ki"}},
    }
    assert "pool inference · 4 CPU · 16Gi" in draw_nodes([foreign], []).text
    assert draw_nodes([], []).text == "0 nodes"


def test_a_cluster_that_does_not_answer_is_said_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="kubectl is not on PATH"):
        nodes()
    kubectl = tmp_path / "kubectl"
    kubectl.write_text("#!/bin/sh\necho 'The connection to the server was refused' >&2\nexit 1\n")
    kubectl.chmod(0o700)
    with pytest.raises(LabError, match="connection to the server was refused"):
        nodes()


# --- the tree --------------------------------------------------------------------------------------------


def test_the_tree_and_its_text_have_the_same_facts() -> None:
    assert TREE.text.splitlines() == [
        "Application fraud OutOfSync Progressing",
        "  ConfigMap in-git-only Missing",
        "  Deployment api OutOfSync Progressing",
        "    ReplicaSet api-1 Healthy",
        f"      Pod {LONG} Degraded",
        "      Pod api-1-x Healthy",
        "  Service api Synced Healthy",
        "    EndpointSlice api-z",
    ]
    assert len(boxes(TREE)) == 8
    drawn = [shown for _, shown in texts(TREE)]
    for words in ("≠ OutOfSync · ◌ Progressing", "✔ Synced · ♥ Healthy", "✖ Degraded", "∅ Missing", "EndpointSlice"):
        assert words in drawn


def test_health_and_sync_are_told_by_words_not_by_colour_alone() -> None:
    for health in ("Healthy", "Progressing", "Degraded", "Suspended", "Missing"):
        assert any(health in shown for _, shown in texts(draw_tree(application(health=health), {})))
    unknown = [shown for _, shown in texts(draw_tree(application("Unknown", "Unknown"), {}))]
    assert "? sync unknown · ? health unknown" in unknown


@pytest.mark.parametrize("tree", [{}, {"nodes": None}, {"nodes": []}])
def test_an_application_without_resources_is_a_tree_of_one(tree: Object) -> None:
    assert draw_tree({"metadata": {"name": "new"}}, tree).text == "Application new sync unknown health unknown"


def test_a_resource_whose_parent_is_unknown_hangs_on_the_application() -> None:
    text = draw_tree(application(), {"nodes": [resource("Pod", "lost", "p", "never-seen")]}).text
    assert text.splitlines()[1] == "  Pod lost"


# --- a part of a file ------------------------------------------------------------------------------------

YAML = """\
kind: Application
metadata:
  annotations: {argocd.argoproj.io/sync-wave: "2"}
spec:
  containers:
    - {image: "a:1"}
  syncPolicy: {automated: {prune: true}}
---
second: document
"""


@pytest.fixture
def app_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.yaml").write_text(YAML)
    return "app.yaml"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("spec.syncPolicy", "automated:\n  prune: true"),
        ("spec.syncPolicy.automated.prune", "true"),
        ("spec.containers[0].image", "a:1"),
        ('metadata.annotations["argocd.argoproj.io/sync-wave"]', "2"),
    ],
)
def test_a_part_is_shown_by_its_path(app_yaml: str, path: str, text: str) -> None:
    part = file(app_yaml, path)
    assert str(part) == f"app.yaml → {path}\n{text}"
    assert text in part._repr_html_()


def test_a_file_with_several_documents_is_counted_from_zero(app_yaml: str) -> None:
    assert file(app_yaml, document=1).text == "second: document"
    with pytest.raises(LabError, match="It has 2"):
        file(app_yaml, document=2)


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("spec.syncPolciy", "Before 'syncPolciy' there is a table with containers, syncPolicy."),
        ("spec.containers[3]", "Before '3' there is a list of 1."),
        ("spec.containers.image", "Before 'image' there is a list of 1."),
        ("kind.name", "Before 'name' there is the value 'Application'."),
    ],
)
def test_a_path_that_leads_nowhere_says_what_is_there(app_yaml: str, path: str, why: str) -> None:
    with pytest.raises(LabError) as error:
        file(app_yaml, path)
    assert error.value.why == why


def test_a_file_that_is_not_there_or_not_yaml_is_said(app_yaml: str, tmp_path: Path) -> None:
    with pytest.raises(LabError, match=r"Here are: app\.yaml"):
        file("ap.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name in ("broken.yaml", "binary.yaml", str(tmp_path)):
        with pytest.raises(LabError, match="cannot be read as YAML"):
            file(name)


def test_show_needs_no_notebook() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import iaclab; print(iaclab.show.draw_nodes([], []))"], text=True, capture_output=True
    )
    assert done.stdout == "0 nodes\n", done.stderr
