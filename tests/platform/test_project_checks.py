"""The checks of the final project say yes to the model solution, and no to what is nearly right.

The model solution is built once, by the cells of the project's own text; then one thing after the other is broken and
mended again. Incidents are begun by the cells that begin them for learners.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from running import shell

from iaclab import lessons
from iaclab.build.text import parse
from iaclab.checks.lab2 import settled
from iaclab.checks.project import CHECKS
from iaclab.checks.record import Result
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile

pytestmark = pytest.mark.platform
LESSON = lessons.lesson("90-final-project")
TEXT = parse(LESSON.source.read_text())
INCIDENTS = ("bad-release", "leaked-key", "lost-region")
PATIENCE = 180  # seconds until what was pushed is everywhere, on a busy machine
LATER = ("design", "playbooks", *INCIDENTS)


@dataclass
class Desk:
    """A learner's desk: a platform, a work folder, a kernel that runs cells in it."""

    profile: Profile
    folder: Path
    client: NotebookClient

    def run(self, code: str) -> None:
        """Run a cell; it must get through."""
        cell = nbformat.v4.new_code_cell(code)
        self.client.nb.cells = [cell]
        self.client.execute_cell(cell, 0)
        failed = [o for o in cell.outputs if o.output_type == "error"]
        said = "".join(o.get("text", "") for o in cell.outputs)
        assert not failed, f"{code[:300]}\n{said[-1500:]}\n{failed[0].evalue[-500:]}"

    def sh(self, script: str) -> str:
        """Run a script in the work folder."""
        return shell(self.profile, "bash", "-ec", script, cwd=self.folder).stdout

    def push(self, change: str) -> None:
        """Change the clone by a script, commit, push, and wait for Argo CD."""
        self.sh(f"cd platform && {change}\ngit add -A && git commit -qm Change && git push -q origin HEAD:main")
        settled.wait(self.profile, PATIENCE)

    @contextmanager
    def pushed(self, change: str) -> Iterator[None]:
        """As `push`; taken back by a commit at the end."""
        self.push(change)
        try:
            yield
        finally:
            self.push("git revert -n HEAD")

    def look(self, name: str, within: float) -> Result:
        """What a check finds."""
        with chdir(self.folder):
            return replace(CHECKS[name], within=within).run(self.profile)

    def passes(self, *names: str) -> None:
        """The checks pass."""
        for name in names:
            result = self.look(name, PATIENCE)
            assert result.passed, f"{name}: {result}"

    def says_no(self, name: str, seen: str) -> None:
        """The check does not pass, and says why."""
        result = self.look(name, 20 if CHECKS[name].within else 0)
        assert not result.passed, f"{name} passed although it must not"
        assert not result.away, result
        assert seen in result.seen, result


