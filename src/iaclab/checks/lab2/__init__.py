"""Checks of lab 2: they ask Argo CD, the cluster and the Git server, and try the teams' tokens and the analysis.

`score` runs them all, for those who grade: it needs the profile and the work folder (for `tokens/`), and nothing of
the notebook.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from iaclab.checks.lab2 import delivery, judge, rights
from iaclab.checks.lab2.settled import record
from iaclab.checks.lab2.spec import FIRST
from iaclab.checks.record import Result
from iaclab.platform.profile import Profile


def score(profile: Profile, folder: Path) -> dict[str, Result]:
    """The result of every check, by its name; their points add up to POINTS at most.

    Args:
        profile: where the platform runs.
        folder: the learner's work folder, with `tokens/`.
    """
    with contextlib.chdir(folder):
        return {name: check.run(profile) for name, check in CHECKS.items()}


_DELIVERY = ("argocd", "rollouts")

CHECKS = {
    "projects": record(
        8,
        "three projects: each deploys its own repository into its own namespaces, and nothing that bounds it",
        rights.projects,
        (
            "Which field of a project limits repositories, which one namespaces, which one kinds?",
            "sourceRepos, destinations with a pattern, clusterResourceWhitelist: [], namespaceResourceBlacklist.",
            "kubectl -n argocd get appproject fraud -o yaml   # destinations: fraud-*, sourceRepos: …/fraud.git",
        ),
    ),
    "tokens": record(
        6,
        "each team's token sees and syncs its own Applications, and nothing else",
        rights.tokens,
        (
            "A token acts for a role of a project or for an account. What do its policies say?",
            "p, proj:fraud:ci, applications, get, fraud/*, allow; another such line for sync; no other line.",
            "argocd proj role create-token fraud ci --token-only > tokens/fraud; chmod 600 tokens/*",
        ),
    ),
    "root": record(
        5,
        "the root Application brings projects, namespaces and quotas from platform.git",
        judge.root,
        (
            "argocd app get platform lists what it deploys. What is missing there?",
            "Its source must reach every folder (directory.recurse, or a kustomization.yaml); quotas are in Git too.",
            "argocd app get platform   # then: git add, commit, push, and argocd app get platform --refresh",
        ),
    ),
    "repositories": record(
        4,
        "both teams' repositories are registered with Argo CD, each for its project only",
        judge.repositories,
        (
            "argocd repo list shows what Argo CD knows, and for which project.",
            "A repository Secret has the field project; the credentials come from the template for the whole server.",
            'argocd repo add "$GIT_URL/fraud.git" --project fraud --upsert',
        ),
    ),
    "environments": record(
        6,
        "ApplicationSets from Git make an Application for each team and environment",
        judge.applications,
        (
            "argocd appset list and argocd app list: which of the four is missing, or not as it should be?",
            "The template sets project, path and namespace from the parameters; syncPolicy.automated has two switches.",
            "argocd app get fraud-prod   # CONDITION and MESSAGE say what Argo CD lacks",
        ),
    ),
    "training": record(
        5,
        "the training Job has succeeded in dev with one GPU, in prod with two",
        lambda profile: judge.training(profile, *FIRST),
        (
            "kubectl -n fraud-prod get jobs,pods: does it run, and on how many GPUs?",
            "resources.limits of nvidia.com/gpu differ by environment; a Job needs a new name to be changed.",
            "kubectl -n fraud-prod describe job   # Events name the quota or the taint that is in the way",
        ),
    ),
    "serving": record(
        5,
        "fraud-api and detector run in dev and prod in the size of the table, the Service reaches its pods",
        lambda profile: judge.serving(profile, *FIRST),
        (
            "kubectl get pods -A -l …: how many are ready where?",
            "A patch of the overlay sets /spec/replicas of a Rollout: Kustomize's `replicas` does not know the kind.",
            "kubectl -n fraud-prod get rollout,pods,endpointslices; kubectl -n vision-prod get pods",
        ),
    ),
    "waves": record(
        4,
        "in a sync of fraud the training Job comes before the Rollout",
        judge.waves,
        (
            "Without an annotation everything is in wave 0.",
            "argocd.argoproj.io/sync-wave: a lower number comes first, and must be healthy before the next begins.",
            'argocd.argoproj.io/sync-wave: "1"   # on the Rollout, a string',
        ),
    ),
    "hooks": record(
        4,
        "the last sync of fraud checked the data first and tested the service at the end",
        judge.hooks,
        (
            "Hooks run in a sync. Has there been one since they are in Git?",
            "argocd.argoproj.io/hook: PreSync or PostSync; a hook-delete-policy leaves them until the next one.",
            "argocd app get fraud-prod | grep -E 'PreSync|PostSync'; hook-delete-policy: BeforeHookCreation",
        ),
    ),
    "canary": record(
        5,
        "prod releases to a part of the pods, and goes on only with a measured error ratio of at most 0.05",
        delivery.canary,
        (
            "What does your analysis say of an image that nobody has measured?",
            "Steps: setWeight, then analysis; args from fieldRef, a query by both labels, a successCondition.",
            "successCondition: result[0] <= 0.05   # an empty result is an error, and that is right",
        ),
        needs=_DELIVERY,
    ),
    "promoted": record(
        5,
        "1.1.0 was measured, found good and promoted to every pod of prod",
        delivery.promoted,
        (
            "kubectl argo rollouts get rollout fraud-api -n fraud-prod: where does it stand?",
            "The measurement must be there before the commit; its labels are the namespace and the whole image.",
            "kubectl argo rollouts retry rollout fraud-api -n fraud-prod   # after pushing the measurement",
        ),
        needs=_DELIVERY,
    ),
    "aborted": record(
        7,
        "1.2.0 was measured, found bad and aborted, and Git has taken it back",
        delivery.aborted,
        (
            "What does main of fraud.git ask for, and what runs?",
            "git revert makes a commit; a sync that is being tried again with the old one can be ended.",
            "git revert --no-edit HEAD; git push; argocd app terminate-op fraud-prod   # if it still tries the old one",
        ),
        needs=_DELIVERY,
    ),
    "policy": record(
        3,
        "a policy from Git refuses pods with images from elsewhere in both teams' namespaces",
        delivery.policy,
        (
            "May the project platform deploy this kind, and do the namespaces have the label that it selects?",
            "clusterResourceWhitelist of the project platform: group admissionregistration.k8s.io.",
            "kubectl get namespaces -L team; argocd app get platform",
        ),
    ),
    "incident": record(
        7,
        "the strange image was deployed to vision-prod, and a commit has ended it",
        delivery.incident,
        (
            "git log of vision.git: does it tell the whole story?",
            "The bad commit stays, the next one takes it back; syncing stays automatic all the time.",
            'git revert --no-edit HEAD && git push "$GIT_URL/vision.git" HEAD:main',
        ),
    ),
    "staging": record(
        3,
        "staging is there for both teams, in the size of the table",
        judge.staged,
        (
            "What did dev need, in which repository?",
            "The namespace with its quota in platform.git, a folder in each team's repository.",
            "argocd app get fraud-staging; kubectl -n fraud-staging get rollout,job,quota",
        ),
    ),
    "orphans": record(
        3,
        "Argo CD warns of what is in the teams' namespaces and not in Git",
        judge.orphans,
        (
            "A project can look at whole namespaces, not only at what it deploys.",
            "spec.orphanedResources of both projects, in platform.git; a kind that they forbid is not looked at.",
            "orphanedResources: {warn: true}   # then: argocd app get vision-dev --refresh",
        ),
    ),
}
POINTS = sum(check.points for check in CHECKS.values())
