"""A vault on loopback: three nodes with raft storage, TLS, five shares of which three unseal, an audit log.

OpenBao, or HashiCorp Vault (IACLAB_VAULT=vault). Its commands are `vault` and, for OpenBao, `bao`.
"""

from __future__ import annotations

import base64
import contextlib

from iaclab.platform import commands
from iaclab.platform.profile import Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Supervisor
from iaclab.platform.vault import api, first, implementation, nodes, pristine, seal

_TOKEN_HELPER = """#!/bin/sh
# What `vault login` calls: the token lies in the profile, not in the user's home.
case "$1" in
get) cat '{token}' 2>/dev/null ;;
store) umask 077; cat > '{token}' ;;
erase) rm -f '{token}' ;;
esac
"""


def client_token(profile: Profile) -> str:
    """The administrator's token, or that of whoever has logged in on the command line since."""
    return first.token(profile).read_text().strip()


def _prepare(profile: Profile) -> None:
    which = implementation.of(profile)
    write_private(profile.folder("vault") / "implementation", which.tool)
    pristine.follow_ports(profile)
    commands.link(profile, "vault", implementation.binary(which))
    if which is implementation.HASHICORP:
        helper = nodes.folder(profile) / "token-helper"
        write_private(helper, _TOKEN_HELPER.format(token=first.token(profile)))
        helper.chmod(0o700)
        write_private(nodes.folder(profile) / "cli.hcl", f'token_helper = "{helper}"\n')
    else:
        commands.link(profile, "bao", implementation.binary(which))
    (profile.folder("vault") / "sealed-at-start").touch()  # until `_set_up` unseals: readiness asks for less


def _ready(profile: Profile) -> str | None:
    status = {node: api.seal_status(profile, node) for node in nodes.NODES}
    away = [node for node, said in status.items() if said is None]
    if (nodes.folder(profile) / "sealed-at-start").exists():
        return f"its {away[0]} does not answer" if away else None
    shut = [node for node, said in status.items() if said and said["sealed"]]
    lost = ", ".join([f"{node} does not answer" for node in away] + [f"{node} is sealed" for node in shut])
    if len(shut) == len(nodes.NODES):
        return "it is sealed: `iaclab up vault` unseals it"
    if len(away) + len(shut) > 1:
        return f"no quorum, {lost}: `iaclab up vault` mends it"
    if lost:
        return f"{lost}: `iaclab up vault` mends it"
    if not all(api.leader(profile, node) for node in nodes.NODES):
        return "its nodes have no leader yet"
    return None


def _set_up(profile: Profile) -> None:
    (nodes.folder(profile) / "sealed-at-start").unlink(missing_ok=True)
    seal.initialise(profile)
    seal.unseal(profile)
    first.set_up(profile)
    if not pristine.is_taken(profile):
        seal.wait_for_votes(profile, client_token(profile))
        with _stopped(profile):
            pristine.take(profile)
        seal.unseal(profile)


def _clear(profile: Profile) -> None:
    with _stopped(profile):
        pristine.restore(profile)
    seal.unseal(profile)


def _stopped(profile: Profile) -> contextlib.AbstractContextManager[None]:
    """While the nodes do not run; the balancer does."""
    return Supervisor(profile).paused(("vault", node) for node in nodes.NODES)


def _env(profile: Profile) -> dict[str, str]:
    folder = nodes.folder(profile)
    prefixes = ("VAULT", "BAO")
    return {
        **{f"{prefix}_ADDR": nodes.address(profile) for prefix in prefixes},
        **{f"{prefix}_CACERT": str(profile.ca) for prefix in prefixes},
        **{f"VAULT_NODE_{number}": nodes.address(profile, node) for number, node in enumerate(nodes.NODES, 1)},
        "VAULT_TOKEN_FILE": str(first.token(profile)),
        "BAO_TOKEN_PATH": str(first.token(profile)),  # where OpenBao's command line keeps its token
        "VAULT_CONFIG_PATH": str(folder / "cli.hcl"),  # HashiCorp's asks a helper
        "VAULT_CA_BUNDLE": base64.b64encode(profile.ca.read_bytes()).decode(),  # for a SecretStore's caBundle
        "VAULT_SHARES": str(folder),
        "VAULT_AUDIT_LOG": str(nodes.audit_log(profile)),
    }


SERVICES = [
    Service(
        name="vault",
        title="vault (OpenBao, or HashiCorp Vault): three nodes, raft, Shamir seal, TLS, audit log",
        tools=(implementation.OPENBAO.tool,),
        prepare=_prepare,
        programs=nodes.programs,
        ready=_ready,
        set_up=_set_up,
        env=_env,
        clear=_clear,
    )
]
