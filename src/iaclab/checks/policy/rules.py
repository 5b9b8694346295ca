"""Checks of rules, their tests, their speed and their bundles: each rule is asked about inputs of the check's own."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import httpx

from iaclab.checks.policy import ask
from iaclab.checks.policy.ask import change, plan
from iaclab.checks.record import Check
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

_MUTANTS = {  # what is changed in quota.rego, on the text of the lecture and on that of its exercise
    ">= for >": ("total > limit(team)", "total >= limit(team)"),
    "training turned round": ("not pool.labels.workload == ", "pool.labels.workload == "),
    "no quota is 999": ("limit(team) := 0 if", "limit(team) := 999 if"),
    "large machines are never found": ("in data.large", "in []"),
}
_MOST = 5_000


def _buckets(_: Profile) -> dict[str, Any]:
    changes = {
        "kept": change("model_bucket", "kept", {"name": "kept", "versioning": True}),
        "lost": change("model_bucket", "lost", {"name": "lost", "versioning": False}),
        "unsaid": change("model_bucket", "unsaid", {"name": "unsaid"}),
        "deleted": change("model_bucket", "deleted", None),
        "pool": change("gpu_node_pool", "pool", {"name": "pool"}),
    }
    found = ask.messages(
        ask.decide(["first/policy/buckets.rego"], "data.platform.buckets.deny", plan(*changes.values()))
    )
    return {name: any(changes[name]["address"] in message for message in found) for name in changes} | {
        "messages": len(found)
    }


def _migrated(_: Profile) -> dict[str, Any]:
    file = "old/teams.rego"
    strict = ask.opa("check", "--strict", file)
    text = Path(file).read_text()
    containers = [{"name": "mine", "team": "vision"}, {"name": "theirs", "team": "speech"}, {"name": "lost"}]
    found = ask.messages(ask.decide([file], "data.teams.deny", {"containers": containers}))
    return {
        "reads as v1": strict.returncode == 0,
        "old imports": bool(re.search(r"^import (future|rego)\b", text, re.MULTILINE)),
        **{item["name"]: any(item["name"] in message for message in found) for item in containers},
    }


def _covered(_: Profile) -> dict[str, Any]:
    if not Path("quota/quota.rego").exists():
        raise LabError("quota/quota.rego is not there")
    done = ask.opa("test", "quota", "--format=json", "--coverage")
    plain = ask.opa("test", "quota")
    if plain.returncode:
        raise LabError(f"the tests do not pass: {(plain.stdout or plain.stderr).strip().splitlines()[-1]}")
    report = json.loads(done.stdout)
    share = next((part.get("coverage", 0) for name, part in report["files"].items() if name.endswith("/quota.rego")), 0)
    return {"covered": f"{share:g} %", "survived": [name for name in _MUTANTS if _survives(*_MUTANTS[name])]}


def _survives(old: str, new: str) -> bool:
    """Whether the tests pass on a rule that was changed for the worse."""
    text = Path("quota/quota.rego").read_text()
    if old not in text:
        raise LabError(f"quota.rego has no {old!r} any more: write tests, and leave this line as it is")
    with tempfile.TemporaryDirectory() as base:
        mutant = Path(shutil.copytree("quota", Path(base, "quota")))
        (mutant / "quota.rego").write_text(text.replace(old, new))
        return ask.opa("test", str(mutant)).returncode == 0


def _faster(_: Profile) -> dict[str, Any]:
    file, query = "speed/names.rego", "data.platform.names.deny"
    if not Path(file).exists():
        raise LabError(f"{file} is not there")
    many = [f"pool-{n}" for n in range(397)] + ["twice", "twice", "once"]
    arguments = ["--profile", "--profile-sort=num_eval", "--profile-limit=1", "--format=json"]
    done = ask.opa("eval", "--data", file, *arguments, "--stdin-input", query, text=json.dumps(_pools(*many)))
    if done.returncode:
        raise LabError((done.stderr or done.stdout).strip().splitlines()[0][:300])
    found = {
        "none": ask.messages(ask.decide([file], query, _pools("a", "b", "c"))),
        "thrice and twice": ask.messages(ask.decide([file], query, _pools("a", "b", "a", "a", "b", "c"))),
        "gone": ask.messages(ask.decide([file], query, plan(change("gpu_node_pool", "a", None)))),
    }
    most = json.loads(done.stdout)["profile"][0]["num_eval"]
    return {"most evaluated": most} | {name: len(messages) for name, messages in found.items()}


def _pools(*names: str) -> ask.Document:
    return plan(*(change("gpu_node_pool", f"n{place}", {"name": name}) for place, name in enumerate(names)))


def _bundle(_: Profile) -> dict[str, Any]:
    address = Path("bundles/address").read_text().strip()
    if not address.startswith("http://127.0.0.1:"):
        raise LabError("bundles/address is no address on this machine")

    def asked(path: str, **document: object) -> Any:
        answer = httpx.post(f"{address}/v1/data/{path}", json={"input": document}, timeout=5, trust_env=False)
        return answer.json().get("result")

    return {
        "revision": asked("system/bundles/platform/manifest/revision"),
        "public ranker": asked("endpoints/allow", service="ranker", public=True),
        "public docs": asked("endpoints/allow", service="docs", public=True),
        "private ranker": asked("endpoints/allow", service="ranker", public=False),
    }


CHECKS = {
    "first-rule": Check(
        title="a bucket that keeps no versions is denied, one that is deleted is not",
        needs=(),
        probe=_buckets,
        expect=lambda seen: (
            seen == {"kept": False, "lost": True, "unsaid": True, "deleted": False, "pool": False, "messages": 2}
        ),
        hints=(
            "Which buckets does `versioning == false` miss? One without the key. A deleted one has no after.",
            "change.change.after != null, and `not change.change.after.versioning`; sprintf with change.address.",
            "change.change.after != null; not change.change.after.versioning; "
            'message := sprintf("%s keeps no versions", [change.address])',
        ),
    ),
    "migrated": Check(
        title="the rule is Rego v1, without old imports, and a container without a team is denied",
        needs=(),
        probe=_migrated,
        expect=lambda seen: (
            seen == {"reads as v1": True, "old imports": False, "mine": False, "theirs": True, "lost": True}
        ),
        hints=(
            "`iaclab lint old/teams.rego` names the line; the hole is the !=.",
            "deny contains msg if { some container in input.containers … }, and `not … ==` in place of `!=`.",
            'not container.team == "vision"   # and no import line',
        ),
    ),
    "covered": Check(
        title="every line of quota.rego is covered, and the tests notice each change for the worse",
        needs=(),
        probe=_covered,
        expect=lambda seen: seen == {"covered": "100 %", "survived": []},
        hints=(
            "Two rules are not asked by any test: large machines, and a team without a quota.",
            "Each needs both sides: what is denied, and what is not. Compare the whole set, not its size.",
            'quota.deny with input as plan([pool({"accelerator": "h100-80gb"})]) with data.quota as {"vision": 16} '
            'with data.large as ["h100-80gb"]',
        ),
    ),
    "faster": Check(
        title=f"no expression is evaluated more than {_MOST:,} times for 400 pools, and the rule says the same",
        needs=(),
        probe=_faster,
        expect=lambda seen: (
            seen["most evaluated"] <= _MOST and (seen["none"], seen["thrice and twice"], seen["gone"]) == (0, 2, 0)
        ),
        hints=(
            "Each pool is compared with each other. Look at each once, and put it with those of its name.",
            "places[pool.name] contains i if some i, pool in pools makes a set for each name.",
            "deny contains message if { some name, found in places; count(found) > 1; message := … }",
        ),
    ),
    "bundle": Check(
        title="the server runs revision 4, in which ranker is not public and docs is",
        needs=(),
        within=60,
        probe=_bundle,
        expect=lambda seen: (
            seen == {"revision": "4", "public ranker": False, "public docs": True, "private ranker": True}
        ),
        hints=(
            "What the server runs is what was published and signed with its key; source alone changes nothing.",
            "Put kept.rego back to source/endpoints.rego, mend source/data.json, then ./publish 4.",
            "cd bundles; cp kept.rego source/endpoints.rego; "
            'echo \'{"public_services": ["docs"]}\' > source/data.json; ./publish 4',
        ),
    ),
}
