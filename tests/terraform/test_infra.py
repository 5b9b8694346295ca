"""The EKS and GKE modules: form, lint, policy everywhere; validate and `terraform test` where providers can be had."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hcl2
import pytest

from iaclab import tools

INFRA = Path(__file__).resolve().parents[2] / "infra"
MODULES = sorted(path.parent.name for path in INFRA.glob("modules/*/main.tf"))
ROOTS = [f"modules/{name}" for name in MODULES] + sorted(
    str(path.parent.relative_to(INFRA)) for path in INFRA.glob("examples/*/main.tf")
)
MOTO = "examples/eks-moto"
PROVIDERS = {"modules/network-aws": "aws", "modules/network-gcp": "google"}  # one root for each provider
PATIENCE = 180  # seconds for one `init`: a plugin is up to 150 MB; a registry that is not there answers in five
UNREACHABLE = re.compile(r"Failed to query available provider packages|Failed to install provider|could not connect")
PLAIN = hcl2.SerializationOptions(strip_string_quotes=True, explicit_blocks=False, with_comments=False)


def run(*command: str | Path, cwd: Path = INFRA, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env={**os.environ, **(env or {})}, capture_output=True, text=True)


def passed(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{' '.join(map(str, done.args))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def terraform() -> Path:
    """Terraform, or OpenTofu where it is not here."""
    found = tools.find("terraform") or tools.find("tofu")
    return found.path if found else tools.ensure("tofu", quiet=True)["tofu"]


def tool(name: str) -> Path:
    return tools.ensure(name, quiet=True)[name]


def blocks(folder: str, kind: str) -> dict[str, dict[str, Any]]:
    """The blocks of one kind in a root or module, by label."""
    found = {}
    for path in sorted((INFRA / folder).glob("*.tf")):
        for block in hcl2.loads(path.read_text(), serialization_options=PLAIN).get(kind, []):
            found.update(block)
    return found


# ---- Form: the same for whatever the modules build


def test_every_module_and_example_is_found() -> None:
    assert {"network-aws", "eks-cluster", "eks-gpu", "network-gcp", "gke-cluster", "gke-gpu"} <= set(MODULES)
    assert {"examples/eks", "examples/eks-moto", "examples/gke"} <= set(ROOTS)


def test_every_file_is_formatted() -> None:
    passed(run(terraform(), "fmt", "-check", "-recursive", "-diff"))


@pytest.mark.parametrize("root", ROOTS)
def test_every_file_parses_and_lies_where_it_is_looked_for(root: str) -> None:
    folder = INFRA / root
    names = {path.name for path in folder.iterdir()}
    assert {"main.tf", "variables.tf", "outputs.tf", "versions.tf"} <= names
    tests = sorted(folder.glob("tests/*.tftest.hcl"))
    assert tests, f"{root} has no test"
    for path in [*folder.glob("*.tf"), *folder.glob("*.tfvars"), *tests]:
        assert hcl2.loads(path.read_text(), serialization_options=PLAIN), path


@pytest.mark.parametrize("root", ROOTS)
def test_every_variable_is_typed_and_described_and_every_output_too(root: str) -> None:
    for name, variable in blocks(root, "variable").items():
        assert variable.get("type") and variable.get("description"), f"{root}: variable {name}"
    for name, output in blocks(root, "output").items():
        assert output.get("description"), f"{root}: output {name}"


@pytest.mark.parametrize("root", ROOTS)
def test_terraform_and_providers_are_pinned_to_a_range(root: str) -> None:
    settings = hcl2.loads((INFRA / root / "versions.tf").read_text(), serialization_options=PLAIN)["terraform"][0]
    ranges = {"terraform": settings["required_version"]}
    for providers in settings["required_providers"]:
        ranges |= {name: provider["version"] for name, provider in providers.items()}
    assert len(ranges) > 1, f"{root} names no provider"
    for name, constraint in ranges.items():
        assert re.fullmatch(r">= \d+\.\d+\.\d+, < \d+\.0\.0", constraint), f"{root}: {name} {constraint!r}"


@pytest.mark.parametrize("module", MODULES)
def test_every_modules_tests_use_mocks_and_try_bad_inputs(module: str) -> None:
    text = "\n".join(path.read_text() for path in (INFRA / "modules" / module).glob("tests/*.tftest.hcl"))
    assert "mock_provider" in text, "a module's tests run without an account"
    assert text.count("assert {") >= 3
    assert "expect_failures" in text, "no test shows that a bad input is refused"
    assert "command = apply" in text, "no test looks at what is known after an apply"


@pytest.mark.parametrize("module", MODULES)
def test_the_readmes_example_sets_every_variable_that_it_must_and_none_that_is_not_there(module: str) -> None:
    text = (INFRA / "modules" / module / "README.md").read_text()
    example = re.search(r"```hcl\n(.*?)```", text, re.DOTALL)
    assert example, "the README shows no call"
    (call,) = hcl2.loads(example[1], serialization_options=PLAIN)["module"]
    (arguments,) = call.values()
    variables = blocks(f"modules/{module}", "variable")
    required = {name for name, variable in variables.items() if "default" not in variable}
    given = set(arguments) - {"source"}
    assert required <= given <= set(variables)
    unnamed = [name for name in blocks(f"modules/{module}", "output") if f"`{name}`" not in text]
    assert not unnamed, f"outputs that the README does not name: {unnamed}"


@pytest.mark.parametrize("root", [root for root in ROOTS if root.startswith("examples/")])
def test_an_examples_values_fit_its_variables(root: str) -> None:
    variables = blocks(root, "variable")
    required = {name for name, variable in variables.items() if "default" not in variable}
    for path in (INFRA / root).glob("*.tfvars"):
        given = set(hcl2.loads(path.read_text(), serialization_options=PLAIN))
        assert required <= given <= set(variables), path


# ---- Lint and policy


def test_tflint_has_nothing_to_say() -> None:
    passed(run(tool("tflint"), "--recursive", f"--config={INFRA / '.tflint.hcl'}", "--no-color"))


def test_tflint_speaks_up_about_a_variable_that_nothing_uses(tmp_path: Path) -> None:
    shutil.copytree(INFRA / "modules" / "eks-gpu", tmp_path / "m")
    with (tmp_path / "m" / "variables.tf").open("a") as file:
        file.write('\nvariable "spare" {\n  description = "Not used."\n  type        = string\n}\n')
    done = run(tool("tflint"), f"--config={INFRA / '.tflint.hcl'}", "--no-color", cwd=tmp_path / "m")
    assert done.returncode == 2 and "terraform_unused_declarations" in done.stdout, done.stdout + done.stderr


def checkov(folder: Path) -> dict[str, Any]:
    options = ["--framework", "terraform", "--skip-download", "--compact", "--quiet", "-o", "json"]
    done = run(tool("checkov"), "-d", folder, *options)
    assert done.stdout.startswith("{"), f"checkov did not run\n{done.stdout}\n{done.stderr}"
    return dict(json.loads(done.stdout))


def test_checkov_finds_no_fault_and_every_exception_has_its_reason() -> None:
    report = checkov(INFRA)
    failed = [f"{check['check_id']} {check['resource']}" for check in report["results"]["failed_checks"]]
    assert not failed, f"look at infra/: {failed}"
    assert report["summary"]["passed"] > 100, report["summary"]
    text = "\n".join(path.read_text() for path in INFRA.rglob("*.tf"))
    exceptions = re.findall(r"#checkov:skip=(\w+)(:?.*)", text)
    assert exceptions
    for check, reason in exceptions:
        assert len(reason.split()) > 3, f"{check} is skipped without a reason"


def test_checkov_finds_a_key_that_is_never_rotated(tmp_path: Path) -> None:
    changed(tmp_path, "modules/eks-cluster/main.tf", r"enable_key_rotation( +)= true", r"enable_key_rotation\1= false")
    failed = [check["check_id"] for check in checkov(tmp_path)["results"]["failed_checks"]]
    assert "CKV_AWS_7" in failed, failed


def test_the_policies_own_tests_pass() -> None:
    said = passed(run(tool("conftest"), "verify", "-p", "policy", "--no-color"))
    assert re.search(r"(\d+) tests, \1 passed", said), said


def conftest(*files: Path) -> list[str]:
    """What the policies deny."""
    options = ["-p", INFRA / "policy", "--parser", "hcl2", "-o", "json"]
    results = json.loads(run(tool("conftest"), "test", *options, *files).stdout)
    assert sum(result["successes"] for result in results) + len(results) > 0, "no policy was evaluated"
    return [failure["msg"] for result in results for failure in result.get("failures", [])]


def test_no_policy_is_broken() -> None:
    assert conftest(*sorted(INFRA.glob("*/*/*.tf"))) == []


def changed(folder: Path, file: str, pattern: str, by: str) -> Path:
    """A copy of a file of infra/ with one change."""
    text, count = re.subn(pattern, by, (INFRA / file).read_text(), count=1)
    assert count == 1, f"{file} holds no {pattern!r}"
    path = folder / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


@pytest.mark.parametrize(("file", "pattern", "by", "words"), [
    ("modules/eks-gpu/main.tf", r'"nvidia.com/gpu"', '"dedicated"', "has no taint nvidia.com/gpu"),
    ("modules/eks-gpu/main.tf", r'http_tokens( +)= "required"', '', "does not require IMDSv2"),
    ("modules/eks-gpu/main.tf", r"encrypted( +)= true", r"encrypted\1= false", "is not encrypted"),
    ("modules/eks-gpu/main.tf", r"max_size( +)= .*", "", "nothing bounds its cost"),
    ("modules/eks-cluster/main.tf", r"endpoint_private_access = true", "", "has no private endpoint"),
    ("modules/eks-cluster/main.tf", r'"audit", ', "", "keeps no audit log"),
    ("modules/gke-cluster/main.tf", r'"ENCRYPTED"', '"DECRYPTED"', "does not encrypt Secrets"),
    ("modules/gke-cluster/main.tf", r"enable_private_nodes( +)= true", "", "has nodes with public addresses"),
    ("modules/gke-gpu/main.tf", r'"GKE_METADATA"', '"GCE_METADATA"', "does not hide the node's metadata"),
    ("modules/gke-gpu/main.tf", r'"nvidia.com/gpu"', '"dedicated"', "has no taint nvidia.com/gpu"),
    ("modules/network-aws/main.tf", r"public_ip_on_launch = false", "public_ip_on_launch = true", "public address"),
    ("modules/eks-gpu/versions.tf", r", < 7\.0\.0", "", "has no upper bound"),
    ("modules/eks-gpu/variables.tf", r"type( +)= string\n", "", "has no type"),
    ("modules/eks-gpu/main.tf", r"^", 'provider "aws" {}\n', "a module configures no provider"),
])  # fmt: skip
def test_a_change_that_breaks_a_policy_is_named(tmp_path: Path, file: str, pattern: str, by: str, words: str) -> None:
    denied = conftest(changed(tmp_path, file, pattern, by))
    assert len(denied) == 1 and words in denied[0], denied


# ---- With the official providers, where they can be had


@pytest.fixture(scope="module")
def clouds(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of infra/ whose providers are installed; one try for each provider, and its "no" is final."""
    base = tmp_path_factory.mktemp("infra")
    copy = shutil.copytree(INFRA, base / "infra", ignore=shutil.ignore_patterns(".terraform*"))
    (base / "plugins").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TF_PLUGIN_CACHE_DIR", str(base / "plugins"))
        for root, provider in PROVIDERS.items():
            if answer := init(copy / root):
                pytest.skip(f"the {provider} provider cannot be had: {answer}")
        yield copy


