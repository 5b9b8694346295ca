"""A Pulumi program in a folder of its own, and what the tests do with it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

RUNNER = Path(__file__).with_name("run_program.py")
IMPORTS = "import pulumi\nfrom iaclab.pulumi_platform.resources import Cluster, GpuNodePool, ModelBucket\n"


class Program:
    """Its folder's name is the project's."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder, self.env = folder, env
        folder.mkdir(parents=True)
        (folder / "Pulumi.yaml").write_text(f"name: {folder.name}\nruntime: python\n")

    def write(self, text: str) -> Program:
        """The program, after the usual imports."""
        (self.folder / "__main__.py").write_text(IMPORTS + text)
        return self

    def command(self, operation: str) -> list[str]:
        return [sys.executable, str(RUNNER), str(self.folder), operation]

    def tried(self, operation: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(operation), env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=240
        )

    def run(self, operation: str) -> str:
        """What it printed; a failure fails the test with all of it."""
        done = self.tried(operation)
        assert done.returncode == 0, f"{operation} failed\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def up(self) -> dict[str, Any]:
        """The outputs."""
        return dict(json.loads(self.run("up").splitlines()[-1]))

    def preview(self, refresh: bool = False) -> list[str]:
        """The steps, `update NAME PROPERTY…`."""
        return self.run("preview-refresh" if refresh else "preview").splitlines()

    def error(self, operation: str) -> str:
        """The error of an operation that must fail."""
        done = self.tried(operation)
        assert done.returncode == 1, f"{operation} did not fail\n{done.stdout}\n{done.stderr}"
        return done.stderr

    def cli(self, *words: str, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        """The real command line in the program's folder; `extra` are variables."""
        done = subprocess.run(
            ["pulumi", *words], env={**self.env, **extra}, cwd=self.folder, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0 or not check, f"{words}\n{done.stdout}\n{done.stderr}"
        return done

    @property
    def latest(self) -> dict[str, Any]:
        """The newest deployment, from the file backend."""
        backend = Path(self.env["PULUMI_BACKEND_URL"].removeprefix("file://"))
        state = backend / ".pulumi" / "stacks" / self.folder.name / "dev.json"
        return dict(json.loads(state.read_text())["checkpoint"]["latest"] or {})

    @property
    def known(self) -> list[str]:
        """The names of its resources, without Pulumi's own."""
        found = [r["urn"].rsplit("::", 1)[-1] for r in self.latest.get("resources", []) if r.get("custom")]
        return sorted(name for name in found if not name.startswith("default"))
