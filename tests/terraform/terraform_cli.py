"""The real terraform, in a folder, as a learner runs it."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from iaclab.terraform_provider import SOURCE

REQUIRE = f"""
terraform {{
  required_providers {{
    mlplatform = {{
      source = "{SOURCE}"
    }}
  }}
}}
"""


@dataclass
class Terraform:
    """The real terraform in a folder of its own."""

    folder: Path
    env: dict[str, str]

    def write(self, hcl: str) -> Terraform:
        """Make `hcl` the whole configuration; its first line is line 1."""
        (self.folder / "main.tf").write_text(hcl.lstrip("\n"))
        return self

    def run(self, *args: str, fails: bool = False) -> str:
        """Run a command that must succeed (or fail); returns what it printed."""
        done = subprocess.run(
            ["terraform", *args], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=180
        )
        said = done.stdout + done.stderr
        assert (done.returncode != 0) == fails, f"terraform {' '.join(args)} ended with {done.returncode}:\n{said}"
        return said

    def apply(self, hcl: str = "", *args: str, fails: bool = False) -> str:
        """Write and apply."""
        if hcl:
            self.write(hcl)
        return self.run("apply", "-auto-approve", "-no-color", *args, fails=fails)

    def plan(self, hcl: str = "", *args: str) -> dict[str, Any]:
        """Write and plan; returns the plan as JSON."""
        if hcl:
            self.write(hcl)
        self.run("plan", "-no-color", "-out=plan", *args)
        return dict(json.loads(self.run("show", "-json", "plan")))

    def actions(self, hcl: str = "") -> dict[str, str]:
        """What a plan would do (create, update, replace, delete …), by address; nothing for what stays."""
        if hcl:
            self.write(hcl)
        lines = map(json.loads, self.run("plan", "-json").splitlines())
        changes = [line["change"] for line in lines if line["type"] == "planned_change"]
        return {change["resource"]["addr"]: change["action"] for change in changes}

    def refreshed(self, address: str) -> dict[str, Any]:
        """A resource as it is now: what was changed outside goes into the state, and nothing else is done."""
        self.run("apply", "-refresh-only", "-auto-approve")
        return self.state(address)

    def _resources(self) -> dict[str, dict[str, Any]]:
        """The state file itself, read without Terraform: quicker, and it starts no provider."""
        file = self.folder / "terraform.tfstate"
        resources = json.loads(file.read_text())["resources"] if file.exists() else []
        managed = [r for r in resources if r["mode"] == "managed"]
        return {f"{r['type']}.{r['name']}": r["instances"][0] for r in managed}

    def state(self, address: str) -> dict[str, Any]:
        """The attributes of a resource in the state, sensitive ones too."""
        return dict(self._resources()[address]["attributes"])

    def is_tainted(self, address: str) -> bool:
        """Whether the state says that a resource is half made."""
        return bool(self._resources()[address].get("status") == "tainted")

    def outputs(self) -> dict[str, Any]:
        """The outputs in the state, by name."""
        outputs = json.loads((self.folder / "terraform.tfstate").read_text())["outputs"]
        return {name: output["value"] for name, output in outputs.items()}

    def addresses(self) -> list[str]:
        """What the state holds."""
        return list(self._resources())

    def problems(self, hcl: str) -> list[tuple[str, int, str]]:
        """What a plan of a wrong configuration says: (summary, line, the code at that place)."""
        self.write(hcl)
        lines = [json.loads(line) for line in self.run("plan", "-json", fails=True).splitlines()]
        found = [line["diagnostic"] for line in lines if line.get("type") == "diagnostic"]
        return [(d["summary"], d["range"]["start"]["line"], d["snippet"]["code"].strip()) for d in found]