def cells(title: str) -> list[Any]:
    """The code cells of a section, by the beginning of its heading."""
    (section,) = (section for section in TEXT.sections if section.title.startswith(title))
    return list(section.cells)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A desk at which nothing has been done."""
    base = tmp_path_factory.mktemp("project")
    folder = base / "workspace" / LESSON.id
    folder.mkdir(parents=True)
    profile = lifecycle.up(*LESSON.needs, profile=Profile("project", state=base / "state"))
    env = {k: v for k, v in os.environ.items() if k != "IACLAB_STRICT_CHECKS"}
    env |= {"IACLAB_STATE": str(base / "state"), "IACLAB_PROFILE": profile.name}
    env |= {"IACLAB_WORKSPACE": str(folder.parent)}
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=600, kernel_name="python3", allow_errors=True)
    try:
        client.create_kernel_manager()
        client.start_new_kernel(env=env, cwd=str(folder))
        client.start_new_kernel_client()
        desk = Desk(profile, folder, client)
        desk.run(f'import iaclab\niaclab.prepare("{LESSON.id}")')
        yield desk
    finally:
        client._cleanup_kernel()
        lifecycle.down(profile=profile)


@pytest.fixture(scope="module")
def desk(bare: Desk) -> Desk:
    """The desk with the model solution of the first four milestones."""
    bare.run("from iaclab import final_project\nfinal_project.begin(5)")
    settled.wait(bare.profile, PATIENCE)
    return bare


def test_nothing_done_is_worth_nothing(bare: Desk) -> None:
    for name in CHECKS:
        result = bare.look(name, 0)
        assert not result.passed, name
        assert not result.away, f"{name}: {result}"


def test_the_model_solution_passes_and_incidents_wait_to_begin(desk: Desk) -> None:
    desk.passes(*(name for name in CHECKS if name not in LATER))
    desk.says_no("bad-release", "has not begun")
    desk.says_no("leaked-key", "has not begun")
    desk.says_no("lost-region", "has not been lost")


def test_to_begin_again_leaves_alone_what_is_there(desk: Desk) -> None:
    desk.sh("echo mine > platform/mine.txt")
    before = desk.sh("cd platform && git rev-parse HEAD")
    desk.run("final_project.begin(5)")
    assert desk.sh("cd platform && git rev-parse HEAD") == before
    assert desk.sh("cat platform/mine.txt; rm platform/mine.txt") == "mine\n"
    desk.sh("mv platform away")
    desk.run("final_project.begin(5)")
    assert desk.sh("cd platform && git rev-parse HEAD") == before
    desk.sh("rm -r platform && mv away platform")


# --- foundation ------------------------------------------------------------------------------------------


def test_a_wrong_quota_a_missing_label_and_a_bucket_without_versions_are_named(desk: Desk) -> None:
    in_north = 'kubectl --kubeconfig "$KUBECONFIG_B"'
    quota = '{"spec": {"hard": {"requests.nvidia.com/gpu": "%s"}}}'
    desk.sh(f"{in_north} -n vision patch resourcequota team-quota --type merge -p '{quota % 3}'")
    desk.says_no("regions", "of vision in eu-north is 3")
    desk.sh(f"{in_north} -n vision patch resourcequota team-quota --type merge -p '{quota % 2}'")
    desk.sh(f"{in_north} label namespace fraud team-")
    desk.says_no("regions", "the namespace fraud in eu-north has the label team=")
    desk.sh(f"{in_north} label namespace fraud team=fraud")
    desk.passes("regions")


def test_a_plan_that_is_not_applied_and_a_backend_without_a_lock_are_seen(desk: Desk) -> None:
    with desk.pushed("sed -i 's/gpu_quota = 2/gpu_quota = 3/' infra/main.tf"):
        desk.says_no("state", "bin/plan sees differences in a fresh clone")
    with desk.pushed("sed -i '/use_lockfile/d' infra/main.tf"):
        desk.says_no("state", "use_lockfile")
    with desk.pushed("chmod -x bin/plan"):
        desk.says_no("state", "bin/plan cannot be executed")
    desk.passes("state")


def test_a_local_state_is_none(desk: Desk) -> None:
    with desk.pushed("sed -i '/backend \"s3\"/,/^  }/d' infra/main.tf"):
        desk.says_no("state", "bin/plan sees differences")


# --- delivery --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ('s/namespace: vision}/namespace: "*"}/', "vision may deploy platform.git into fraud"),
        ("/rbac.authorization.k8s.io/d", "may deploy a RoleBinding"),
        ('s/sourceRepos: .*/sourceRepos: ["*"]/', "may deploy somebody.git"),
    ],
)
def test_a_fence_with_a_hole_is_seen(desk: Desk, change: str, seen: str) -> None:
    with desk.pushed(f"sed -i '{change}' clusters/projects.yaml"):
        desk.says_no("fences", seen)
    desk.passes("fences")


def test_an_application_by_hand_and_one_that_does_not_heal_are_seen(desk: Desk) -> None:
    desk.sh(
        'argocd app create by-hand --repo "$GIT_URL/platform.git" --revision main --path guardrails --project platform '
        "--dest-server https://kubernetes.default.svc --dest-namespace default --sync-policy automated "
        "--self-heal --auto-prune"
    )
    desk.says_no("topology", "by-hand was made by hand")
    desk.sh("argocd app delete by-hand --cascade=false --yes")
    settled.wait(desk.profile, 30)
    with desk.pushed("sed -i 's/selfHeal: true/selfHeal: false/' clusters/teams.yaml"):
        desk.says_no("topology", "has no selfHeal")
    desk.passes("topology")


def test_another_version_in_one_region_is_seen(desk: Desk) -> None:
    with desk.pushed(
        "echo 'images: [{name: registry.course.local/fraud-api, newTag: 1.0.1}]' "
        ">> apps/fraud/regions/eu-north/kustomization.yaml"
    ):
        desk.says_no("serving", "fraud-api in eu-north runs registry.course.local/fraud-api:1.0.1")
    desk.passes("serving")


# --- tenancy and secrets ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("binding", "seen"),
    [
        ("rolebinding hole -n fraud --clusterrole edit", "fraud's developer in eu-west may create pods in fraud"),
        ("rolebinding hole -n vision --clusterrole view", "fraud's developer in eu-west may get pods in vision"),
        ("clusterrolebinding hole --clusterrole system:node", "fraud's developer in eu-west may"),
    ],
)
def test_a_developer_with_too_many_rights_is_seen(desk: Desk, binding: str, seen: str) -> None:
    desk.sh(f"kubectl create {binding} --serviceaccount fraud:developer")
    desk.says_no("tenants", seen)
    desk.sh(f"kubectl delete {re.sub('--clusterrole .*', '', binding)}")
    desk.passes("tenants")


def test_the_machines_account_of_a_team_must_not_reach_the_other_either(desk: Desk) -> None:
    desk.sh("kubectl create rolebinding hole -n fraud --clusterrole edit --serviceaccount mlplatform-system:vision")
    desk.says_no("tenants", "vision's account in eu-west may get pods in fraud")
    desk.sh("kubectl delete rolebinding hole -n fraud")


def test_a_key_that_does_not_work_and_a_training_that_does_not_read_it_are_seen(desk: Desk) -> None:
    desk.sh(KEYS.format("update_access_key(UserName='fraud-training', AccessKeyId=id, Status='Inactive')"))
    desk.says_no("registry-key", "is no active one")
    desk.sh(KEYS.format("update_access_key(UserName='fraud-training', AccessKeyId=id, Status='Active')"))
    with desk.pushed(
        "sed -i '/envFrom/d; s/name: train-2026-11/name: train-2026-12/' apps/fraud/regions/eu-west/train.yaml"
    ):
        desk.says_no("registry-key", "the Job train-2026-12 does not read the Secret")
    desk.passes("registry-key", "clean")


KEYS = """python -c "
import boto3
iam = boto3.client('iam')
for key in iam.list_access_keys(UserName='fraud-training')['AccessKeyMetadata']:
    id = key['AccessKeyId']
    iam.{}
