"""Checks of the final project: they ask both clusters, Argo CD, S3 and IAM, and run the repository's own programs.

What is checked is what main of platform.git says and what the platform is like; the learner's folder is not asked.
"""

from __future__ import annotations

from iaclab.checks.lab2.settled import record
from iaclab.checks.project import delivery, foundation, governance, programme, secrecy, tenancy

_BOTH = ("argocd", "cluster-b")
_ALL = ("argocd", "cluster-b", "aws", "sealed-secrets")

CHECKS = {
    "regions": record(
        8,
        "both regions have the teams' namespaces with their quotas, the node pool and the buckets of the table",
        foundation.regions,
        (
            "terraform plan says what is not there yet. Which of the names differs from the table?",
            "One provider block for each cluster, the second with an alias and a kubeconfig; a module for a region.",
            'provider "mlplatform" { alias = "north", kubeconfig = var.… }; module … providers = { … }',
        ),
        needs=("cluster", "cluster-b", "aws"),
        within=0,
    ),
    "state": record(
        6,
        "the state is in iac-state with versions and a lock, and bin/plan of a fresh clone finds no difference",
        foundation.state,
        (
            "Clone platform.git into another folder and run bin/plan there. What does it ask for?",
            "What plan needs is in Git or in the environment; terraform plan -detailed-exitcode ends with 0.",
            'git clone "$GIT_URL/platform.git" /tmp/fresh && /tmp/fresh/bin/plan; echo $?',
        ),
        needs=("git", "cluster", "cluster-b", "aws"),
        within=0,
    ),
    "fences": record(
        5,
        "each team's project deploys platform.git into the team's namespace, and neither elsewhere nor its own bounds",
        delivery.fences,
        (
            "Which of a project's lists lets that through?",
            "sourceRepos, destinations, clusterResourceWhitelist: [], and namespaceResourceBlacklist for its bounds.",
            "kubectl -n argocd get appproject fraud -o yaml   # destinations: namespace fraud, in both clusters",
        ),
        needs=_BOTH,
    ),
    "topology": record(
        7,
        "one root Application brings all others from platform.git, each by itself, into its project and its region",
        delivery.topology,
        (
            "argocd app list: which one is not Synced and Healthy, or was made by hand?",
            "An ApplicationSet over teams and registered clusters; syncPolicy.automated with prune and selfHeal.",
            "argocd app get fraud-eu-north   # CONDITION and MESSAGE say what Argo CD lacks",
        ),
        needs=_BOTH,
    ),
    "serving": record(
        6,
        "both teams' APIs run in both regions, in the size of the table, on version 1.0.0",
        delivery.serving,
        (
            "kubectl get pods -A in both clusters: how many are ready, and where do the others wait?",
            "One GPU a pod and a toleration of nvidia.com/gpu; replicas differ by region, in an overlay.",
            'kubectl --kubeconfig "$KUBECONFIG_B" -n fraud describe pods   # Events name the quota or the taint',
        ),
        needs=_BOTH,
    ),
    "tenants": record(
        7,
        "with a token of its developer a team looks at its own namespace, and reaches nothing of the other team",
        tenancy.tenants,
        (
            "kubectl auth can-i --list, with a token of the account, says what is given. What is too much?",
            "A ServiceAccount developer in each team's namespace, bound there to the ClusterRole view, from Git.",
            "kubectl auth can-i get secrets -n vision --as system:serviceaccount:fraud:developer",
        ),
        needs=_BOTH,
    ),
    "registry-key": record(
        6,
        "the training's access key came sealed through Git, works, and the training Job reads it",
        secrecy.registry_key,
        (
            "kubectl -n fraud describe sealedsecret,job: what does the controller, what does the Job lack?",
            "An access key of the IAM user fraud-training, through kubeseal into a file of platform.git; envFrom.",
            "kubeseal --format yaml < secret.json > model-registry.yaml   # never let secret.json touch the disk",
        ),
        needs=_ALL,
    ),
    "clean": record(
        4,
        "no secret is on main, and no value that works stands anywhere in the history of platform.git",
        secrecy.clean,
        (
            "The line says where. Is it a value that still works?",
            "A value that was ever pushed is leaked: make it worthless, then take it off main.",
            'git -C platform log --oneline -G "…"   # finds the commit; then rotate, not rewrite',
        ),
        needs=_ALL,
        within=0,
    ),
    "admission": record(
        5,
        "the API servers of both regions refuse the teams' pods with images from elsewhere or without a version",
        governance.admission,
        (
            "Which containers of a pod does your rule look at, and how does it compare the registry's name?",
            "A ValidatingAdmissionPolicy on pods, with a namespaceSelector on the label team, and its binding.",
            "kubectl -n fraud run check --image docker.io/someone/model:1 --dry-run=server",
        ),
        needs=_BOTH,
    ),
    "pipeline": record(
        5,
        "bin/check takes main, and refuses images from elsewhere and the tag latest, in a fresh clone",
        governance.pipeline,
        (
            "In a clone: change a registry or a tag by hand, run bin/check, and look at how it ends.",
            "Render each region's folder, and give what comes out to conftest; a pipe ends as its last command ends.",
            "kubectl kustomize apps/fraud/regions/eu-west | conftest test --policy policy/rules -",
        ),
        needs=("git",),
        within=0,
    ),
    "drift": record(
        4,
        "bin/plan ends with 2 when somebody changes a quota by hand; Argo CD undoes a changed Deployment",
        governance.drift,
        (
            "Who would notice a changed quota, and who a changed Deployment?",
            "bin/plan hands on how terraform plan -detailed-exitcode ends; selfHeal is on in every Application.",
            "exec terraform plan -detailed-exitcode   # no pipe behind it",
        ),
        needs=(*_BOTH, "aws"),
        within=0,
    ),
    "compliance": record(
        4,
        "bin/compliance answers six controls with evidence from the systems, and notices when one no longer holds",
        governance.compliance,
        (
            "Does each row ask the system itself, at the moment when it runs?",
            "A JSON list of rows with control, evidence, state; it ends with 0 only when every state is pass.",
            "boto3: get_bucket_versioning of each bucket; kubectl auth can-i … --as for each team and region",
        ),
        needs=(*_BOTH, "aws"),
        within=0,
    ),
    "design": record(
        1,
        "design.md has its five sections",
        programme.design,
        (
            "Headings of level 2, named as in the task.",
            "Ownership boundaries, GitOps topology, Policy and drift, On call, Decisions.",
            'grep "^## " platform/design.md   # then commit and push',
        ),
        needs=("git",),
        within=0,
    ),
    "playbooks": record(
        1,
        "three playbooks with their sections, each exercised",
        programme.playbooks,
        (
            "Headings of level 2, named as in the task.",
            "Detect, Contain, Recover, Verify, Exercised; the last says what the exercise showed.",
            'grep "^## " platform/playbooks/*.md   # then commit and push',
        ),
        needs=("git",),
        within=0,
    ),
    "bad-release": record(
        4,
        "the colleague's release has been taken back by a commit, and both regions serve 1.0.0",
        programme.bad_release,
        (
            "git log of platform.git: does it tell the whole story?",
            "The bad commit stays, a later one takes it back; syncing stays automatic all the time.",
            "git pull; git revert --no-edit COMMIT; git push",
        ),
        needs=_BOTH,
    ),
    "leaked-key": record(
        4,
        "the leaked key opens nothing, a new one came through Git, and the file is gone from main",
        programme.leaked_key,
        (
            "What still works for whoever has read that commit?",
            "A new access key, sealed and pushed; when the cluster has it, delete the old one in IAM; then the file.",
            "boto3: iam.delete_access_key(UserName='fraud-training', AccessKeyId=…)",
        ),
        needs=_ALL,
    ),
    "lost-region": record(
        3,
        "what was lost in eu-north was made again by Terraform and Argo CD, and serves",
        programme.lost_region,
        (
            "Who owns what was lost? Its owner makes it again.",
            "bin/plan says what is missing; apply it. Then Argo CD has a namespace to sync into.",
            "bin/terraform apply; argocd app sync fraud-eu-north vision-eu-north",
        ),
        needs=(*_BOTH, "aws"),
        within=60,
    ),
}
POINTS = sum(check.points for check in CHECKS.values())
