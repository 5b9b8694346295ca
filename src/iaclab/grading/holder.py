"""Holds a network of its own open: a user namespace, a network namespace with loopback, for root a mount namespace.

Run as a file, with the standard library alone (`python -I -S holder.py`), by `network.py`. Standard input is the
line that says what to mount, then "mapped"; the end of standard input ends it, and with it nothing is left.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import socket
import struct
import sys

NEWNS, NEWUSER, NEWNET = 0x00020000, 0x10000000, 0x40000000
_BIND_REC, _PRIVATE_REC = 0x1000 | 0x4000, 0x40000 | 0x4000
_SIOCSIFFLAGS, _UP, _RUNNING = 0x8914, 0x1, 0x40
_libc = ctypes.CDLL(None, use_errno=True)


def main() -> None:
    """Unshare, say so, wait for the id maps, bring loopback up, and stay."""
    mounts = json.loads(sys.stdin.readline())
    if mounts is not None:  # root: folders that other users cannot reach are shown in a place where they can
        _call("unshare", _libc.unshare(NEWNS))
        _call("mount", _libc.mount(b"none", b"/", None, _PRIVATE_REC, None))
        for source, target in mounts:
            _call("mount", _libc.mount(os.fsencode(source), os.fsencode(target), None, _BIND_REC, None))
    _call("unshare", _libc.unshare(NEWUSER | NEWNET))
    print("unshared", flush=True)
    sys.stdin.readline()
    with socket.socket() as any_socket:
        request = struct.pack("16sH14s", b"lo", _UP | _RUNNING, b"")
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, request)
    print("up", flush=True)
    sys.stdin.read()


def _call(name: str, result: int) -> None:
    if result:
        number = ctypes.get_errno()
        print(f"{name}: {os.strerror(number)}", flush=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
