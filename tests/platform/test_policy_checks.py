"""Each check of the policy lecture passes on what its exercise asks for, and on no state that only looks like it."""

from __future__ import annotations

import http.server
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import nbformat
import pytest
from checked import Checked
from running import wait_until

from iaclab import paths, tools
from iaclab.checks.policy import CHECKS
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform
ROOT = paths.repo_root()
assert ROOT is not None
NOTEBOOK = ROOT / "lectures" / "07-policy-as-code.ipynb"


class World(Checked):
    """A cluster with Gatekeeper, and a folder in which cells of the lecture have been run."""

    checks = CHECKS

    def shell(self, script: str) -> None:
        env = {**os.environ, **self.profile.env(), "TF_CLI_ARGS": "-no-color"}
        done = subprocess.run(["bash", "-e"], input=script, cwd=self.folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, f"{script[:300]}\n{done.stdout[-800:]}{done.stderr[-1500:]}"

    def cells(self, *beginnings: str) -> None:
        """Run those `%%bash` cells of the lecture in which these words stand, in the order of the words."""
        sources = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
        for words in beginnings:
            found = [source for source in sources if words in source and source.startswith("%%bash")]
            assert len(found) == 1, f"{len(found)} cells hold {words!r}"
            self.shell(found[0].split("\n", 1)[1])

    def file(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def change(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text()
        assert old in text, f"{name} has no {old!r}"
        (self.folder / name).write_text(text.replace(old, new))

    def refused(self, check: str, **seen: Any) -> None:
        """It does not pass, and saw these things."""
        assert not self.passes(check)
        assert {key: self.seen(check)[key] for key in seen} == seen

    def becomes(self, check: str) -> None:
        wait_until(lambda: self.passes(check), f"{check} passes, not {self.seen(check)}")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("policy", state=tmp_path_factory.mktemp("policy"))
    tools.ensure("opa", "conftest", "helm", "gator", "pre-commit")
    lifecycle.up("gatekeeper", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture
def world(running: Profile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.chdir(tmp_path)
    return World(running, tmp_path)


@pytest.fixture
def clean(world: World) -> World:
    """With a cluster that no other test has left anything in."""
    lifecycle.reset(profile=world.profile)
    return world


BUCKETS = """package platform.buckets

deny contains message if {
	some change in input.resource_changes
	change.type == "mlplatform_model_bucket"
	change.change.after != null
	not change.change.after.versioning
	message := sprintf("%s keeps no versions", [change.address])
}
"""


def test_a_first_rule(world: World) -> None:
    world.file("first/policy/buckets.rego", BUCKETS)
    assert world.passes("first-rule")
    wrong = {
        "null is not false": ("not change.change.after.versioning", "change.change.after.versioning == false"),
        "every bucket": ("	not change.change.after.versioning\n", ""),
        "pools too": ('	change.type == "mlplatform_model_bucket"\n', ""),
        "deleted ones too": ("	change.change.after != null\n	not change", "	not change"),
        "no address": ("[change.address]", '["it"]'),
    }
    for why, (old, new) in wrong.items():
        world.file("first/policy/buckets.rego", BUCKETS)
        world.change("first/policy/buckets.rego", old, new)
        assert not world.passes("first-rule"), why
    world.file("first/policy/buckets.rego", "package platform.buckets\n\ndeny contains 1 if {\n")
    assert not world.passes("first-rule")


def test_a_migrated_rule(world: World) -> None:
    right = """package teams

deny contains msg if {
	some container in input.containers
	not container.team == "vision"
	msg := sprintf("%s belongs to another team", [container.name])
}
"""
    world.file("old/teams.rego", right)
    assert world.passes("migrated")
    world.file("old/teams.rego", right.replace("not container.team ==", "container.team !="))
    world.refused("migrated", lost=False)
    world.file("old/teams.rego", right.replace("\n\ndeny", "\n\nimport rego.v1\n\ndeny"))
    world.refused("migrated", **{"old imports": True})
    world.file("old/teams.rego", right.replace("contains msg if", "[msg]"))
    assert not world.passes("migrated")


def test_coverage_that_would_notice(world: World) -> None:
    world.cells("rm -rf quota &&", "cat > quota_test.rego")
    world.refused("covered", survived=["training turned round", "no quota is 999", "large machines are never found"])
    world.cells("cat > more_test.rego")
    assert world.passes("covered")
    # it runs every line, and asserts nothing
    asserts = r"== \{\"team[^\n]*|== \{\"pool[^\n]*|== set\(\)"
    text = (world.folder / "quota/more_test.rego").read_text()
    world.file("quota/more_test.rego", re.sub(asserts, "!= 1", text))
    world.refused("covered", covered="100 %")
    world.file("quota/more_test.rego", "package x\n\ntest_it if false\n")
    assert not world.passes("covered")


def test_a_faster_rule(world: World) -> None:
    world.cells("rm -rf speed &&")
    assert world.seen("faster")["most evaluated"] > 100_000 and not world.passes("faster")
    world.cells('text[:text.index("deny contains")]')
    assert world.passes("faster")
    right = (world.folder / "speed/names.rego").read_text()
    for old, new in (
        ("count(found) > 1", "count(found) > 2"),
        ("[name]", '["x"]'),
        ("count(found) > 1", "count(found) > 0"),
    ):
        world.file("speed/names.rego", right.replace(old, new))
        assert not world.passes("faster"), new


def test_a_chart(world: World) -> None:
    world.cells("rm -rf shop &&", "cat > charts/ranker/Chart.yaml")
    assert not world.passes("chart")
    world.cells("cat > prod.yaml <<EOF")
    assert world.passes("chart")
    right = (world.folder / "shop/prod.yaml").read_text()
    digest = right.split("@")[1].splitlines()[0]
    wrong = (("gpus", "\ngpus: 0\n"), ("memory", '\nmemory: ""\n'), ("service", "\nservice: NodePort\n"))
    for why, more in wrong:
        lines = [line for line in right.splitlines() if not line.startswith(f"{why}:")]
        world.file("shop/prod.yaml", "\n".join(lines) + more)
        assert not world.passes("chart"), why
    for image in (
        "registry.course.local/ranker:3",
        f"docker.io/ranker@{digest}",
        f"registry.course.local/r@{digest[:-1]}",
    ):
        world.file("shop/prod.yaml", re.sub("image: .*", f"image: {image}", right))
        assert not world.passes("chart"), image


def test_spot_machines(world: World) -> None:
    world.cells("rm -rf ml &&")
    assert not world.passes("spot")
    world.cells("cat > policy/spot.rego")
    assert world.passes("spot")
    for old, new in (
        ('	input.kind == "Job"\n', ""),
        ('	input.metadata.annotations["course.local/checkpoint-every"]\n', ""),
        ("	not checkpoints\n", ""),
        ('== "spot"', '!= "spot"'),
    ):
        right = (world.folder / "ml/policy/spot.rego").read_text()
        world.change("ml/policy/spot.rego", old, new)
        assert not world.passes("spot"), old
        world.file("ml/policy/spot.rego", right)


def test_a_manifest_of_data(world: World) -> None:
    world.cells("rm -rf dataset &&")
    world.refused("data-manifest", leaked=0)
    world.cells("cat >> dataset.rego")
    assert world.passes("data-manifest")
    world.change("dataset/dataset.rego", "	one < other\n", "	one != other\n")
    world.refused("data-manifest", leaked=2)
    world.change("dataset/dataset.rego", "	one != other\n", "")
    assert not world.passes("data-manifest")


def test_an_audit_that_finds_nothing(clean: World) -> None:
    clean.cells("rm -rf gate &&", "./pod notebooks small 2")
    wait_until(lambda: clean.seen("audited")["violations"] == 1, "the audit has found the old pod")
    clean.shell('kubectl patch gpulimit notebooks --type=merge -p \'{"spec":{"enforcementAction":"warn"}}\'')
    clean.shell("kubectl -n notebooks delete pod old --wait")
    wait_until(lambda: clean.seen("audited")["violations"] == 0, "the audit finds nothing")
    clean.refused("audited", action="warn")
    clean.shell('kubectl patch gpulimit notebooks --type=merge -p \'{"spec":{"enforcementAction":"deny"}}\'')
    clean.becomes("audited")
    clean.shell("kubectl -n notebooks delete pod small --wait")
    clean.refused("audited", **{"small is there": False})
    clean.shell("cd gate && ./pod notebooks small 1")
    clean.becomes("audited")
    clean.shell('kubectl patch gpulimit notebooks --type=merge -p \'{"spec":{"parameters":{"max":9}}}\'')
    clean.refused("audited", limit=9)


def test_an_exemption_that_is_narrow(clean: World) -> None:
    clean.cells("rm -rf gate &&")
    clean.refused("exempt", benchmark=True)
    selector = '{"spec":{"match":{"labelSelector":{"matchExpressions":[%s]}}}}'
    for wrong in ('{"key":"exempt","operator":"DoesNotExist"}', '{"key":"app","operator":"Exists"}'):
        clean.shell(f"kubectl patch gpulimit notebooks --type=merge -p '{selector % wrong}'")
        assert not clean.passes("exempt"), wrong
    clean.cells('"operator":"NotIn","values":["benchmark"]')
    clean.becomes("exempt")


def test_a_mutation_that_overwrites_nothing(clean: World) -> None:
    clean.shell("kubectl create namespace training")
    clean.shell("kubectl -n training wait --for=create serviceaccount/default --timeout=150s")  # before: no pod at all
    clean.refused("mutated", without="none")
    clean.cells("kind: AssignMetadata")
    clean.becomes("mutated")
    clean.shell("kubectl delete assignmetadata cost-center")
    spec = {
        "match": {"scope": "Namespaced", "kinds": [{"apiGroups": [""], "kinds": ["Pod"]}]},
        "location": 'metadata.labels."cost-center"',
        "parameters": {"assign": {"value": "research"}},
    }
    everywhere = {"apiVersion": "mutations.gatekeeper.sh/v1", "kind": "AssignMetadata", "metadata": {"name": "all"}}
    clean.file("all.json", json.dumps({**everywhere, "spec": spec}))
    clean.shell("kubectl apply -f all.json")
    wait_until(lambda: clean.seen("mutated")["elsewhere"] == "research", "it is set everywhere")
    assert not clean.passes("mutated")


def test_public_endpoints(clean: World) -> None:
    clean.shell("kubectl create namespace serving && kubectl label namespace serving tier=prod")
    clean.refused("cel", LoadBalancer="admitted")
    clean.cells("message: a public endpoint needs an approval")
    clean.becomes("cel")
    change = '[{"op":"replace","path":"/spec/validations/0/expression","value":"%s"}]'
    wrong = {
        "only one kind": "object.spec.?type.orValue('ClusterIP') != 'NodePort'",
        "no approval": "!(object.spec.?type.orValue('ClusterIP') in ['LoadBalancer', 'NodePort'])",
        "every Service": "'course.local/public-approved-by' in object.metadata.?annotations.orValue({})",
    }
    for why, expression in wrong.items():
        patch = change % expression
        clean.file("patch.json", patch)
        clean.shell("kubectl patch validatingadmissionpolicy no-public-endpoints --type=json --patch-file patch.json")
        wait_until(lambda: not clean.passes("cel"), f"{why}: it does not pass")
    clean.shell("kubectl delete validatingadmissionpolicybinding no-public-endpoints")
    wait_until(lambda: clean.seen("cel")["LoadBalancer"] == "admitted", "without a binding nothing is denied")


def test_cases_of_sentinel_that_would_notice(world: World) -> None:
    folder = world.folder / "sentinel" / "policies"
    folder.mkdir(parents=True)
    sources = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells]
    (policy,) = [source for source in sources if source.startswith("%%writefile sentinel/policies/cost.sentinel")]
    world.file("sentinel/policies/cost.sentinel", policy.split("\n", 1)[1])
    assert not world.passes("sentinel")
    (solution,) = [source for source in sources if '"at-the-limit true 6 4"' in source]
    with_command = f'sentinel() {{ "{sys.executable}" -P -m iaclab.sentinel "$@"; }}\n'
    world.shell(with_command + solution.split("\n", 1)[1])
    assert world.passes("sentinel")
    limit, together = folder / "test/cost/at-the-limit.hcl", folder / "test/cost/together.hcl"
    kept = limit.read_text()
    limit.write_text(kept.replace("hourly_cost = 4", "hourly_cost = 3"))
    world.refused("sentinel", **{"own tests": "pass", "survived": ["< for <="]})
    limit.write_text(kept.replace("main = true", "main = false"))
    world.refused("sentinel", **{"own tests": "fail"})
    limit.write_text(kept)
    together.unlink()
    world.refused("sentinel", survived=["the last pool only", "true"])
    shutil.rmtree(folder / "test")
    assert not world.passes("sentinel")


def test_a_hook_that_looks_at_keys(world: World) -> None:
    world.cells("git init -q -b main ci", "cat > .pre-commit-config.yaml")
    world.refused("hook", **{"a key": True})
    world.cells("cat > policy/secrets.rego")
    assert world.passes("hook")
    (world.folder / "ci/.git/hooks/pre-commit").chmod(0o644)
    world.refused("hook", **{"hook on": False, "a key": True})
    (world.folder / "ci/.git/hooks/pre-commit").chmod(0o755)
    world.change("ci/policy/secrets.rego", '"value" in object.keys(variable)', "variable.name")
    world.shell("cd ci && git commit -qam Wider --no-verify")
    world.refused("hook", **{"a reference": False})
    world.shell("cd ci && git revert --no-commit HEAD && git commit -qm Back --no-verify")
    world.shell("cd ci && git rm -q policy/secrets_test.rego && git commit -qm Untested --no-verify")
    world.refused("hook", **{"a test is committed": False})


def test_a_report_that_is_true(clean: World) -> None:
    clean.cells("rm -rf audit &&", "cat > collect <<'EOF'")
    from iaclab import compliance

    def write() -> None:
        compliance.report("audit/controls.yaml", "audit/evidence", "audit/report.html")

    write()
    clean.refused("compliant", **{"CC7.1": "not met", "A1.1": "without evidence"})
    clean.cells("kubectl -n default delete pod from-outside --wait")
    clean.refused("compliant", report="met, not met, without evidence", **{"CC7.1": "met", "A1.1": "met"})
    write()
    assert clean.passes("compliant")
    clean.change("audit/policy/capacity.rego", "total_gpus > 64", "total_gpus > 64000000")
    clean.refused("compliant", **{"100,000 GPUs": "not denied"})
    clean.change("audit/policy/capacity.rego", "total_gpus > 64000000", "total_gpus > 64")
    clean.shell('kubectl patch ourimages everywhere --type=merge -p \'{"spec":{"enforcementAction":"dryrun"}}\'')
    clean.refused("compliant", **{"CC7.1": "not met", "report": "met"})


def test_grants_that_end(world: World) -> None:
    world.cells("rm -rf access &&")
    world.refused("data-access", **{"after it": True})
    world.cells("cat >> access.rego")
    assert world.passes("data-access")
    right = (world.folder / "access/access.rego").read_text()
    for new in ("input.today < end", 'input.today <= "2026-12-31"', "true"):
        world.file("access/access.rego", right.replace("if input.today <= end", f"if {new}"))
        assert not world.passes("data-access"), new
    world.file("access/access.rego", right.replace("not within(end)", "input.today > end"))
    world.refused("data-access", **{"without a date": True, "after it": False})


def test_where_models_come_from(clean: World) -> None:
    from joserfc import jws
    from joserfc.jwk import ECKey

    ours, theirs = ECKey.generate_key("P-256"), ECKey.generate_key("P-256")
    digest = "sha256:" + "a" * 64

    def statement(key: ECKey, dataset: str) -> str:
        content = {"image": digest, "card": "sha256:1", "dataset": dataset}
        return jws.serialize_compact({"alg": "ES256"}, json.dumps(content).encode(), key)

    clean.file("models/pipeline.pub", ours.as_pem(private=False).decode())
    known = {name: statement(ours, name) for name in ("clicks@2026-11", "profiles@2026-11", "")}
    given = {"image": f"registry.course.local/r@{digest}", "other": statement(theirs, "clicks@1"), "statements": known}
    clean.file("models/statements.json", json.dumps(given))
    assert not clean.passes("provenance")
    clean.cells("metadata: {name: modelprovenance}")
    clean.refused(
        "provenance", **{"clicks@2026-11": "admitted", "no dataset": "admitted", "signed by another": "refused"}
    )
    clean.cells('constraint["spec"]["parameters"]["datasets"] = ["clicks"]')
    clean.becomes("provenance")
    constraint = json.loads((clean.folder / "models/constraint.json").read_text())
    constraint["spec"]["parameters"]["datasets"] = ["clicks", "profiles"]
    clean.file("models/constraint.json", json.dumps(constraint))
    clean.shell("kubectl apply --server-side --force-conflicts -f models/constraint.json")
    wait_until(lambda: not clean.passes("provenance"), "another dataset is admitted")


def test_two_faults_are_mended(clean: World) -> None:
    clean.cells("rm -rf broken &&")
    clean.refused("mended", theirs="admitted")
    half = clean.folder / "broken/constraint.yaml"
    shutil.copyfile(half, clean.folder / "kept.yaml")
    clean.change("broken/constraint.yaml", 'apiGroups: [""]', "apiGroups: [apps]")
    clean.shell("kubectl apply -f broken/constraint.yaml")
    wait_until(lambda: clean.seen("mended")["theirs"] == "refused", "the first container is looked at")
    clean.refused("mended", **{"theirs beside ours": "admitted"})
    shutil.copyfile(clean.folder / "kept.yaml", half)
    clean.cells("sed -i 's/apiGroups: \\[\"\"\\]/apiGroups: [apps]/' constraint.yaml")
    clean.becomes("mended")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A web server that writes no log."""

    def log_message(self, *_: object) -> None:
        pass


def test_a_bundle_that_is_served(world: World) -> None:
    served = world.folder / "served"
    served.mkdir()
    opa = str(tools.ensure("opa")["opa"])
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    rego = "package endpoints\n\ndefault allow := false\n\nallow if not input.public\n"
    world.file("source/endpoints.rego", rego + "\nallow if input.service in data.public_services\n")

    def publish(revision: str, *services: str) -> None:
        world.file("source/data.json", json.dumps({"public_services": services}))
        build = f"{opa} build --bundle source --revision {revision} -o next.tar.gz"
        world.shell(f"{build} && mv next.tar.gz served/platform.tar.gz")

    publish("4", "docs")
    port = Profile("ports", state=world.folder).port("opa")
    settings = [f"services.web.url=http://127.0.0.1:{web.server_port}", "bundles.platform.service=web"]
    settings += ["bundles.platform.resource=platform.tar.gz"]
    settings += [f"bundles.platform.polling.{what}_delay_seconds=1" for what in ("min", "max")]
    command = [opa, "run", "--server", f"--addr=127.0.0.1:{port}", *(f"--set={setting}" for setting in settings)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        world.file("bundles/address", f"http://127.0.0.1:{port}")
        wait_until(lambda: world.passes("bundle"), "it passes")
        publish("4", "docs", "ranker")
        wait_until(lambda: not world.passes("bundle"), "a public ranker does not pass")
        assert world.seen("bundle")["public ranker"] is True
        publish("5", "docs")
        wait_until(lambda: world.seen("bundle")["revision"] == "5", "the next revision is there")
        assert not world.passes("bundle")
    finally:
        process.kill()
        process.wait()
        web.shutdown()


def test_every_check_is_tested() -> None:
    text = Path(__file__).read_text()
    assert [name for name in CHECKS if f'"{name}"' not in text] == []
