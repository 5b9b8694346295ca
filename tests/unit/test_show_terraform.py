"""Terraform's pictures, from real plans and graphs of small configurations (plans/)."""

from __future__ import annotations

import json
import shutil
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from test_show import boxes, texts

from iaclab.errors import LabError
from iaclab.show import Picture, draw_graph, draw_plan, terraform_graph, terraform_plan

PLANS = Path(__file__).parent / "plans"
EVERY_CHANGE: dict[str, Any] = json.loads((PLANS / "every-change.json").read_text())
DRIFT: dict[str, Any] = json.loads((PLANS / "drift.json").read_text())
MODULES = (PLANS / "modules.dot").read_text()
needs_terraform = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on PATH")


def graph(*edges: str) -> str:
    """What `terraform graph` prints for edges like `a.x -> b.y` between resources of modules."""
    names = {name for edge in edges for name in edge.split(" -> ")}
    address = {n: f"module.{n.split('.')[0]}.terraform_data.{n.split('.')[1]}" for n in names}
    lines = [f'  "{address[n]}" [label="terraform_data"];' for n in sorted(names)]
    lines += ['  "{}" -> "{}";'.format(*(address[n] for n in edge.split(" -> "))) for edge in edges if "->" in edge]
    return "digraph G {\n" + "\n".join(lines) + "\n}\n"


def left(picture: Picture, name: str) -> float:
    """Where the box with that heading begins."""
    return next(float(element.attrib["x"]) for element, shown in texts(picture) if shown == name)


@pytest.mark.parametrize("picture", [draw_graph(MODULES), draw_plan(EVERY_CHANGE), draw_plan(DRIFT)])
def test_everything_lies_inside_and_says_the_same_as_the_text(picture: Picture) -> None:
    svg = ET.fromstring(picture.svg())
    assert svg.findtext("{http://www.w3.org/2000/svg}desc") == picture.text
    for x, y, right, bottom in boxes(picture):
        assert x >= 0 and y >= 0 and right <= picture.width and bottom <= picture.height
    for element, shown in texts(picture):
        assert float(element.attrib["y"]) <= picture.height, shown
        assert element.find("{http://www.w3.org/2000/svg}title") is not None or shown.split()[-1] in picture.text


# --- the graph -------------------------------------------------------------------------------------------


def test_the_graph_groups_resources_by_module_in_the_order_in_which_they_are_made() -> None:
    assert draw_graph(MODULES).text.splitlines() == [
        "network: terraform_data.subnet",
        "pool (after network): terraform_data.machines",
        "root module (after pool): terraform_data.bucket, terraform_data.let_go, terraform_data.old, "
        "terraform_data.queue, terraform_data.registry",
    ]


def test_a_module_stands_right_of_what_it_waits_for_and_near_what_waits_for_it() -> None:
    picture = draw_graph(
        graph("network.a", "pool.b -> network.a", "team.c", "serving.d -> pool.b", "serving.d -> team.c")
    )
    assert left(picture, "network") < left(picture, "pool") == left(picture, "team") < left(picture, "serving")


def test_a_line_that_others_imply_is_left_out() -> None:
    text = draw_graph(graph("pool.b -> network.a", "serving.c -> pool.b", "serving.c -> network.a")).text
    assert "serving (after pool): " in text


def test_modules_inside_modules_keep_their_path() -> None:
    dot = '"module.platform.module.storage.aws_s3_bucket.this" [label="aws_s3_bucket.this"];'
    assert draw_graph(dot).text == "platform.storage: aws_s3_bucket.this"


def test_modules_that_wait_for_each_other_are_drawn_all_the_same() -> None:
    text = draw_graph(graph("a.x -> b.x", "b.y -> a.y")).text
    assert {line.split(" ")[0].strip(":") for line in text.splitlines()} == {"a", "b"}
    assert text.count("(after ") == 1


def test_fifty_modules_in_a_lattice_are_drawn_at_once() -> None:
    edges = [f"m{n}.x -> m{k}.x" for n in range(50) for k in range(n)]
    assert len(draw_graph(graph(*edges)).text.splitlines()) == 50


def test_a_configuration_without_resources_says_so() -> None:
    assert draw_graph("digraph G {\n}\n").text == "no resources"


# --- the plan --------------------------------------------------------------------------------------------


def test_a_plan_is_told_by_what_happens_to_each_resource() -> None:
    assert draw_plan(EVERY_CHANGE).text.splitlines() == [
        "Plan: 1 added, 2 changed, 1 replaced, 1 destroyed, 1 forgotten, 1 moved, 1 imported",
        "  + added terraform_data.added",
        '  ~ changed terraform_data.bucket: input "models" → "datasets"',
        '  ~ changed terraform_data.registry: input {"pool": 2} → (known after apply)',
        "  ± replaced module.pool.terraform_data.machines: triggers_replace (sensitive) → (sensitive) forces it",
        "  − destroyed terraform_data.queue[1]: its number is no longer in count",
        "  ∅ forgotten terraform_data.let_go: it is no longer in the configuration",
        "  → moved terraform_data.new: was terraform_data.old",
        "  ↓ imported terraform_data.adopted: id abc",
    ]


def test_what_was_changed_outside_is_told_before_the_plan_with_the_attributes_of_the_configuration_first() -> None:
    assert draw_plan(DRIFT).text.splitlines() == [
        "Changed outside Terraform",
        '  ~ changed mlplatform_gpu_node_pool.sweep: labels {"capacity": "spot"} → {"capacity": "on-demand"}; '
        "node_count 3 → 2; hourly_cost 4.8 → 3.2; and 2 more",
        "Plan: 1 changed",
        '  ~ changed mlplatform_gpu_node_pool.sweep: labels {"capacity": "on-demand"} → {"capacity": "spot"}; '
        "node_count 2 → 3; hourly_cost 3.2 → 4.8; and 2 more",
    ]


def test_a_sensitive_value_is_in_no_picture() -> None:
    assert '"second"' in json.dumps(EVERY_CHANGE)
    assert "second" not in draw_plan(EVERY_CHANGE).svg()


@pytest.mark.parametrize("plan", [{}, {"resource_changes": []}, {"resource_changes": None}])
def test_a_plan_with_nothing_to_do_says_so(plan: dict[str, Any]) -> None:
    assert draw_plan(plan).text == "Plan: no changes"


# --- asking terraform ------------------------------------------------------------------------------------


@needs_terraform
def test_a_folder_is_asked_with_terraform_itself(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text('resource "terraform_data" "one" { input = 1 }\n')
    for command in ("init", "plan -out=plan"):
        subprocess.run(["terraform", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    assert terraform_graph(str(tmp_path)).text == "root module: terraform_data.one"
    assert terraform_plan("plan", str(tmp_path)).text == "Plan: 1 added\n  + added terraform_data.one"


@needs_terraform
def test_what_terraform_refuses_is_said_with_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(LabError, match="Failed to read the given file"):
        terraform_plan("never-made", str(tmp_path))
    with pytest.raises(LabError, match="There is no folder"):
        terraform_graph(str(tmp_path / "nowhere"))


def test_without_terraform_the_mend_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="terraform is not on PATH"):
        terraform_graph(str(tmp_path))
