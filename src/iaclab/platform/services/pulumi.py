"""Pulumi's settings: a home, a file backend and a passphrase of the profile's own, and the plugins in Python.

No process runs: Pulumi starts plugins itself, these through launchers: the course's provider, and the two of Pulumi's
Python SDK (dynamic providers, policy packs).
"""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import version
from pathlib import Path

from iaclab.platform.profile import Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program
from iaclab.pulumi_platform import NAME, VERSION

_LAUNCHER = """#!/bin/sh
exec '{python}' -u -m {module} "$@"
"""


def home(profile: Profile) -> Path:
    """PULUMI_HOME: plugins and settings; never the user's own."""
    return profile.root / "pulumi" / "home"


def states(profile: Profile) -> Path:
    """The folder that holds the state of every stack of the file backend."""
    return profile.root / "pulumi" / "states"


def passphrase(profile: Profile) -> Path:
    """The file with the passphrase that encrypts the secrets of every stack."""
    return profile.root / "pulumi" / "passphrase"


def _plugins(profile: Profile) -> dict[Path, str]:
    """The modules to run, by the launcher of each: plugins/KIND-NAME-vVERSION/pulumi-KIND-NAME."""
    sdk = version("pulumi")
    plugins = {
        ("resource", NAME, VERSION): "iaclab.pulumi_platform",
        ("resource", "pulumi-python", sdk): "pulumi.dynamic",
        ("analyzer", "policy-python", sdk): "pulumi.policy",
    }
    root = home(profile) / "plugins"
    return {root / f"{k}-{n}-v{v}" / f"pulumi-{k}-{n}": module for (k, n, v), module in plugins.items()}


def _prepare(profile: Profile) -> None:
    profile.folder("pulumi", "states")
    write_private(passphrase(profile), profile.secret("pulumi-passphrase"))
    for launcher, module in _plugins(profile).items():
        profile.folder(*launcher.parent.relative_to(profile.root).parts)
        write_private(launcher, _LAUNCHER.format(python=sys.executable, module=module))
        launcher.chmod(0o700)


def _programs(profile: Profile) -> list[Program]:
    return []


def _ready(profile: Profile) -> str | None:
    for path in (passphrase(profile), *_plugins(profile)):
        if not path.exists():
            return f"{path.name} is not there"
    return None


def _env(profile: Profile) -> dict[str, str]:
    return {
        "PULUMI_HOME": str(home(profile)),
        "PULUMI_BACKEND_URL": f"file://{states(profile)}",
        "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase(profile)),
        "PULUMI_CONFIG_PASSPHRASE": "",  # the user's own would win over the file
        "PULUMI_ACCESS_TOKEN": "",
        "PULUMI_PYTHON_CMD": sys.executable,
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # a missing plugin is an error, not a download
    }


def _clear(profile: Profile) -> None:
    """Forget every stack; what the stacks made goes with the cluster's and the bucket store's reset."""
    shutil.rmtree(states(profile), ignore_errors=True)
    _prepare(profile)


SERVICES = [
    Service(
        name="pulumi",
        title="Pulumi's settings and the provider mlplatform",
        tools=("pulumi",),
        programs=_programs,
        prepare=_prepare,
        ready=_ready,
        env=_env,
        clear=_clear,
    )
]
