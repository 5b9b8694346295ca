"""A cache that speaks Redis' protocol (Valkey), with a password, in memory only."""

from __future__ import annotations

import socket

from iaclab import tools
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program


def _programs(profile: Profile) -> list[Program]:
    server = tools.ensure("valkey-server")["valkey-server"]
    # A process title would overwrite the environment, by which a profile's processes are found after a crash.
    config = profile.folder("redis") / "valkey.conf"
    write_private(
        config,
        f"""bind {HOST}
port {profile.port("redis")}
requirepass {profile.secret("redis")}
save ""
appendonly no
set-proc-title no
dir "{config.parent}"
""",
    )
    return [Program("server", [str(server), str(config)], ports=("redis",))]


def _command(profile: Profile, *words: str) -> str:
    """Send one command after logging in; returns the server's first line."""
    with socket.create_connection((HOST, profile.port("redis")), timeout=2) as connection:
        connection.sendall(f"AUTH {profile.secret('redis')}\r\n{' '.join(words)}\r\n".encode())
        lines = connection.makefile("rb")
        lines.readline()
        return lines.readline().decode().strip()


def _ready(profile: Profile) -> str | None:
    try:
        answer = _command(profile, "PING")
    except OSError as error:
        return f"it does not answer ({error.strerror or error})"
    return None if answer == "+PONG" else f"PING says {answer}"


def _clear(profile: Profile) -> None:
    _command(profile, "FLUSHALL")


SERVICES = [
    Service(
        name="redis",
        title="cache for Argo CD",
        tools=("valkey-server",),
        programs=_programs,
        ready=_ready,
        clear=_clear,
    )
]
