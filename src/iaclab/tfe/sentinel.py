"""Sentinel policy sets of a run: a folder with a sentinel.hcl, evaluated in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iaclab.sentinel.policy_set import FILE

_SECONDS = 120  # for a whole set; each policy is bounded as well


@dataclass(frozen=True)
class Set:
    """What a set says: a document for each policy, or why it could not be asked."""

    name: str
    policies: list[dict[str, Any]] = field(default_factory=list)
    error: str = ""


def sets(folder: Path) -> list[Path]:
    """The sets: the folder itself and those below that hold a sentinel.hcl, or policies without one."""
    places = [folder, *sorted(p for p in folder.glob("*") if p.is_dir())]
    return [p for p in places if (p / FILE).exists() or any(p.glob("*.sentinel"))]


def check(folder: Path, document: dict[str, Any]) -> list[Set]:
    """Evaluate every set in `folder`; `document` holds the plan in JSON and what is known of the run."""
    return [_check(place, place.name if place != folder else "", document) for place in sets(folder)]


def _check(place: Path, name: str, document: dict[str, Any]) -> Set:
    if not (place / FILE).exists():
        return Set(name, error=f"there are policies, and no {FILE} names them with their levels")
    command = [sys.executable, "-m", "iaclab.sentinel.policy_set", str(place)]
    try:
        done = subprocess.run(command, input=json.dumps(document), capture_output=True, text=True, timeout=_SECONDS)
        answer = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return Set(name, error=f"the set was stopped after {_SECONDS} s")
    except ValueError:
        return Set(name, error=f"the set could not be evaluated: {(done.stderr.splitlines() or ['no answer'])[-1]}")
    return Set(name, answer.get("policies", []), answer.get("error", ""))


def document(found: list[Set]) -> dict[str, Any]:
    """The sets in the form of the API's `result.sentinel`: by name, each policy with its result and its rules."""
    data = {}
    for entry in found:
        policies = [
            {
                "policy": policy["policy"],
                "result": policy["result"],
                "error": policy["error"],
                "allowed-failure": not policy["result"] and not policy["error"] and policy["level"] == "advisory",
                "enforcement-level": policy["level"],
                "trace": policy["trace"],
            }
            for policy in entry.policies
        ]
        data[entry.name or "policies"] = {
            "result": not entry.error and all(p["result"] or p["allowed-failure"] for p in policies),
            "error": entry.error or None,
            "can-override": not any(p["level"] == "hard-mandatory" and not p["result"] for p in entry.policies),
            "policies": policies,
        }
    return {"schema-version": 1, "data": data}


def log(found: list[Set], passed: bool) -> str:
    """What the CLI shows."""
    count = sum(len(entry.policies) for entry in found)
    meaning = "no policy stands against it" if passed else "a policy stands against it, or could not be evaluated"
    lines = [f"Sentinel Result: {str(passed).lower()}", "", f"This means that {meaning}.", ""]
    lines += [f"{count} {'policy' if count == 1 else 'policies'} evaluated."]
    number = 0
    for entry in found:
        if entry.error:
            lines += ["", f"## Policy set {entry.name or 'policies'}", "", "Result: error", "", entry.error]
        for policy in entry.policies:
            number += 1
            name = f"{entry.name}/{policy['policy']}" if entry.name else policy["policy"]
            lines += ["", f"## Policy {number}: {name} ({policy['level']})", "", f"Result: {_word(policy)}"]
            if policy["printed"]:
                lines += ["", "Print messages:", "", *policy["printed"]]
            lines += ["", policy["error"] or policy["text"]]
    return "\n".join(lines) + "\n"


def _word(policy: dict[str, Any]) -> str:
    if policy["error"]:
        return "error"
    allowed = " (allowed failure based on level)" if not policy["result"] and policy["level"] == "advisory" else ""
    return str(policy["result"]).lower() + allowed
