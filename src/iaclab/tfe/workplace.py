"""The folder of one remote run: configuration, variables, state, environment."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tarfile
from dataclasses import dataclass
from pathlib import Path

import psutil

from iaclab.tfe.store import Run, Store, Variable

# The run's own override, as on HCP Terraform: the configuration's `cloud` block gives way to where its state lies here.
_OVERRIDE = 'terraform {\n  backend "local" {\n    workspace_dir = "../state"\n  }\n}\n'
_PASSED_ON = {"PATH", "TMPDIR", "LANG", "TF_CLI_CONFIG_FILE", "SSL_CERT_FILE", "SSL_CERT_DIR"}
_PASSED_ON |= {name for word in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY") for name in (word, word.lower())}


@dataclass(frozen=True)
class Workplace:
    """Where `run` works, below the store's folder."""

    store: Store
    run: Run

    @property
    def folder(self) -> Path:
        """The run's folder: logs, plan, and the folders below."""
        path = self.store.root / "runs" / self.run.id
        path.mkdir(mode=0o700, exist_ok=True)
        return path

    @property
    def config(self) -> Path:
        """The configuration, terraform's working directory."""
        return self.folder / "config"

    def log(self, stage: str) -> Path:
        """The log of a stage: plan or apply."""
        return self.folder / f"{stage}.log"

    def unpack(self) -> None:
        """Lay out the configuration that was uploaded.

        Raises:
            tarfile.TarError: it is no archive, or one that reaches outside its folder.
        """
        self.config.mkdir(mode=0o700)
        with tarfile.open(self.store.file(self.run.configuration, "tar.gz")) as archive:
            archive.extractall(self.config, filter="data")
        (self.config / "zz_cloud_override.tf").write_text(_OVERRIDE)

    def plan_options(self) -> list[str]:
        """What the run asks of `terraform plan`."""
        run, mode = self.run, {"-destroy": self.run.is_destroy, "-refresh-only": self.run.refresh_only}
        flags = [flag for flag, wanted in {**mode, "-refresh=false": not run.refresh}.items() if wanted]
        addresses = [f"-target={a}" for a in run.target_addrs] + [f"-replace={a}" for a in run.replace_addrs]
        return flags + addresses + [f"-var-file={path}" for path in self._variable_files()]

    def _variable_files(self) -> list[Path]:
        """The values for the run, the strongest last: the workspace's variables, then those given to the command."""
        mine = [v for v in self.store.all(Variable, self.run.workspace) if v.category == "terraform"]
        files = {
            "workspace.tfvars.json": json.dumps({v.key: v.value for v in mine if not v.hcl}),
            "workspace.tfvars": "".join(f"{v.key} = {v.value}\n" for v in mine if v.hcl),
            "run.tfvars": "".join(f"{v['key']} = {v['value']}\n" for v in self.run.variables),
        }
        for name, text in files.items():
            (self.folder / name).write_text(text)
        return [self.folder / name for name in files]

    def environment(self) -> dict[str, str]:
        """What the run sees: nothing of the learner's shell or home, and the workspace's `env` variables."""
        home, name = self.folder / "home", self.store.workspace(self.run).name
        home.mkdir(mode=0o700, exist_ok=True)
        env = {k: v for k, v in os.environ.items() if k in _PASSED_ON or k.startswith("IACLAB_")}
        env |= {"HOME": str(home), "TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "TF_WORKSPACE": name}
        env |= {"TFC_RUN_ID": self.run.id, "TFC_WORKSPACE_NAME": name}
        mine = self.store.all(Variable, self.run.workspace)
        return env | {v.key: v.value for v in mine if v.category == "env"}

    # --- state -------------------------------------------------------------------------------------

    @property
    def _state(self) -> Path:
        return self.folder / "state" / self.store.workspace(self.run).name / "terraform.tfstate"

    def lay_state(self) -> None:
        """Put the workspace's current state where the run's terraform reads and writes it."""
        self._state.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        if version := self.store.state(self.store.workspace(self.run)):
            self._state.write_bytes(self.store.file(version.id, "tfstate").read_bytes())

    def keep_state(self) -> None:
        """Keep what terraform wrote, whether the run went well or not."""
        workspace = self.store.workspace(self.run)
        content = self._state.read_bytes() if self._state.exists() else b""
        before = self.store.state(workspace)
        if content and (before is None or json.loads(content)["serial"] > before.serial):
            self.store.add_state(workspace, content, self.run.id)

    def stop_leftover(self) -> None:
        """End the terraform that a killed server left behind, letting it write its state."""
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self.run.pid)
            if process.cwd() == str(self.config):
                process.send_signal(signal.SIGINT)
                try:
                    process.wait(30)
                except psutil.TimeoutExpired:
                    process.kill()
