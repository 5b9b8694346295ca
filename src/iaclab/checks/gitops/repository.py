"""What a repository says, and how a change reaches its main: overlays, the gate, decision records."""

from __future__ import annotations

import json
import re
import tempfile
from datetime import date
from pathlib import Path

import yaml

from iaclab.checks.gitops import look
from iaclab.checks.gitops.look import Object
from iaclab.checks.record import Check
from iaclab.platform.node_pools import GPU
from iaclab.platform.profile import Profile


def _overlay(profile: Profile) -> Object:
    """What the learner's overlay builds to, and whether what it is made from is as it was."""
    done = look.run(profile, "kustomize", "build", "ranker/overlays/staging")
    if done.returncode:
        return {"kustomize says": " ".join(done.stderr.split())}
    objects = {item["kind"]: item for item in yaml.safe_load_all(done.stdout)}
    spec = objects["Deployment"]["spec"]
    pod = spec["template"]["spec"]
    server, settings = pod["containers"][0], objects["ConfigMap"]
    named = [source["configMapRef"]["name"] for source in server.get("envFrom", [])]
    touched = look.run(profile, "git", "-C", "ranker", "status", "--porcelain", "base", "components").stdout
    return {
        "replicas": spec["replicas"],
        "image": server["image"].rsplit("/", 1)[-1],
        "GPUs": server.get("resources", {}).get("limits", {}).get(GPU, 0),
        "tolerates GPU nodes": any(t.get("key") == GPU for t in pod.get("tolerations", [])),
        "settings": settings["data"],
        "name with a hash": named == [settings["metadata"]["name"]] and named != ["settings"],
        "base and components": "changed" if touched else "as they were",
    }


def _promoted(profile: Profile) -> Object:
    """What prod runs, and how the line that says so came to main."""
    folder = "apps/ranker/envs/prod"
    commit = look.git_says(profile, "fleet", "log", "-1", "--format=%H", "main", "--", folder)
    files = look.git_says(profile, "fleet", "show", "--format=", "--name-only", commit).split() if commit else []
    running = look.get(profile, "ranker-prod", "deployments", "ranker")
    return {
        "prod runs": look.image(running),
        "available": running.get("status", {}).get("availableReplicas", 0),
        "the commit touches": sorted({str(Path(file).parent) for file in files}),
        "approved by": _approvers(profile, "fleet", commit),
    }


def _approvers(profile: Profile, repository: str, commit: str) -> list[str]:
    """Who has approved a state of main that holds the commit: `refs/approvals/USER/COMMIT`."""
    refs = look.git_says(profile, repository, "for-each-ref", "--format=%(refname)", "refs/approvals").split()
    holding = {commit, *look.git_says(profile, repository, "rev-list", "--ancestry-path", f"{commit}..main").split()}
    return sorted({ref.split("/")[2] for ref in refs if ref.rsplit("/", 1)[-1] in holding})


def _judged(profile: Profile) -> Object:
    """How the policy that lies on the server judges manifests: the real conftest on six of them."""
    policy = profile.root / "git" / "repositories" / "fleet.git" / "gate" / "policy"
    own = "registry.course.local/ranker:3.1"
    cases = {
        "allowed: our registry": (True, [own], [], {"team": "ranking"}),
        "refused: another registry": (False, ["docker.io/library/ranker:3.1"], [], {"team": "ranking"}),
        "refused: a host that begins like ours": (
            False,
            ["registry.course.local.example/x:1"],
            [],
            {"team": "ranking"},
        ),
        "refused: an init container from elsewhere": (False, [own], ["quay.io/x/init:1.0"], {"team": "ranking"}),
        "refused: the second container": (False, [own, "sidecar:1.0"], [], {"team": "ranking"}),
        "refused: latest": (False, ["registry.course.local/ranker:latest"], [], {"team": "ranking"}),
        "refused: no team": (False, [own], [], {}),
    }
    wrong = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, (allowed, images, inits, labels)) in enumerate(cases.items()):
            file = Path(folder, f"{number}.yaml")
            file.write_text(yaml.safe_dump(_workload(images, inits, labels)))
            done = look.run(profile, "conftest", "test", "--no-color", "-o", "json", "--policy", str(policy), str(file))
            verdict = json.loads(done.stdout)[0] if done.stdout else {"failures": done.stderr}
            if allowed == bool(verdict.get("failures")):
                wrong.append(name)
    return {"policy": "on the server" if policy.is_dir() else "absent", "judged wrongly": wrong or "nothing"}


def _workload(images: list[str], inits: list[str], labels: dict[str, str]) -> Object:
    pod: Object = {"containers": [{"name": f"c{n}", "image": image} for n, image in enumerate(images)]}
    if inits:
        pod["initContainers"] = [{"name": f"i{n}", "image": image} for n, image in enumerate(inits)]
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": {"metadata": {"labels": {"app": "x"}}, "spec": pod}}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x", "labels": labels}, "spec": spec}


