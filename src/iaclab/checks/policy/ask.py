"""Asks OPA, conftest and the API server what the learner's rules decide."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

Document = dict[str, Any]
_SECONDS = 60


def decide(files: Sequence[str], query: str, document: object, profile: Profile | None = None) -> Any:
    """What a query yields for an input; None where it is undefined.

    Raises:
        LabError: a file is not there, or OPA cannot read it.
    """
    for file in files:
        if not Path(file).exists():
            raise LabError(f"{file} is not there")
    arguments = [part for file in files for part in ("--data", file)]
    done = opa("eval", "--format=json", *arguments, "--stdin-input", query, text=json.dumps(document))
    answer = json.loads(done.stdout or "{}")
    if "result" not in answer and answer.get("errors") is None and done.returncode == 0:
        return None  # undefined
    if done.returncode or "errors" in answer:
        raise LabError(_first(answer, done.stderr))
    return answer["result"][0]["expressions"][0]["value"]


def opa(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run OPA here."""
    command = [str(tools.ensure("opa")["opa"]), *arguments]
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS)


def messages(found: object) -> list[str]:
    """A `deny` as a sorted list of its messages."""
    if not isinstance(found, list):
        raise LabError(f"deny is {type(found).__name__ if found is not None else 'undefined'}, not a set of messages")
    return sorted(str(message) for message in found)


def plan(*changes: Document) -> Document:
    """A plan as `terraform show -json` writes it, as far as policies read it."""
    return {"format_version": "1.2", "resource_changes": list(changes)}


def change(kind: str, name: str, after: Document | None) -> Document:
    """One change of a plan; `after` is None for a deletion."""
    actions = ["delete"] if after is None else ["create"]
    address = f"mlplatform_{kind}.{name}"
    return {
        "address": address,
        "mode": "managed",
        "type": f"mlplatform_{kind}",
        "name": name,
        "change": {"actions": actions, "before": {} if after is None else None, "after": after},
    }


def conftest(policy: str, *files: str, namespace: str = "main", data: str = "") -> list[str]:
    """The failures that conftest finds, as messages.

    Raises:
        LabError: conftest cannot read a file or a policy.
    """
    binary = str(tools.ensure("conftest")["conftest"])
    more = ["--data", data] if data else []
    command = [binary, "test", "--output=json", "--policy", policy, "--namespace", namespace, *more, *files]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
    try:
        report = json.loads(done.stdout)
    except ValueError:
        raise LabError((done.stderr.strip().splitlines() or ["conftest says nothing"])[-1][:300]) from None
    return sorted(failure["msg"] for entry in report for failure in entry.get("failures") or [])


def kubectl(profile: Profile, *arguments: str, document: object = None) -> subprocess.CompletedProcess[str]:
    """Run kubectl on the profile's cluster; `document` is its standard input."""
    from iaclab.platform.services import cluster

    binary = str(tools.ensure("kubectl")["kubectl"])
    command = [binary, "--kubeconfig", str(cluster.kubeconfig(profile)), *arguments]
    text = json.dumps(document) if document is not None else ""
    return subprocess.run(command, input=text, capture_output=True, text=True, timeout=_SECONDS)


def admitted(profile: Profile, document: Document) -> tuple[bool, str]:
    """Whether the API server would take an object (nothing is kept), and what it says if not.

    Raises:
        LabError: the API server cannot be asked.
    """
    done = kubectl(profile, "create", "--dry-run=server", "-f", "-", "-o", "name", document=document)
    if done.returncode == 0:
        return True, ""
    if "denied" in done.stderr or "Forbidden" in done.stderr or "forbidden" in done.stderr:
        return False, done.stderr.strip()
    raise LabError(done.stderr.strip()[:300] or "the API server says nothing")


def _first(answer: Document, stderr: str) -> str:
    errors = answer.get("errors") or []
    if errors:
        place = errors[0].get("location") or {}
        return f"{place.get('file', '')}:{place.get('row', '')}: {errors[0]['message']}"
    return (stderr.strip().splitlines() or ["OPA says nothing"])[0][:300]
