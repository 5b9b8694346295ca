"""`sentinel apply` and `sentinel test`: configuration, mocks, what is printed, and the exit codes."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from iaclab.platform.profile import Profile
from iaclab.platform.services import sentinel as service
from iaclab.sentinel import config, hcl, mocks, policy, policy_set, terraform
from iaclab.sentinel.command import main
from iaclab.sentinel.errors import SentinelError, Source

PLANS = Path(__file__).parent / "plans"
GPUS = """import "tfplan/v2" as tfplan

param limit default 4

nodes = filter tfplan.resource_changes as _, rc {
	rc.type is "gpu_node" and rc.change.actions contains "create"
}

main = rule {
	all nodes as address, rc {
		rc.change.after.gpus <= limit or not print(address, "asks for", rc.change.after.gpus)
	}
}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy with two cases, that pass."""
    (tmp_path / "gpus.sentinel").write_text(GPUS)
    cases = tmp_path / "test" / "gpus"
    cases.mkdir(parents=True)
    for name, gpus, passes in (("pass", 4, "true"), ("fail", 8, "false")):
        change = {"n": {"type": "gpu_node", "change": {"actions": ["create"], "after": {"gpus": gpus}}}}
        (cases / f"mock-{name}.sentinel").write_text(f"resource_changes = {json.dumps(change)}\n")
        mock = f'mock "tfplan/v2" {{\n  module {{\n    source = "mock-{name}.sentinel"\n  }}\n}}\n'
        (cases / f"{name}.hcl").write_text(f"{mock}\ntest {{\n  rules = {{\n    main = {passes}\n  }}\n}}\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sentinel(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    try:
        code = main(arguments)
    except SystemExit as ended:
        code = int(ended.code or 0)
    seen = capsys.readouterr()
    return code, seen.out + seen.err


def test_cases_that_are_as_expected_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = sentinel(capsys, "test")
    assert (code, said) == (
        0,
        "PASS - gpus.sentinel\n  PASS - test/gpus/fail.hcl\n  PASS - test/gpus/pass.hcl\n",
    )
    assert sentinel(capsys, "test", "gpus.sentinel")[0] == sentinel(capsys, "test", str(folder))[0] == 0
    said = sentinel(capsys, "test", "-verbose")[1]
    assert "logs:\n      n asks for 8" in said and 'gpus.sentinel:9:1 - Rule "main"' in said


def test_a_case_that_is_not_as_expected_fails_with_its_trace(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "gpus.sentinel").write_text(GPUS.replace("<=", "<"))
    code, said = sentinel(capsys, "test")
    assert code == 1
    assert "FAIL - gpus.sentinel\n  PASS - test/gpus/fail.hcl\n  FAIL - test/gpus/pass.hcl\n" in said
    assert 'expected "main" to be true, got: false' in said
    assert "n asks for 4" in said


def test_undefined_is_neither_true_nor_false(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "gpus.sentinel").write_text(GPUS.replace("after.gpus <=", "after.gpu <="))
    code, said = sentinel(capsys, "test", "-run", "gpus/fail")
    assert code == 1
    assert 'expected "main" to be false, got: undefined' in said
    assert 'undefined since gpus.sentinel:11:3: there is no "gpu"' in said


def test_run_chooses_policies_and_cases(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "other.sentinel").write_text("main = true")
    assert "no test files - other.sentinel" in sentinel(capsys, "test")[1]
    assert sentinel(capsys, "test", "-run=gpus/pass") == (0, "PASS - gpus.sentinel\n  PASS - test/gpus/pass.hcl\n")
    code, said = sentinel(capsys, "test", "-run=nothing")
    assert code == 1 and "No test was run" in said
    assert sentinel(capsys, "test", "-run=(")[0] == 3


def test_other_rules_and_json_cases(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "day.sentinel").write_text(
        'param hour\nopen = rule { hour < 17 }\nweekday = rule { day not in ["sunday"] }\n'
        "main = rule { open and weekday }"
    )
    (folder / "test" / "day").mkdir()
    case = folder / "test" / "day" / "sunday.json"
    body = {"global": {"day": {"value": "sunday"}}, "param": {"hour": {"value": 9}}, "test": {"rules": {"main": False}}}
    case.write_text(json.dumps(body))
    assert sentinel(capsys, "test", "day.sentinel")[0] == 0
    body["test"] = {"rules": {"weekday": True, "open": True}}
    case.write_text(json.dumps(body))
    code, said = sentinel(capsys, "test", "day.sentinel")
    assert code == 1
    assert 'expected "weekday" to be true, got: false' in said and '"open"' not in said.split("trace:")[0]
    body["param"] = {"hour": 20}
    body["test"] = {"weekday": False}  # the older form
    case.write_text(json.dumps(body))
    code, said = sentinel(capsys, "test", "day.sentinel")
    assert code == 1 and "got: undefined" in said, "a rule that nothing asked for has no value"


def test_apply_ends_with_a_code_for_each_outcome(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, code, word in (
        ("main = true", 0, "Pass - p.sentinel"),
        ("main = rule { false }", 1, 'p.sentinel:1:1 - Rule "main"'),
        ("main = rule { {}.x is 1 }", 2, "undefined since p.sentinel:1:15"),
        ("main = rule { 1 is }", 3, "Error - p.sentinel"),
        ("main = false", 1, "main = false"),
    ):
        (folder / "p.sentinel").write_text(text)
        got, said = sentinel(capsys, "apply", "p.sentinel")
        assert got == code and word in said, said
    code, said = sentinel(capsys, "apply", "none.sentinel")
    assert code == 3 and "none.sentinel: No such file or directory" in said


def test_apply_on_a_real_plan(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = PLANS / "every-change.json"
    (folder / "sentinel.hcl").write_text(
        f'import "plugin" "tfplan/v2" {{\n  config = {{\n    plan_path = "{plan}"\n  }}\n}}\n'
        'policy "kept" {\n  source            = "./kept.sentinel"\n  enforcement_level = "hard-mandatory"\n'
        "  params = {\n    most = 1\n  }\n}\n"
    )
    (folder / "kept.sentinel").write_text(
        'import "tfplan/v2" as tfplan\nparam most\n'
        'gone = filter tfplan.resource_changes as _, rc { rc.change.actions contains "delete" }\n'
        "main = rule { length(gone) <= most or not print(keys(gone)) }\n"
    )
    code, said = sentinel(capsys, "apply")
    assert code == 1
    assert '["terraform_data.queue[1]", "module.pool.terraform_data.machines"]' in said
    code, said = sentinel(capsys, "apply", "-trace", "-param", "most=2", "kept.sentinel")
    assert code == 0 and "Pass - kept.sentinel" in said and 'Rule "main"' in said


def test_words_that_are_not_known(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = sentinel(capsys, "version")
    assert code == 0 and "a subset of the Sentinel language (not HashiCorp's sentinel)" in said
    code, said = sentinel(capsys, "fmt")
    assert code == 3 and "not part of this subset" in said
    assert sentinel(capsys, "bogus")[0] == 3
    assert sentinel(capsys, "apply") == (
        3, "no policy is named\nHint: sentinel apply POLICY, or policy blocks in sentinel.hcl\n"
    )  # fmt: skip


def test_modules_are_imported_and_bring_their_own_imports(folder: Path) -> None:
    (folder / "names.sentinel").write_text('import "strings"\nshort = func(n) { return strings.split(n, ".")[1] }')
    (folder / "p.sentinel").write_text('import "names"\nmain = names.short("a.b")')
    found = policy.run(folder / "p.sentinel", config.Config(modules={"names": folder / "names.sentinel"}))
    assert found.main == "b"
    (folder / "names.sentinel").write_text("short = func(n) {\n\treturn n.x\n}")
    found = policy.run(folder / "p.sentinel", config.Config(modules={"names": folder / "names.sentinel"}))
    assert str(found.error).startswith('names.sentinel:2:9: a string has no "x"')
    (folder / "names.sentinel").write_text('import "names"')
    found = policy.run(folder / "p.sentinel", config.Config(modules={"names": folder / "names.sentinel"}))
    assert "imports itself" in str(found.error)


# --- configuration ------------------------------------------------------------------------------------------


def test_hcl_is_read_as_its_json_form() -> None:
    text = """# comment
