"""The pipeline: the learner's `./pipeline` in a copy of the work folder, on right and on wrong changes."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

from iaclab.checks.lab3 import running
from iaclab.checks.lab3.cases import BASE, Case, Cases
from iaclab.checks.lab3.proof import Proof
from iaclab.errors import LabError

Object = dict[str, Any]
OWN = "the platform as it stands in your folder"
_RIGHT = Path(__file__).parent / "right"
_said: dict[str, str | None] = {}  # what a pipeline said to a folder with these contents


def proof(faulty: Object, *, also: bool = False) -> Proof:
    """Which wrong changes the pipeline stops, without stopping the platform as it stands.

    Args:
        faulty: by name, files of a change to the right platform: a text, or a list of (old, new).
        also: whether the right platform, in place of the learner's, must pass too.

    Raises:
        LabError: there is no pipeline.
    """
    own = {name: content for name, content in running.taken("**/*").items() if ".tfstate" not in name}
    if "pipeline" not in own:
        raise LabError("there is no file pipeline")
    if not Path("pipeline").stat().st_mode & 0o100:
        raise LabError("pipeline cannot be executed: chmod +x pipeline")
    base = {str(path.relative_to(_RIGHT)): path.read_text() for path in _RIGHT.rglob("*") if path.is_file()}
    rest = {name: content for name, content in own.items() if not _is_platform(name)}
    runs: dict[str, dict[str, bytes | str]] = {OWN: {**own}, **({BASE: rest | base} if also else {})}
    rights = set(runs)
    runs |= {name: rest | base | _changed(base, change) for name, change in faulty.items()}
    cases = Cases(tuple(Case(name, name in rights, {}) for name in runs))
    return Proof.of(cases, {name: _objection(files) for name, files in runs.items()})


def _is_platform(name: str) -> bool:
    """What a change changes: the module, its values, the manifests. The rest is the learner's."""
    path = Path(name)
    return path.suffix in (".tf", ".tfvars") or path.parts[0] == "manifests"


def _changed(base: dict[str, str], change: Object) -> dict[str, bytes | str]:
    changed: dict[str, bytes | str] = {}
    for name, what in change.items():
        text = base.get(name, "")
        for old, new in [] if isinstance(what, str) else what:
            assert old in text, f"{name} has no {old!r}"
            text = text.replace(old, new)
        changed[name] = what if isinstance(what, str) else text
    return changed


def _objection(files: dict[str, bytes | str]) -> str | None:
    """Why the pipeline fails; `None` where it ends with 0."""
    content = {name: text if isinstance(text, bytes) else text.encode() for name, text in files.items()}
    key = hashlib.sha256(repr(sorted(content.items())).encode()).hexdigest()
    if key not in _said:
        _said[key] = _run(content)
    return _said[key]


def _run(files: dict[str, bytes]) -> str | None:
    with tempfile.TemporaryDirectory(prefix="iaclab-pipeline-") as scratch:
        folder, work = Path(scratch), Path(scratch, "work")
        running.put(work, files)
        for name, content in files.items():
            if content.startswith(b"#!"):
                (work / name).chmod(0o755)
        done = running.terraform("cd work && exec ./pipeline", folder, **running.provider(folder))
    if done.returncode == 0:
        return None
    return f"exit code {done.returncode}: {running.first_line((done.stdout + done.stderr)[-150:])}"
