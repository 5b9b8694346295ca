"""The section that breaks things: is everything back, and does the learner's reconciler brake?"""

from __future__ import annotations

import secrets
import shutil
import sys
import tempfile
from pathlib import Path

import yaml

from iaclab.checks.gitops import look
from iaclab.checks.gitops.look import Object
from iaclab.checks.record import Check
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster, git


def _restored(profile: Profile) -> Object:
    names = ("gateway", "registry", "tracking")
    found = {name: look.get(profile, "core", "deployments", name).get("status", {}) for name in names}
    return {
        "available": [name for name in names if found[name].get("availableReplicas")],
        "routes": "there" if look.get(profile, "core", "configmaps", "routes", "v1") else "absent",
        "the merge": "in the history" if look.commit_named(profile, "core", "Merge branch tidy") else "gone",
    }


def _guarded(profile: Profile) -> Object:
    """Run the learner's reconciler on a repository and a namespace of the check's own, and count what it leaves."""
    name = f"guard-check-{secrets.token_hex(3)}"  # a namespace of a run before may still be going
    left: Object = {}
    bare = profile.root / "git" / "repositories" / f"{name}.git"
    url = git.new_repository(profile, name).replace("://", f"://{git.READER}@")
    look.run(profile, "kubectl", "create", "namespace", name)
    try:
        with tempfile.TemporaryDirectory() as folder:
            look.run(profile, "git", "init", "-q", folder)
            for title, count in {"4 files": 4, "none": 0, "1 file": 1, "3 files": 3}.items():
                _commit_maps(profile, Path(folder), bare, count)
                done = look.run(profile, sys.executable, "reconciler.py", name, url, ".", "once")
                left[title] = len(_maps(profile, name))
                if title == "4 files" and left[title] != 4:  # a mistake of another kind: say what the program said
                    return left | {"it said": (done.stderr or done.stdout).strip().splitlines()[-1:]}
                if title == "none":
                    left["and it says"] = "an error" if "error" in done.stdout else "no error"
    finally:
        look.run(profile, "kubectl", "delete", "namespace", name, "--wait=false")
        shutil.rmtree(bare, ignore_errors=True)
        shutil.rmtree(Path("clones", name), ignore_errors=True)
    return left


def _commit_maps(profile: Profile, folder: Path, bare: Path, count: int) -> None:
    """Make the newest commit of main say `count` ConfigMaps."""
    names = [f"map-{number}" for number in range(count)]
    for name in names:
        content = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    (folder / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [f"{name}.yaml" for name in names]}))
    look.run(profile, "git", "add", ".", cwd=folder)
    look.run(profile, "git", "commit", "-qm", f"{count} maps", cwd=folder)
    look.run(profile, "git", "push", "-q", str(bare), "HEAD:main", cwd=folder)


def _maps(profile: Profile, namespace: str) -> list[str]:
    found = cluster.kube(profile).get(f"/api/v1/namespaces/{namespace}/configmaps") or {"items": []}
    return [o["metadata"]["name"] for o in found["items"] if o["metadata"]["name"].startswith("map-")]


CHECKS = {
    "restored": Check(
        title="the shared services are back, and the history still tells of the merge",
        needs=("cluster", "git"),
        probe=_restored,
        expect=lambda seen: (
            seen == {"available": ["gateway", "registry", "tracking"], "routes": "there", "the merge": "in the history"}
        ),
        within=30,
        hints=(
            "What did the reconciler do last, and for which commit?",
            "`git show --stat HEAD` and services/kustomization.yaml; a merge is reverted with `-m 1`.",
            'cd core && git revert --no-edit -m 1 HEAD && git push "$GIT_URL/core.git" HEAD:main',
        ),
    ),
    "guarded": Check(
        title="a round that would delete more than half deletes nothing and says so; smaller prunes go on",
        needs=("cluster", "git"),
        probe=_guarded,
        expect=lambda seen: seen == {"4 files": 4, "none": 4, "and it says": "an error", "1 file": 4, "3 files": 3},
        hints=(
            "Where does the program know what is ours, and what of it is surplus?",
            "In `reconcile`, before the first delete: compare len(surplus) with len(before), and raise RuntimeError.",
            'if 2 * len(surplus) > len(before): raise RuntimeError(f"{len(surplus)} of {len(before)} would go")',
        ),
    ),
}
