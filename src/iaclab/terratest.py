"""Makes a folder ready for Go tests that import Terratest.

Terratest's own module where it can be fetched; else, or with IACLAB_TERRATEST=stand-in, the one in tools/terratest that
stands in for it: the same import paths, on the same Terraform, S3 and cluster (its README says more).
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

from iaclab import paths, tools
from iaclab.errors import LabError
from iaclab.tools import gobuild
from iaclab.tools.catalogue import tool
from iaclab.tools.install import why_not

PATH = "github.com/gruntwork-io/terratest"
_PARSER = "terratest_log_parser"  # the tool with which Terratest itself comes
_PACKAGES = ("aws", "k8s", "random", "terraform", "test-structure")
_TELL = 15  # seconds between two lines of a compilation


def module(folder: str | Path) -> str:
    """Write `folder`/go.mod and go.sum, and set this process' environment for Go; returns which Terratest it is.

    Args:
        folder: where the tests lie; it is made.

    Raises:
        LabError: no Go, no clone of the course, or a module that does not compile.
    """
    tools.ensure("go")
    os.environ.update(environment())
    root = paths.repo_root()
    if root is None:
        raise LabError(
            "Terratest's go.mod is not here.",
            why="It lies in tools/go/terratest of a clone of the course, and this is no clone.",
            mend="iaclab doctor   # says where the course was installed from",
        )
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    why = _why_not_itself()
    source = root / "tools" / ("terratest" if why else "go/terratest")
    text = (source / "go.mod").read_text()
    version = f"v{tool(_PARSER).version}"
    if why:
        text = text.replace(f"module {PATH}\n", "module course.local/tests\n", 1)
        text += f"\nrequire {PATH} {version}\n\nreplace {PATH} => {source}\n"
    else:
        text = re.sub(r"^tool .*\n\n?", "", text, flags=re.MULTILINE)
    (place / "go.mod").write_text(text)
    shutil.copyfile(source / "go.sum", place / "go.sum")
    _compile(place)
    return f"the course's stand-in for Terratest ({why})" if why else f"Terratest {version}"


def environment() -> dict[str, str]:
    """What Go needs: the tools' toolchain, flags and build cache, so that nothing compiles twice; tests run no vet."""
    cache = paths.cache_dir() / "go-build"
    cache.mkdir(parents=True, exist_ok=True)
    return {
        "GOTOOLCHAIN": gobuild.TOOLCHAIN,
        "GOCACHE": str(cache),
        "CGO_ENABLED": "0",
        "GOFLAGS": f"{gobuild.FLAGS} -trimpath -vet=off",
        "GOWORK": "off",
    }


def _why_not_itself() -> str:
    if os.environ.get("IACLAB_TERRATEST") == "stand-in":
        return "IACLAB_TERRATEST asks for it"
    if _PARSER in tools.attempt(_PARSER):
        return ""
    return f"{PATH} cannot be fetched: {why_not(_PARSER)}"


def _compile(place: Path) -> None:
    """Compile the packages into the build cache: minutes the first time, and said so; a second after that."""
    packages = [f"{PATH}/modules/{package}" for package in _PACKAGES]
    packages += [f"github.com/stretchr/testify/{name}" for name in ("assert", "require")]
    started = time.monotonic()
    process = subprocess.Popen(
        ["go", "build", *packages], cwd=place, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while True:
        try:
            said, _ = process.communicate(timeout=_TELL)
            break
        except subprocess.TimeoutExpired:
            print(f"compiling Terratest, once for all lessons: {time.monotonic() - started:.0f} s …", flush=True)
    if process.returncode:
        raise LabError("Terratest does not compile.", why=said.strip()[-300:], mend="iaclab doctor")