mock "tfplan/v2" { module { source = "a.sentinel" } }   // one line
param "zones" {
  value = ["a", "b",]
}
param "none" { value = null }
test {
  rules = {
    main = false, "other" : true
    third = [
      1, -2.5
    ]
  }
}
"""
    assert hcl.read(Source("t.hcl", text)) == {
        "mock": {"tfplan/v2": {"module": {"source": "a.sentinel"}}},
        "param": {"zones": {"value": ["a", "b"]}, "none": {"value": None}},
        "test": {"rules": {"main": False, "other": True, "third": [1, -2.5]}},
    }


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('policy "p" {', "a brace is not closed"),
        ('policy "p" {\n  source =\n}', "t.hcl:3:1: unexpected }"),
        ("param x {\n  value = var.y\n}", "t.hcl:2:14: unexpected ."),
        ("param x {\n  value = yes\n}", "t.hcl:2:11: yes is no value here"),
        ('policy "p" {\n  enforcement_level = "mandatory"\n}', "none of hard-mandatory"),
        ('polcy "p" {\n}', "polcy is not known here"),
        ('module "m" {\n  source = "https://example.com/m.sentinel"\n}', "not on this machine"),
        ('import "plugin" "time" {\n}', 'import "plugin" "time" is not known'),
        ("mock = 3", "has not the form"),
    ],
)
def test_a_configuration_that_is_wrong_says_where(tmp_path: Path, text: str, what: str) -> None:
    path = tmp_path / "t.hcl"
    path.write_text(text)
    with pytest.raises(SentinelError) as caught:
        config.load(path)
    assert what in str(caught.value)


# --- Terraform's documents ----------------------------------------------------------------------------------


@pytest.fixture
def plan() -> dict[str, Any]:
    return dict(json.loads((PLANS / "every-change.json").read_text()))


def test_terraforms_imports_are_flat_maps_by_address(plan: dict[str, Any]) -> None:
    found = terraform.imports(plan, {"id": "run-1"})
    changes = found["tfplan/v2"]["resource_changes"]
    assert len(changes) == len(plan["resource_changes"]) == 11
    assert changes["module.pool.terraform_data.machines"]["change"]["actions"] == ["delete", "create"]
    assert changes["terraform_data.queue[1]"]["index"] == 1 and changes["terraform_data.added"]["index"] is None
    planned = found["tfplan/v2"]["planned_values"]["resources"]
    assert planned['module.network.terraform_data.subnet["a"]']["module_address"] == "module.network"
    assert found["tfplan/v2"]["raw"]["format_version"] == "1.2"
    assert 'module.network.terraform_data.subnet["b"]' in found["tfstate/v2"]["resources"]
    assert set(found["tfconfig/v2"]["module_calls"]) == {"network", "pool"}
    assert found["tfconfig/v2"]["resources"]["module.pool.terraform_data.machines"]["module_address"] == "module.pool"
    assert found["tfrun"] == {"id": "run-1"}


def test_a_policy_cannot_change_what_another_one_sees(tmp_path: Path, plan: dict[str, Any]) -> None:
    (tmp_path / "sentinel.hcl").write_text('policy "a" {\n}\npolicy "b" {\n}\n')
    for name in "ab":
        text = 'import "tfplan/v2" as p\nmain = rule { length(p.resource_changes) is 11 }\nx = main\n'
        (tmp_path / f"{name}.sentinel").write_text(text + 'delete(p.resource_changes, "terraform_data.added")\n')
    before = json.dumps(plan)
    answers = policy_set.check(tmp_path, plan, {})
    assert [(a["policy"], a["result"], a["level"]) for a in answers] == [
        ("a", True, "advisory"),
        ("b", True, "advisory"),
    ]
    assert json.dumps(plan) == before


def test_mocks_of_a_real_plan_say_what_the_plan_says(tmp_path: Path, plan: dict[str, Any]) -> None:
    made = mocks.write(PLANS / "every-change.json", tmp_path)
    assert {p.name for p in made} == {f"mock-{n}-v2.sentinel" for n in ("tfplan", "tfconfig", "tfstate")}
    (tmp_path / "p.sentinel").write_text('import "tfplan/v2" as p\nmain = p')
    mocked = policy.run(tmp_path / "p.sentinel", config.Config(modules={"tfplan/v2": made[0]}))
    assert mocked.error is None
    assert dict(mocked.main.fields) == terraform.tfplan(plan)


def test_any_value_survives_a_mock(tmp_path: Path) -> None:
    chance = random.Random(3)

    def grow(depth: int) -> Any:
        kind = chance.randrange(7 if depth else 5)
        if kind < 5:
            text = "".join(chance.choice('a"\\\n\té${}#/ \x01') for _ in range(6))
            return [None, True, chance.randint(-99, 99), chance.random(), text][kind]
        items = [grow(depth - 1) for _ in range(chance.randrange(4))]
        return items if kind == 5 else {f"k {i}\\": item for i, item in enumerate(items)}

    path = tmp_path / "p.sentinel"
    for _ in range(60):
        expected = grow(4)
        path.write_text(f"main = {mocks._literal(expected)}")
        found = policy.run(path)
        assert found.error is None, f"{found.error}\n{path.read_text()}"
        assert found.main == expected


# --- the command on PATH ------------------------------------------------------------------------------------


def test_the_launcher_runs_ours_and_gives_way_to_a_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = Profile("sentinel-test", tmp_path / "state")
    (tmp_path / "csv.py").write_text("raise SystemExit(9)")
    monkeypatch.setenv("PATH", f"{profile.root / 'bin'}{os.pathsep}/usr/bin{os.pathsep}/bin")
    prepare = service.SERVICES[0].prepare
    assert prepare is not None
    prepare(profile)
    prepare(profile)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(["sentinel", "version"], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert "subset" in done.stdout, done.stderr
    assert service.SERVICES[0].ready(profile) is None
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "sentinel").write_text("#!/bin/sh\necho Sentinel v0.40.0\n")
    (theirs / "sentinel").chmod(0o755)
    monkeypatch.setenv("PATH", f"{os.environ['PATH']}{os.pathsep}{theirs}")
    prepare(profile)
    assert subprocess.run(["sentinel", "version"], capture_output=True, text=True).stdout == "Sentinel v0.40.0\n"
    assert service.SERVICES[0].ready(profile) is None