def _record(profile: Profile) -> Object:
    """Decision record 2 as it lies on main of the server."""
    names = look.git_says(profile, "fleet", "ls-tree", "--name-only", "main", "docs/adr/").split()
    mine = [name for name in names if Path(name).name.startswith("0002-") and name.endswith(".md")]
    if len(mine) != 1:
        return {"on main": names or "no records", "missing": "docs/adr/0002-….md"}
    return {
        "on main": mine[0],
        "missing": lacks_of_record(look.git_says(profile, "fleet", "show", f"main:{mine[0]}")) or "nothing",
    }


def lacks_of_record(text: str) -> list[str]:
    """What a decision record lacks of the lecture's template."""
    parts = {
        title.strip(): body for title, _, body in (p.partition("\n") for p in re.split(r"^## ", text, flags=re.M)[1:])
    }
    lacks = [] if re.match(r"# 2\. \S", text) else ["a title '# 2. …'"]
    if not re.search(r"^Status: (proposed|accepted|superseded by \d{4})\s*$", text, re.M):
        lacks.append("a status")
    if not _is_date(re.search(r"^Date: (\S+)\s*$", text, re.M)):
        lacks.append("a date")
    lacks += [
        name for name in ("Context", "Options", "Decision", "Consequences") if len(parts.get(name, "").split()) < 8
    ]
    if len(re.findall(r"^- \S", parts.get("Options", ""), re.M)) < 2:
        lacks.append("two options")
    lacks += [f"a line '- {word}: …'" for word in ("Good", "Bad") if not re.search(rf"^- {word}: \S", text, re.M)]
    return lacks + (["words in place of <…>"] if re.search(r"<[a-zY][^>]*>", text) else [])


def _is_date(found: re.Match[str] | None) -> bool:
    try:
        return bool(found and date.fromisoformat(found[1]))
    except ValueError:
        return False


CHECKS = {
    "overlay": Check(
        title="the overlay staging builds to what was asked, from the same base",
        needs=(),
        probe=_overlay,
        expect=lambda seen: (
            seen
            == {
                "replicas": 2,
                "image": "ranker:3.1",
                "GPUs": 1,
                "tolerates GPU nodes": True,
                "settings": {"LOG_LEVEL": "debug", "CANDIDATES": "200"},
                "name with a hash": True,
                "base and components": "as they were",
            }
        ),
        hints=(
            "Which of the pieces above says each of the five things?",
            "resources and components with relative paths; replicas; images under the new name of the base; a "
            "configMapGenerator with behavior: merge.",
            "resources: [../../base]; components: [../../components/gpu]; replicas: [{name: ranker, count: 2}]; "
            'images: [{name: registry.course.local/ranker, newTag: "3.1"}]; configMapGenerator: [{name: settings, '
            "behavior: merge, literals: [LOG_LEVEL=debug]}]",
        ),
    ),
    "promoted": Check(
        title="prod runs 3.1, by a commit to its own folder that somebody else has approved",
        needs=("cluster", "git"),
        probe=_promoted,
        expect=lambda seen: (
            (seen["prod runs"], seen["available"]) == ("ranker:3.1", 3)
            and seen["the commit touches"] == ["apps/ranker/envs/prod"]
            and bool({*seen["approved by"]} - {"learner"})
        ),
        within=30,
        hints=(
            "Which line of which folder says the version of prod? Who else has to agree to its commit?",
            "Commit on a branch from origin/main; push HEAD to refs/approvals/reviewer/COMMIT with the reviewer's "
            "URL; then push HEAD to main.",
            'git push "$GIT_URL_AS_REVIEWER/fleet.git" HEAD:refs/approvals/reviewer/$(git rev-parse HEAD) && '
            "git push origin HEAD:main",
        ),
    ),
    "policy": Check(
        title="the gate's policy refuses images from elsewhere, and still what it refused before",
        needs=("git",),
        probe=_judged,
        expect=lambda seen: seen == {"policy": "on the server", "judged wrongly": "nothing"},
        hints=(
            "The two rules that are there show the form: for some container, a condition, a message.",
            'startswith(container.image, "registry.course.local/") with the slash, and `not` before it; then copy the '
            "file into fleet.git/gate/policy.",
            "deny contains message if { workload; some container in containers; not startswith(container.image, "
            '"registry.course.local/"); message := sprintf("%s: another registry", [container.image]) }',
        ),
    ),
    "adr": Check(
        title="decision record 2 is on main, with context, options, decision and consequences",
        needs=("git",),
        probe=_record,
        expect=lambda seen: seen["missing"] == "nothing",
        hints=(
            "Copy the template and fill every part; what is missing is named above.",
            "Title '# 2. …', Status, Date, the four headings with a sentence each, two options, a Good and a Bad line.",
            "cp docs/adr/template.md docs/adr/0002-environments-are-folders.md, fill it, commit; then push to "
            "refs/approvals/reviewer/$(git rev-parse HEAD) with the reviewer's URL, and to main",
        ),
    ),
}
