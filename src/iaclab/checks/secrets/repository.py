"""Checks of what lies in the learner's repositories and files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from iaclab.checks.record import Check
from iaclab.platform.profile import Profile

_SHORTEST = 7  # characters of a commit's name


def _git(repository: str, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", repository, *arguments], capture_output=True, text=True)
    return done.stdout.strip()


def _leaked_in(_: Profile) -> dict[str, Any]:
    said = Path("leaked-in.txt").read_text().strip()
    came = _git("leaky", "log", "--all", "--reverse", "--format=%H", "-G", "AKIA[A-Z2-7]{16}").splitlines()
    return {"you say": said or "nothing", "right": len(said) >= _SHORTEST and bool(came) and came[0].startswith(said)}


def _left(_: Profile) -> dict[str, Any]:
    now, before = (yaml.safe_load(text) for text in (Path("config/prod/registry.yaml").read_text(), _first()))
    oncall, platform = (_public(f"{who}.agekey") for who in ("oncall", "platform"))
    readers = {entry["recipient"] for entry in now["sops"].get("age") or []}
    rules = yaml.safe_load(Path("config/.sops.yaml").read_text())["creation_rules"]
    prod = [str(rule.get("age", "")) for rule in rules if "prod" in str(rule.get("path_regex", ""))]
    return {
        "oncall opens the file": oncall in readers,
        "platform opens the file": platform in readers,
        "oncall in the rule": any(oncall in keys for keys in prod),
        "platform in the rule": bool(prod) and all(platform in keys for keys in prod),
        "new data key": str(now["stringData"]["token"]).startswith("ENC[")
        and now["stringData"]["token"] != before["stringData"]["token"],
    }


def _first() -> str:
    """The file as it was committed first."""
    first = _git("config", "log", "--reverse", "--format=%H", "--", "prod/registry.yaml").splitlines()[0]
    return _git("config", "show", f"{first}:prod/registry.yaml")


def _public(key_file: str) -> str:
    """The public key that age-keygen has written into a key's file as a comment."""
    lines = Path(key_file).read_text().splitlines()
    return next(line.split(": ")[1].strip() for line in lines if line.startswith("# public key: "))


def _guarded(_: Profile) -> dict[str, Any]:
    hook = Path("guarded/.git/hooks/pre-commit")
    text = _git("guarded", "show", "HEAD:train.py")
    history = _git("guarded", "log", "-p", "--all", "--", "train.py")
    return {
        "train.py": "in the last commit" if text else "not in the last commit",
        "reads the environment": "environ" in text or "getenv" in text,
        "a key in the history": "AKIA" in history,
        "hook on": os.access(hook, os.X_OK) and "detect-secrets-hook" in hook.read_text(),
    }


CHECKS = {
    "leaked-in": Check(
        title="the commit in which the key came",
        needs=(),
        probe=_leaked_in,
        expect=lambda seen: seen["right"],
        hints=(
            "The scan says a commit's short name beside each finding.",
            "git log -G finds the commits in which a line with a pattern comes or goes.",
            'git -C leaky log --oneline -G AKIA   # the last line; leaked_in = "…"',
        ),
    ),
    "left": Check(
        title="the key oncall opens nothing in prod any more, and the data key is new",
        needs=(),
        probe=_left,
        expect=lambda seen: (
            seen
            == {
                "oncall opens the file": False,
                "platform opens the file": True,
                "oncall in the rule": False,
                "platform in the rule": True,
                "new data key": True,
            }
        ),
        hints=(
            "Three steps: the rule, the file's list of keys, its data key.",
            "Take the key out of .sops.yaml; `sops updatekeys` follows the rule; `sops rotate` makes a new data key.",
            "cd config; sops updatekeys --yes prod/registry.yaml; sops rotate --in-place prod/registry.yaml",
        ),
    ),
    "guarded": Check(
        title="train.py is committed, with no key in it, and the hook is on",
        needs=(),
        probe=_guarded,
        expect=lambda seen: (
            seen
            == {
                "train.py": "in the last commit",
                "reads the environment": True,
                "a key in the history": False,
                "hook on": True,
            }
        ),
        hints=(
            "The key is still staged: the file has to change before it is added again.",
            "`os.environ[…]` instead of the key; then git add and git commit, without --no-verify.",
            "cd guarded; printf 'import os\\nkey = os.environ[\"AWS_ACCESS_KEY_ID\"]\\n' > train.py; "
            "git commit -qam Train",
        ),
    ),
}
