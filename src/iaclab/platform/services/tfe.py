"""A Terraform Enterprise in small, for `cloud {}` blocks: remote runs, state, variables, policy checks."""

from __future__ import annotations

import shutil
import sys
import time
from pathlib import Path

import httpx

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform import registry
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

NAME = "tfe.course.local"  # what a configuration calls the server; the CLI's `host` block says where it is
ORGANIZATION = "course"


def url(profile: Profile) -> str:
    """The server's address; the API is below /api/v2."""
    return f"http://{HOST}:{profile.port('tfe')}"


def policies(profile: Profile) -> Path:
    """The folder whose `*.rego` files and Sentinel policy sets every run is checked with."""
    return profile.folder("tfe", "policies")


def cli_config(profile: Profile) -> str:
    """What a Terraform CLI configuration says so that `cloud {}` finds the server: a `host` and a `credentials` block.

    A `host` block stands in for service discovery, which needs a name in DNS and TLS on it. Nothing else has to
    change on the machine: no certificate is trusted, and the name carries no port.
    """
    api = f"{url(profile)}/api/v2/"
    return f"""host "{NAME}" {{
  services = {{
    "tfe.v2"   = "{api}"
    "state.v2" = "{api}"
  }}
}}

credentials "{NAME}" {{
  token = "{profile.secret("tfe")}"
}}
"""


def _terraform(profile: Profile) -> dict[str, str]:
    """What the service `terraform` sets: its CLI configuration names the mirror of providers."""
    env = registry.service("terraform").env
    assert env is not None
    return env(profile)


def _learners_config(profile: Profile) -> Path:
    return profile.folder("tfe") / "terraform.rc"


def _programs(profile: Profile) -> list[Program]:
    settings = _terraform(profile)
    write_private(
        _learners_config(profile), f"{Path(settings['TF_CLI_CONFIG_FILE']).read_text()}\n{cli_config(profile)}"
    )
    env = {
        **settings,  # remote runs have the same providers, and no credentials
        "IACLAB_TFE_TOKEN": profile.secret("tfe"),
        "IACLAB_TFE_ORGANIZATION": ORGANIZATION,
        "IACLAB_TFE_TERRAFORM": str(tools.ensure("terraform")["terraform"]),
    }
    argv = [sys.executable, "-m", "iaclab.tfe", str(profile.folder("tfe")), str(profile.port("tfe"))]
    return [Program("server", argv, env=env, ports=("tfe",))]


def _ready(profile: Profile) -> str | None:
    try:
        answer = httpx.get(url(profile) + "/healthz", timeout=2, trust_env=False)
    except httpx.HTTPError as error:
        return f"it does not answer ({type(error).__name__})"
    return None if answer.text == "ok" else f"/healthz says {answer.status_code}"


def _env(profile: Profile) -> dict[str, str]:
    """Where `cloud {}` goes (the CLI's own variables) and what API clients read."""
    return {
        "TF_CLI_CONFIG_FILE": str(_learners_config(profile)),  # in place of the one of `terraform`, which comes before
        "TF_CLOUD_HOSTNAME": NAME,
        "TF_CLOUD_ORGANIZATION": ORGANIZATION,
        "TFE_ADDRESS": url(profile),
        "TFE_TOKEN": profile.secret("tfe"),
        "TFE_POLICIES": str(policies(profile)),
    }


def _clear(profile: Profile) -> None:
    """End every run, then delete every workspace and policy."""
    for policy in policies(profile).iterdir():
        shutil.rmtree(policy) if policy.is_dir() else policy.unlink()
    with client(profile) as api:
        for workspace in api.get(f"organizations/{ORGANIZATION}/workspaces").json()["data"]:
            _delete(api, workspace["id"], workspace["attributes"]["name"])


def _delete(api: httpx.Client, id: str, name: str) -> None:
    deadline = time.monotonic() + 15
    while api.delete(f"organizations/{ORGANIZATION}/workspaces/{name}").status_code == 409:
        for run in api.get(f"workspaces/{id}/runs").json()["data"]:
            api.post(f"runs/{run['id']}/actions/discard")
            api.post(f"runs/{run['id']}/actions/force-cancel")
        api.post(f"workspaces/{id}/actions/force-unlock")
        if time.monotonic() > deadline:
            raise LabError(f"The workspace {name} cannot be deleted.", mend="iaclab logs tfe")
        time.sleep(0.1)


def client(profile: Profile) -> httpx.Client:
    """A client of the API, with the token."""
    return httpx.Client(
        base_url=f"{url(profile)}/api/v2/",
        headers={"Authorization": f"Bearer {profile.secret('tfe')}"},
        timeout=10,
        trust_env=False,
    )


SERVICES = [
    Service(
        name="tfe",
        needs=("terraform",),
        title="Terraform Enterprise in small (remote runs, state, policies)",
        programs=_programs,
        ready=_ready,
        env=_env,
        clear=_clear,
    )
]