" """


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("kind: Secret\nstringData: {a: b}", "holds a Secret in clear text"),
        ("-----BEGIN RSA PRIVATE KEY-----", "holds a private key"),
    ],
)
def test_what_looks_like_a_secret_on_main_is_seen(desk: Desk, text: str, seen: str) -> None:
    with desk.pushed(f"printf '%s' '{text}' > notes.txt"):
        desk.says_no("clean", seen)
    desk.passes("clean")


# --- policy, drift, evidence -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ("s/expression: .object.spec.containers + .*/expression: object.spec.containers/", "takes an init container"),
        ("s|local/\\[a-z0-9/-\\]|local[a-z0-9./-]|", "takes registry.course.local.evil.example/model:2.3.4"),
        ("s/\\[0-9\\]\\[a-zA-Z0-9.-\\]/[a-z0-9.]/", "takes registry.course.local/model:latest"),
        ("s/\\[Deny\\]/[Warn]/", "takes docker.io/someone/model:2.3.4"),
    ],
)
def test_a_policy_with_a_hole_is_seen(desk: Desk, change: str, seen: str) -> None:
    with desk.pushed(f"sed -i '{change}' guardrails/images.yaml && git diff --stat | grep images.yaml"):
        desk.says_no("admission", seen)
    desk.passes("admission")


def test_a_check_that_never_fails_or_always_does_is_none(desk: Desk) -> None:
    with desk.pushed("printf '#!/bin/sh\\nexit 0\\n' > bin/check"):
        desk.says_no("pipeline", "bin/check takes an image from docker.io in fraud-api")
    with desk.pushed("printf '#!/bin/sh\\nexit 1\\n' > bin/check"):
        desk.says_no("pipeline", "bin/check refuses main")
    with desk.pushed("sed -i 's/^set -euo pipefail/set -eu/' bin/check"):
        desk.says_no("pipeline", "bin/check takes an image")
    desk.passes("pipeline")


