"""Policies of the course's Terraform Enterprise, evaluated for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from iaclab.tfe import policy

HEAD = "# METADATA\n# title: No secrets\n# custom:\n#   enforcement_level: {level}\npackage terraform.policies.p\n\n"
DENY = 'deny contains "no" if input.plan.bad\n'
PLAN = {"plan": {"bad": True}}


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / f"{name}.rego"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("level", "status"), [("hard-mandatory", "hard_failed"), ("soft-mandatory", "soft_failed"), ("advisory", "passed")]
)
def test_the_level_decides_what_a_denial_means(tmp_path: Path, level: str, status: str) -> None:
    write(tmp_path, "p", HEAD.format(level=level) + DENY)
    outcome = policy.check(tmp_path, PLAN)
    assert outcome.status == status
    assert outcome.result["total-failed"] == 1
    assert outcome.result["result"] == (status == "passed")
    assert f"p ({level})\nNo secrets\nResult: false\n  - no" in outcome.log
    assert policy.check(tmp_path, {"plan": {"bad": False}}).status == "passed"


def test_the_strictest_denial_wins(tmp_path: Path) -> None:
    for level in policy.LEVELS:
        write(tmp_path, level, HEAD.format(level=level) + DENY)
    assert policy.check(tmp_path, PLAN).status == "hard_failed"


def test_a_policy_without_a_level_is_advisory(tmp_path: Path) -> None:
    assert policy.evaluate(write(tmp_path, "p", "package p\n\n" + DENY), PLAN).level == "advisory"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD.format(level="mandatory") + DENY, "none of hard-mandatory"),
        ("# METADATA\n# custom: [\npackage p\n" + DENY, "not YAML"),
        (DENY, "no package"),
        ("package p\n\nallow := true\n", "no rule `deny`"),
        ("package p\n\ndeny := true\n", "no rule `deny`"),
        ("package p\n\ndeny contains m if { foo(", "unclosed"),
    ],
)
def test_a_wrong_policy_is_an_error_never_a_pass(tmp_path: Path, text: str, why: str) -> None:
    verdict = policy.evaluate(write(tmp_path, "p", text), PLAN)
    assert why in verdict.error
    assert not verdict.passed
    assert policy.check(tmp_path, PLAN).status == "errored"


def sentinel(folder: Path, level: str, text: str, name: str = "p") -> None:
    folder.mkdir(exist_ok=True)
    block = f'policy "{name}" {{\n  source = "./{name}.sentinel"\n  enforcement_level = "{level}"\n}}\n'
    with (folder / "sentinel.hcl").open("a") as file:
        file.write(block)
    (folder / f"{name}.sentinel").write_text(text)


GOOD = 'import "tfplan/v2" as tfplan\nmain = rule { tfplan.raw.bad is false }\n'


@pytest.mark.parametrize(
    ("level", "status"), [("hard-mandatory", "hard_failed"), ("soft-mandatory", "soft_failed"), ("advisory", "passed")]
)
def test_sentinels_level_decides_what_false_and_undefined_mean(tmp_path: Path, level: str, status: str) -> None:
    sentinel(tmp_path, level, GOOD)
    assert policy.check(tmp_path, {"plan": {"bad": False}, "run": {}}).status == "passed"
    for plan in ({"bad": True}, {}):
        outcome = policy.check(tmp_path, {"plan": plan, "run": {}})
        assert outcome.status == status
        assert outcome.result["total-failed"] == 1
        found = outcome.result["sentinel"]["data"]["policies"]["policies"][0]
        assert (found["result"], found["allowed-failure"]) == (False, level == "advisory")
        assert f"Policy 1: p ({level})" in outcome.log and 'Rule "main"' in outcome.log
    assert "undefined since p.sentinel:2:15" in outcome.log


def test_sets_and_rego_are_counted_together(tmp_path: Path) -> None:
    write(tmp_path, "r", HEAD.format(level="advisory") + DENY)
    sentinel(tmp_path / "one", "soft-mandatory", "main = false", "a")
    sentinel(tmp_path / "one", "hard-mandatory", "main = true", "b")
    sentinel(tmp_path / "two", "advisory", 'import "tfrun"\nmain = tfrun.id is "run-1"', "c")
    outcome = policy.check(tmp_path, PLAN | {"run": {"id": "run-1"}})
    assert outcome.status == "soft_failed"
    counts = {k: outcome.result[k] for k in ("passed", "soft-failed", "advisory-failed", "hard-failed")}
    assert counts == {"passed": 2, "soft-failed": 1, "advisory-failed": 1, "hard-failed": 0}
    assert outcome.result["sentinel"]["data"]["one"]["can-override"]
    assert "Policies evaluated (Rego): 1" in outcome.log and "3 policies evaluated." in outcome.log
    assert "one/a (soft-mandatory)" in outcome.log and "two/c (advisory)" in outcome.log


@pytest.mark.parametrize(
    ("hcl", "text", "why"),
    [
        (None, "main = true", "no sentinel.hcl names them"),
        ("", "main = true", "names no policy"),
        ('policy "p" {', "main = true", "a brace is not closed"),
        ('policy "p" {\n  enforcement_level = "must"\n}\n', "main = true", "none of hard-mandatory"),
        ('policy "p" {\n}\n', "main = rule { 1 is }", "p.sentinel:1:20: unexpected }"),
        ('policy "other" {\n}\n', "main = true", "other.sentinel: No such file"),
        ('policy "p" {\n}\n', "xs = []\nfor range(900000) as i { append(xs, range(999999)) }\nmain = true", "memory"),
        ('policy "p" {\n}\n', "for range(900000) as i { for range(900000) as k { x = 1 } }\nmain = true", "stopped"),
    ],
)
def test_a_wrong_sentinel_set_is_an_error_never_a_pass(tmp_path: Path, hcl: str | None, text: str, why: str) -> None:
    if hcl is not None:
        (tmp_path / "sentinel.hcl").write_text(hcl)
    (tmp_path / "p.sentinel").write_text(text)
    outcome = policy.check(tmp_path, {"plan": {}, "run": {}})
    assert (outcome.status, outcome.result["result"]) == ("errored", False)
    assert why in outcome.log


def test_a_policys_own_tests_are_no_policies(tmp_path: Path) -> None:
    write(tmp_path, "p_test", "package p_test\n\ntest_p if true\n")
    assert policy.policies(tmp_path) == []


def test_a_policy_that_cannot_be_read_is_an_error_and_the_run_hears_of_it(tmp_path: Path) -> None:
    (tmp_path / "latin.rego").write_bytes(f"package p\n# träge\n{DENY}".encode("latin-1"))
    (tmp_path / "folder.rego").mkdir()
    outcome = policy.check(tmp_path, PLAN)
    assert outcome.status == "errored"
    assert "latin.rego cannot be read" in outcome.log and "folder.rego cannot be read" in outcome.log
