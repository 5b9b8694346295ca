"""What no submission may change of a profile, as hashes that are kept outside: its keys, settings, hooks and snapshots.

Services act for a submission, so that one may find a way to run its own program among them. What that leaves in the
profile would serve the next submission, and the checks.
"""

from __future__ import annotations

import hashlib
import os
import stat
from fnmatch import fnmatchcase
from pathlib import Path

Seal = dict[str, str]  # a hash by path

_WHOLE = ("conf.d/*", "snapshots/*", "services/*", "git/hooks/*", "*/bin/*")  # here nothing may be added either
_SEALED = (
    *_WHOLE,
    "pki/*",
    "secrets/*",
    "ports.json",
    "supervisord.conf",
    "owner",
    "run",
    "git/users.json",
    "argocd/argocd-*",
    "argocd/cli/*",
    "argocd/conf/*",
    "*kubeconfig*",
    "*.conf",
    "*.yml",
    "*.yaml",
)
_OWN = ("secrets/argocd-admin-token",)  # made anew when it has expired
_DATA = ("logs", "data", "etcd", "tmp", "started", "objects", "_argocd-repo")  # folders of services' own
_LARGEST = 64 << 20  # bytes of a file
_DEEPEST, _MOST = 8, 100_000  # folders in folders, and files that are looked at


def seal(root: Path) -> Seal:
    """The seal of a profile; nothing in it is trusted: links are not followed, and pipes not waited for."""
    found: Seal = {}
    count = 0
    for folder, folders, files, descriptor in os.fwalk(root, follow_symlinks=False):
        folders[:] = [name for name in folders if name not in _DATA and not name.endswith(".git")]
        count += len(files) + len(folders)
        if count > _MOST:
            raise OSError(f"there are more than {_MOST} files")
        for name in [*files, *folders]:
            path = os.path.relpath(f"{folder}/{name}", root)
            if path not in _OWN and any(fnmatchcase(path, pattern) for pattern in _SEALED):
                value = _hash(name, descriptor)
                if value:
                    found[path] = value
        if os.path.relpath(folder, root).count("/") >= _DEEPEST:
            folders.clear()
    return found


def broken(before: Seal, root: Path) -> list[str]:
    """The sealed paths that are no longer what they were, or new where nothing may be."""
    try:
        now = seal(root)
    except OSError as error:
        return [str(error)]
    changed = [path for path, value in before.items() if now.get(path) != value]
    return changed + [path for path in now.keys() - before if any(fnmatchcase(path, p) for p in _WHOLE)]


def _hash(name: str, folder: int) -> str:
    """What stands there; empty for a folder."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(status.st_mode):
            return ""
        if stat.S_ISLNK(status.st_mode):
            return "-> " + os.readlink(name, dir_fd=folder)
        if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST:
            return "no file that can be read"
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            return hashlib.sha256(file.read(_LARGEST)).hexdigest()
    except OSError as error:
        return f"not to be read ({error.errno})"
