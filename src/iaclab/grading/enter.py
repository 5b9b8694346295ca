"""A process enters a sandbox for good: namespaces, user, limits, and no privilege left. Linux only, by ctypes.

Called in a freshly forked process of the zygote, which holds no secrets, before anything of a submission runs.
"""

from __future__ import annotations

import ctypes
import os
import resource
from pathlib import Path

_NAMESPACES = 0x10000000 | 0x00020000 | 0x20000000 | 0x08000000 | 0x04000000 | 0x40000000  # user mnt pid ipc uts net
_SET_DUMPABLE, _CAPBSET_READ, _CAPBSET_DROP, _NO_NEW_PRIVS, _CAP_AMBIENT = 4, 23, 24, 38, 47
_CAPABILITIES_V3 = 0x20080522
_libc = ctypes.CDLL(None, use_errno=True)
_prctl = _libc.prctl
_prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


def join(first: int) -> None:
    """Join the namespaces of a sandbox, given its first process; children of this process are in them.

    Raises:
        OSError: it is gone, or the kernel is older than 5.8.
    """
    Path("/proc/self/oom_score_adj").write_text("1000")  # where memory is short, a submission is ended first
    if os.geteuid() == 0:
        os.setgroups([])
    descriptor = os.pidfd_open(first)
    try:
        _check(_libc.setns(descriptor, _NAMESPACES))
    finally:
        os.close(descriptor)


def drop(uid: int, limits: dict[str, int]) -> None:
    """Become the sandbox's user, without privileges and with these limits; there is no way back."""
    if os.geteuid() != uid:  # root's; an ordinary user is the sandbox's user already
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    for name, value in limits.items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(getattr(resource, name), (value, value))
    _check(_prctl(_NO_NEW_PRIVS, 1, 0, 0, 0))
    _check(_prctl(_CAP_AMBIENT, 4, 0, 0, 0))  # clear all
    capability = 0
    while _prctl(_CAPBSET_READ, capability, 0, 0, 0) >= 0:
        _prctl(_CAPBSET_DROP, capability, 0, 0, 0)
        capability += 1
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3, 0)
    _check(_libc.capset(header, (ctypes.c_uint32 * 6)()))
    _check(_prctl(_SET_DUMPABLE, 1, 0, 0, 0))  # so that the watcher may look at its open files


def close_all_but(*kept: int) -> None:
    """Close every file that is open but these and the standard ones."""
    ordered = sorted({0, 1, 2, *kept})
    for lower, upper in zip(ordered, [*ordered[1:], 1 << 20], strict=True):
        os.closerange(lower + 1, upper)


def _check(result: int) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
