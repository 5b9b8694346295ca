"""Runs a command that reaches nothing but this machine: `unshare -rn python cut_off.py COMMAND …`.

A new network namespace has a loopback that is down; this brings it up, as `ip link set lo up` does.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys

SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # linux/sockios.h, linux/if.h

if __name__ == "__main__":
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
    os.execvp(sys.argv[1], sys.argv[1:])