def init(folder: Path) -> str:
    """Install a root's providers; returns why the registry did not give them, empty when it did."""
    env = {"TF_REGISTRY_DISCOVERY_RETRY": "0", "TF_REGISTRY_CLIENT_TIMEOUT": "5", "TF_IN_AUTOMATION": "1"}
    command = [terraform(), "init", "-backend=false", "-input=false", "-no-color"]
    try:
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {PATIENCE} s"
    said = done.stdout + done.stderr
    if done.returncode == 0:
        return ""
    assert UNREACHABLE.search(said), f"`init` failed for another reason than the registry\n{said}"
    return " ".join(said[said.index("Error:") :].split())[:400]


@pytest.mark.parametrize("root", ROOTS)
def test_terraform_says_that_it_is_valid(clouds: Path, root: str) -> None:
    assert init(clouds / root) == ""
    passed(run(terraform(), "validate", "-no-color", cwd=clouds / root))


@pytest.mark.parametrize("root", [root for root in ROOTS if root != MOTO])
def test_its_tests_pass_with_mocks(clouds: Path, root: str) -> None:
    assert init(clouds / root) == ""
    said = passed(run(terraform(), "test", "-no-color", cwd=clouds / root))
    runs = sum(path.read_text().count('\nrun "') for path in (clouds / root).glob("tests/*.tftest.hcl"))
    assert f"{runs} passed, 0 failed" in said, said


@pytest.fixture
def moto(tmp_path: Path) -> Iterator[str]:
    """A moto server's URL; it knows the policies that AWS manages."""
    log = tmp_path / "moto.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
    env = {**os.environ, "MOTO_IAM_LOAD_MANAGED_POLICIES": "true", "PYTHONUNBUFFERED": "1"}
    with log.open("w") as said:
        process = subprocess.Popen(command, env=env, stdout=said, stderr=subprocess.STDOUT)
    try:
        deadline = time.monotonic() + PATIENCE
        while not (running := re.search(r"Running on (http://127\.0\.0\.1:\d+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < deadline, f"moto: {log.read_text()}"
            time.sleep(0.1)
        yield running[1]
    finally:
        process.terminate()
        process.wait()


def test_the_eks_modules_apply_against_aws_api_on_this_machine(clouds: Path, moto: str) -> None:
    assert init(clouds / MOTO) == ""
    env = {"TF_VAR_endpoint": moto}
    said = passed(run(terraform(), "test", "-no-color", cwd=clouds / MOTO, env=env))
    assert "1 passed, 0 failed" in said, said
