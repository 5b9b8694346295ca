"""Checks of lab 3: the learner's tests, policies, pipeline and admission rules are put to the proof by mutation.

Faulty variants of the platform must be caught, right ones let through: points for each fault, and a false alarm costs
two of them. `score` runs all checks, for those who grade.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from iaclab import paths
from iaclab.checks.lab3 import admission, modules, pipeline, policies, policy_tests
from iaclab.checks.lab3.cases import manifests, plans, visible
from iaclab.checks.lab3.cases import modules as module_cases
from iaclab.checks.lab3.proof import record
from iaclab.checks.record import Check, Result
from iaclab.platform.profile import Profile


def score(profile: Profile, folder: Path) -> dict[str, Result]:
    """The result of every check, by its name; their points add up to POINTS at most.

    Args:
        profile: where the platform runs.
        folder: the learner's work folder, with `infra/`, `policy/` and `pipeline`.
    """
    if paths.graded_folder():  # in a notebook that is being graded: the grader looks itself, once
        later = "the grader looks when the whole notebook has run"
        return {name: Result(check.title, False, later, "", 0, away=True) for name, check in CHECKS.items()}
    with contextlib.chdir(folder):
        return {name: check.run(profile) for name, check in CHECKS.items()}


CHECKS = {
    "tests": record(
        6,
        "the module's tests catch each of its faults, and pass every module that keeps the contract",
        lambda _: modules.proof(module_cases(visible())),
        (
            "Which line of the contract does no test ask? Which test asks for more than the contract says?",
            "Ask var.… and output.…, never a resource's address; expect_failures = [var.nodes] wants a refusal.",
            "terraform -chdir=infra test   # then the same in a copy whose *.tf are those of variants/modules/NAME",
        ),
    ),
    "plans": record(
        8,
        "the policies refuse each faulty plan, and no right one",
        lambda _: policies.proof(plans(visible())),
        (
            "What of a resource that goes? Its change.after is null.",
            "input.resource_changes[_].change.after; all pools count together, new ones and those that stay.",
            "conftest test variants/plans/*/*/plan.json   # faulty ones fail, right ones do not",
        ),
    ),
    "manifests": record(
        10,
        "the policies refuse each faulty manifest, and no right one",
        lambda _: policies.proof(manifests(visible())),
        (
            "In which kinds do pods hide, and in which fields containers?",
            "A pod's spec is at .spec, .spec.template.spec or .spec.jobTemplate.spec.template.spec, by input.kind.",
            "conftest test variants/manifests/*/*/objects.yaml   # faulty ones fail, right ones do not",
        ),
    ),
    "policy-tests": record(
        8,
        "the policies' own tests pass, and notice policies that are wrong",
        lambda _: policy_tests.proof(),
        (
            "Would your tests notice a policy that refuses everything? One that refuses nothing?",
            "One test for each rule with a thing that it refuses, and one with things that all rules let pass.",
            "opa test policy --coverage --format json | tail   # then take a rule away and see whether a test fails",
        ),
    ),
    "pipeline": record(
        6,
        "./pipeline ends with 0 on your platform, and with another code on a change that is wrong",
        lambda _: pipeline.proof(visible()["pipeline"]),
        (
            "What does it end with when a stage in the middle fails? What when your platform is as it should be?",
            "#!/bin/sh -e; no ||, no `;` between stages, and in a pipe only the last command's code counts.",
            "./pipeline; echo $?   # then: sed -i 's/versioning = true/versioning = false/' infra/main.tf, and again",
        ),
    ),
    "images": record(
        4,
        "the API server refuses pods of the platform whose images are not ours by digest",
        lambda profile: admission.images(profile, visible()["images"]),
        (
            "A policy does nothing without a binding, and a binding only what its validationActions say.",
            "namespaceSelector: {matchLabels: {platform: ml}}; containers.all(c, …); has(…) before initContainers.",
            "kubectl get validatingadmissionpolicybinding -o yaml; kubectl -n fraud run x --image=x --dry-run=server",
        ),
        needs=("cluster",),
    ),
    "model-cards": record(
        4,
        "Gatekeeper refuses inference Deployments of the platform without a model card",
        lambda profile: admission.model_cards(profile, visible()["model-cards"]),
        (
            "kubectl get constrainttemplates,constraints: are they there, enforced, and with enforcementAction deny?",
            "input.review.object.metadata; spec.match has kinds, namespaceSelector and labelSelector.",
            "kubectl get constraints -o yaml   # status.byPod says what Gatekeeper thinks of it",
        ),
        needs=("cluster", "gatekeeper"),
    ),
    "audited": Check(
        title="the audit names the Deployment that was there before the rule",
        probe=admission.audited,
        expect=bool,
        within=30,
        points=2,
        hints=(
            "Is the Deployment legacy still there, and in a namespace that your constraint matches?",
            "The audit looks every five seconds here; status.violations has what it found.",
            "kubectl get constraints -o jsonpath='{.items[*].status.violations}'",
        ),
        needs=("cluster", "gatekeeper"),
    ),
}
POINTS = sum(check.points for check in CHECKS.values())