def test_a_plan_behind_a_pipe_reports_no_drift(desk: Desk) -> None:
    with desk.pushed("sed -i 's/^exec \\(.*\\)/\\1 | cat/' bin/plan"):
        desk.says_no("drift", "bin/plan ends with 0, not 2")
    desk.passes("drift")


def test_evidence_that_was_written_down_beforehand_is_none(desk: Desk) -> None:
    desk.sh("cp compliance.json platform/table.json")
    with desk.pushed("printf '#!/bin/sh\\ncat table.json\\n' > bin/compliance"):
        desk.says_no("compliance", "buckets is still pass")
    with desk.pushed("printf '#!/bin/sh\\necho all is well\\n' > bin/compliance"):
        desk.says_no("compliance", "prints no JSON list")
    desk.passes("compliance")


# --- programme and incidents -----------------------------------------------------------------------------


def test_a_design_needs_its_sections_with_something_in_them(desk: Desk) -> None:
    desk.says_no("design", "design.md is not on main")
    for cell in (c for c in cells("Milestone 5") if "solution" in c.tags):
        desk.run(cell.code)
    desk.passes("design")
    with desk.pushed("sed -i '/^## On call/,/^## Decisions/{/^##/!d}' design.md"):
        desk.says_no("design", "'On call' of design.md has 0 words")


def _incident(desk: Desk, title: str, before_the_end: Callable[[], None]) -> None:
    """Begin an incident with the course's cell, look, and end it with the model solution's."""
    for cell in cells(title):
        if "solution" in cell.tags:
            before_the_end()
        if "iaclab.check(" not in cell.code and "project.CHECKS" not in cell.code:
            desk.run(cell.code)
    settled.wait(desk.profile, 60)


def test_a_bad_release_ends_by_a_commit_and_nothing_else(desk: Desk) -> None:
    def look() -> None:
        desk.says_no("bad-release", "nothing takes it back")

    _incident(desk, "Incident 1", look)
    desk.passes("bad-release", "serving", "topology")
    tidied = "cd platform && git push -qf origin $(git log --format=%H --author=Colleague -1)^:main"
    head = desk.sh("cd platform && git rev-parse HEAD").strip()
    desk.sh(tidied)
    desk.says_no("bad-release", "the history of main has been rewritten")
    desk.sh(f"cd platform && git push -q origin {head}:main")
    settled.wait(desk.profile, 60)


def test_a_leaked_key_that_only_left_main_still_opens(desk: Desk) -> None:
    def look() -> None:
        desk.says_no("clean", "stands in the history of platform.git")
        desk.says_no("leaked-key", "still works")
        desk.sh("cd platform && git pull -q --rebase origin main && git rm -q notebooks/train.env")
        desk.sh("cd platform && git commit -qm Tidy && git push -q origin HEAD:main")
        desk.says_no("leaked-key", "the leaked access key of fraud-training still works")
        desk.sh("cd platform && git revert --no-edit HEAD > /dev/null && git push -q origin HEAD:main")

    _incident(desk, "Incident 2", look)
    desk.passes("leaked-key", "clean", "registry-key")


def test_a_region_made_again_by_hand_is_not_as_its_owner_made_it(desk: Desk) -> None:
    def look() -> None:
        desk.says_no("lost-region", "eu-north has no namespace fraud")
        desk.sh('kubectl --kubeconfig "$KUBECONFIG_B" create namespace fraud')
        desk.says_no("lost-region", "the namespace fraud in eu-north was not made by Terraform")
        desk.sh('kubectl --kubeconfig "$KUBECONFIG_B" delete namespace fraud --timeout=60s')

    _incident(desk, "Incident 3", look)
    desk.passes("lost-region", "serving", "tenants")


def test_the_whole_project_is_worth_its_points(desk: Desk) -> None:
    for cell in (c for c in cells("The playbooks") if "solution" in c.tags):
        desk.run(cell.code)
    settled.wait(desk.profile, 60)
    desk.passes(*CHECKS)
