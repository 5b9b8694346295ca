"""The check of "try it yourself" sees through policies that only look right."""

from __future__ import annotations

from pathlib import Path

import pytest

from iaclab.checks import sentinel
from iaclab.platform.profile import Profile

CHECK = sentinel.CHECKS["zones"]
CHANGED = """import "tfplan/v2" as tfplan

pools = filter tfplan.resource_changes as _, rc {
	rc.type is "mlplatform_gpu_node_pool" and
		(rc.change.actions contains "create" or rc.change.actions contains "update")
}
"""
RULE = "pool.change.after.node_count is 1 or length(pool.change.after.zones) >= 2"
RIGHT = f"{CHANGED}main = rule {{ all pools as _, pool {{ {RULE} }} }}\n"


def seen(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> tuple[bool, str]:
    monkeypatch.chdir(folder)
    (folder / "sentinel" / "policies").mkdir(parents=True, exist_ok=True)
    (folder / "sentinel" / "policies" / "zones.sentinel").write_text(text)
    result = CHECK.run(Profile("none", folder / "state"))
    return result.passed, result.seen


def test_the_solution_passes_and_so_do_other_ways_to_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seen(tmp_path, monkeypatch, RIGHT)[0]
    other = f"{CHANGED}bad = filter pools as _, pool {{ not ({RULE}) }}\nmain = rule {{ bad is empty }}\n"
    assert seen(tmp_path, monkeypatch, other)[0]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("main = true", "4 nodes in 1 zone: passes"),
        ("main = false", "2 nodes in 2 zones: is refused"),
        (RIGHT.replace("all", "any"), "a good and a bad pool: passes"),
        (RIGHT.replace("node_count is 1 or", "node_count is 0 or"), "1 node in 1 zone: is refused"),
        (RIGHT.replace('contains "update"', 'contains "read"'), "a bad update: passes"),
        (RIGHT.replace(' and\n\t\t(rc.change.actions contains "create" or rc.change.actions contains "update")', ""),
         "a pool that goes: undefined"),
        (RIGHT.replace("after.zones", "after.zone"), "2 nodes in 2 zones: undefined"),
        (RIGHT.replace('rc.type is "mlplatform_gpu_node_pool" and', ""), "no pool: is refused"),
        ("main = rule { 1 is }", "zones.sentinel:1:20: unexpected }"),
    ],
)  # fmt: skip
def test_a_policy_that_only_looks_right_does_not_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, says: str
) -> None:
    passed, said = seen(tmp_path, monkeypatch, text)
    assert not passed
    assert says in said


def test_without_a_policy_the_check_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = CHECK.run(Profile("none", tmp_path / "state"))
    assert not result.passed and "zones.sentinel: No such file" in result.seen
