"""The policies: Rego, asked by conftest about plans and about Kubernetes objects."""

from __future__ import annotations

import json
import secrets
import tempfile
from pathlib import Path

from iaclab.checks.lab3 import running
from iaclab.checks.lab3.cases import Cases
from iaclab.checks.lab3.proof import Proof
from iaclab.errors import LabError

SECONDS = 60  # that all documents together may take


def proof(cases: Cases) -> Proof:
    """What the policies refuse.

    Raises:
        LabError: there are no policies, or conftest cannot use them.
    """
    return Proof.of(cases, {name: said[0] if said else None for name, said in refusals(cases).items()})


def refusals(cases: Cases) -> dict[str, list[str]]:
    """What is said against each case.

    Raises:
        LabError: as `proof`.
    """
    policies = running.taken("policy/**/*.rego")
    if not policies:
        raise LabError("the folder policy has no .rego file")
    with tempfile.TemporaryDirectory(prefix="iaclab-policy-") as scratch:
        folder = running.put(Path(scratch), {**policies, "capabilities.json": running.capabilities()})
        names: dict[str, str] = {}
        for case in cases.all:  # the files have random names: a policy can see them
            (file, text), stem = next(iter(case.files.items())), secrets.token_hex(8)
            running.put(folder, {f"{stem}{Path(file).suffix}": text})
            names[stem] = case.name
        command = [running.tool("conftest"), "test", "--policy", "policy", "--all-namespaces", "--output", "json"]
        command += ["--no-color", "--capabilities", "capabilities.json"]
        files = sorted(path.name for path in folder.glob("*") if path.stem in names)
        done = running.run([*command, *files], folder, timeout=SECONDS)
    return _read(done.stdout, done.stderr, names)


def _read(output: str, error: str, names: dict[str, str]) -> dict[str, list[str]]:
    said: dict[str, list[str]] = {}
    try:
        for answer in json.loads(output):
            against = said.setdefault(names[Path(answer["filename"]).stem], [])
            against += [running.first_line(str(failure["msg"]), 80) for failure in answer.get("failures") or []]
    except (ValueError, KeyError, TypeError):
        raise LabError(f"conftest says: {running.first_line(error or output)}") from None
    if missing := set(names.values()) - set(said):
        raise LabError(f"conftest says nothing about {len(missing)} of {len(names)} files")
    return said
