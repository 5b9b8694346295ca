"""Runs what a learner wrote, with the tools and without credentials, a network or a way to read other files.

Every run is `confined.run`: when a submission is graded that is a sandbox. On a learner's own machine Rego's builtins
that reach outside are still left out, so that a policy says the same in both places.
"""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from iaclab import tools
from iaclab.errors import LabError
from iaclab.grading import confined
from iaclab.platform.services.terraform import LAUNCHER
from iaclab.terraform_provider import SOURCE, VERSION
from iaclab.tools.catalogue import arch, system

TOOLS = ("terraform", "opa", "conftest")
_LEFT_OUT = ("http.", "net.", "opa.")  # how Rego reaches a network and the environment; conftest's own read files
_LARGEST, _MOST = 1_000_000, 500  # bytes of a file, files
_SKIPPED = {".terraform", ".git", "variants", "__pycache__", ".ipynb_checkpoints"}


def run(argv: Sequence[str], folder: Path, timeout: float = 60, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a program in a folder.

    Raises:
        LabError: it did not end in time.
    """
    own = {"PATH": search_path(), "HOME": str(folder), "LANG": "C.UTF-8", "NO_COLOR": "1", **env}
    try:
        return confined.run(argv, folder=folder, env=own, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise LabError(f"{Path(argv[0]).name} did not end within {timeout:.0f} s") from None


def tool(name: str) -> str:
    """A tool's program.

    Raises:
        LabError: it is not here.
    """
    found = tools.find(name)
    if found is None:
        raise LabError(f"{name} is not installed", mend=f"iaclab tools install {name}")
    return str(found.path)


def search_path() -> str:
    """PATH of what runs here: the tools of the lab, this Python, the system."""
    here = (tools.find(name) for name in TOOLS)
    folders = [*(str(found.path.parent) for found in here if found), str(Path(sys.executable).parent)]
    return os.pathsep.join(dict.fromkeys([*folders, "/usr/local/bin", *os.defpath.split(os.pathsep)]))


@cache
def capabilities() -> str:
    """OPA's capabilities as JSON, without the builtins that reach outside."""
    done = subprocess.run([tool("opa"), "capabilities", "--current"], capture_output=True, text=True, check=True)
    known = json.loads(done.stdout)
    known["builtins"] = [entry for entry in known["builtins"] if not entry["name"].startswith(_LEFT_OUT)]
    return json.dumps(known | {"allow_net": []})


def provider(folder: Path) -> dict[str, str]:
    """Put the provider mlplatform into a folder; returns the environment by which Terraform finds it there."""
    place = folder / "mirror" / SOURCE / VERSION / f"{system()}_{arch()}"
    place.mkdir(parents=True)
    program = place / f"terraform-provider-{SOURCE.rsplit('/', 1)[-1]}_v{VERSION}"
    program.write_text(LAUNCHER)  # the same as everywhere, so that a lock file fits
    start = folder / "start"
    start.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m iaclab.terraform_provider \"$@\"\n")
    for path in (program, start):
        path.chmod(0o755)
    config = folder / "terraform.rc"
    config.write_text(
        "disable_checkpoint = true\nprovider_installation {\n"
        f'  filesystem_mirror {{\n    path = "{folder / "mirror"}"\n  }}\n}}\n'
    )
    return {
        "TF_CLI_CONFIG_FILE": str(config),
        "IACLAB_TERRAFORM_PROVIDER": str(start),
        "TF_INPUT": "0",
        "TF_CLI_ARGS": "-no-color",
    }


# Terraform asks a provider for its schema a dozen times in a test, and starts it each time: here one runs beside it.
_BESIDE = """
'{python}' -u -m iaclab.terraform_provider --dev >provider 2>&1 &
until grep -q TF_REATTACH_PROVIDERS provider; do kill -0 $! || exit 1; sleep 0.02; done
eval "$(grep TF_REATTACH_PROVIDERS provider)"
{command}
"""


def terraform(command: str, folder: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a shell command that uses Terraform, with the provider mlplatform at hand."""
    script = _BESIDE.format(python=sys.executable, command=command)
    return run(["/bin/sh", "-c", script], folder, timeout=90, **env)


def taken(*patterns: str) -> dict[str, bytes]:
    """The regular files of the work folder that fit a pattern, by path: no link is followed, nothing large is read.

    Raises:
        LabError: there are too many.
    """
    found: dict[str, bytes] = {}
    for pattern in patterns:
        for path in sorted(Path().glob(pattern)):
            if _SKIPPED & set(path.parts) or any(parent.is_symlink() for parent in (path, *path.parents)):
                continue
            status = path.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST:
                found[str(path)] = path.read_bytes()
            if len(found) > _MOST:
                raise LabError(f"the work folder has more than {_MOST} files")
    return found


def put(folder: Path, files: Mapping[str, bytes | str]) -> Path:
    """Write files into a folder of our own; returns it."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def first_line(text: str, most: int = 160) -> str:
    """What a program said, short."""
    words = " ".join(text.split())
    return words if len(words) <= most else words[: most - 1] + "…"
