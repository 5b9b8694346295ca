"""Terraform's settings: a filesystem mirror of providers, and the CLI configuration that names it.

The mirror holds the course's own provider, and of others those that are in the tools' cache; the registry serves the
rest where it can be reached. No process runs: Terraform starts providers itself, the course's through a launcher.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from iaclab import tools
from iaclab.platform.profile import Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program
from iaclab.terraform_provider import SOURCE, VERSION
from iaclab.tools.catalogue import arch, system

# The same on every machine, so that a lock file (.terraform.lock.hcl) holds on all of them: what differs is in `start`,
# which lies beside the mirror. A configuration's .terraform holds a link to the launcher's folder, not a copy.
LAUNCHER = """#!/bin/sh
exec "${IACLAB_TERRAFORM_PROVIDER:-${0%/*}/../../../../../../start}" "$@"
"""
_START = """#!/bin/sh
exec '{python}' -m iaclab.terraform_provider "$@"
"""


# Providers of the registry, by the tool that is their program.
_OTHERS = {
    "terraform-provider-time": "registry.terraform.io/hashicorp/time",
    "terraform-provider-kubectl": "registry.terraform.io/gavinbunney/kubectl",
}


def mirror(profile: Profile) -> Path:
    """The folder of providers, laid out as Terraform wants it: host/namespace/type/version/system."""
    return profile.root / "terraform" / "mirror"


def _config(profile: Profile) -> Path:
    return profile.root / "terraform" / "terraform.rc"


def _start(profile: Profile) -> Path:
    return profile.root / "terraform" / "start"


def _place(profile: Profile, source: str, version: str) -> Path:
    """Where the mirror holds a provider's program; its folder is made."""
    folder = mirror(profile) / source / version / f"{system()}_{arch()}"
    profile.folder(*folder.relative_to(profile.root).parts)
    return folder / f"terraform-provider-{source.rsplit('/', 1)[-1]}_v{version}"


def _add_others(profile: Profile) -> list[str]:
    """Link the providers that are in the cache into the mirror; returns their sources. Nothing is fetched or built."""
    added = []
    for name, source in _OTHERS.items():
        here = tools.find(name)
        if here is not None:
            link = _place(profile, source, here.version)
            link.unlink(missing_ok=True)
            link.symlink_to(here.path)
            added.append(source)
    return added


def _prepare(profile: Profile) -> None:
    launcher = _place(profile, SOURCE, VERSION)
    for path, text in ((launcher, LAUNCHER), (_start(profile), _START.format(python=sys.executable))):
        write_private(path, text)
        path.chmod(0o700)
    sources = json.dumps([SOURCE, *_add_others(profile)])
    write_private(
        _config(profile),
        f"""disable_checkpoint = true
provider_installation {{
  filesystem_mirror {{
    path    = "{mirror(profile)}"
    include = {sources}
  }}
  direct {{
    exclude = {sources}
  }}
}}
""",
    )


def _programs(profile: Profile) -> list[Program]:
    return []


def _ready(profile: Profile) -> str | None:
    for path in (_start(profile), _config(profile)):
        if not path.exists():
            return f"{path.name} is not there"
    return None


def _env(profile: Profile) -> dict[str, str]:
    return {
        "TF_CLI_CONFIG_FILE": str(_config(profile)),
        "TF_INPUT": "0",  # a question would read the rest of a bash cell as its answer
        "IACLAB_TERRAFORM_PROVIDER": str(_start(profile)),
    }


SERVICES = [
    Service(
        name="terraform",
        title="Terraform's settings and the provider mlplatform",
        tools=("terraform",),
        programs=_programs,
        prepare=_prepare,
        ready=_ready,
        env=_env,
        clear=_prepare,
    )
]
