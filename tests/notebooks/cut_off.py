"""A place where programs reach nothing but this machine, as a command in front of theirs.

As a program, `unshare -rn python cut_off.py COMMAND …`: a new network namespace has a loopback that is down; this
brings it up, as `ip link set lo up` does.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator

SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h
_MAKE = ("unshare", "-rn", sys.executable, __file__)


def possible() -> bool:
    """Whether this user may cut the network off."""
    return bool(shutil.which("unshare")) and subprocess.run([*_MAKE, "true"], capture_output=True).returncode == 0


@contextlib.contextmanager
def network() -> Iterator[tuple[str, ...]]:
    """The start of a command line: what it starts shares one loopback, also with what it started before."""
    holder = subprocess.Popen([*_MAKE, "sh", "-c", "echo up; exec sleep infinity"], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    try:
        assert holder.stdout.readline() == b"up\n"
        yield ("nsenter", f"--target={holder.pid}", "--user", "--net", "--preserve-credentials")
    finally:
        holder.kill()
        holder.communicate()


if __name__ == "__main__":
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    os.execvp(sys.argv[1], sys.argv[1:])
