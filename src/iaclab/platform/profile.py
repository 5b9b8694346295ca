"""A profile: one isolated set of services, with its own state folder, ports, certificates and credentials."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import secrets
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_IMODE, S_ISDIR
from typing import TYPE_CHECKING

from iaclab import paths
from iaclab.errors import LabError
from iaclab.platform import gnu, loopback

if TYPE_CHECKING:
    import trustme

HOST = "127.0.0.1"
_choosing = threading.RLock()  # services start side by side, and share ports, authority and credentials
_DISK = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.ENOENT,
    errno.EISDIR,
}
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Profile:
    """An isolated set of services.

    Args:
        name: lower-case letters, digits and dashes. Default: ``$IACLAB_PROFILE`` or ``default``.
        state: the folder of all profiles. Default: ``$IACLAB_STATE`` or the user's state folder.

    Raises:
        LabError: the name is malformed, or the state folder cannot be written.
    """

    name: str = field(default_factory=lambda: os.environ.get("IACLAB_PROFILE") or "default")
    state: Path = field(default_factory=lambda: paths.state_dir().absolute())

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise LabError(
                f"'{self.name}' is not a profile name.",
                why="A name has lower-case letters, digits and dashes, at most 32 of them.",
                mend="export IACLAB_PROFILE=default",
            )

    @property
    def root(self) -> Path:
        """The profile's state folder; everything the profile owns lies below it."""
        return self.state / "profiles" / self.name

    def create(self) -> Path:
        """Make the state folder, readable by its owner only, and return it."""
        with disk_problems(self.root):
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
            probe = self.root / ".writable"
            probe.write_text("?")
            probe.unlink()
        return self.root

    def folder(self, *parts: str) -> Path:
        """A folder below the root, created on first use."""
        path = self.root.joinpath(*parts)
        with disk_problems(path):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return path

    # --- ports -------------------------------------------------------------------------------------

    @property
    def _ports_file(self) -> Path:
        return self.root / "ports.json"

    @property
    def ports(self) -> dict[str, int]:
        """The ports chosen so far, by name (``etcd.client``, ``argocd.server`` …)."""
        try:
            return dict(json.loads(self._ports_file.read_text()))
        except FileNotFoundError:
            return {}
        except ValueError:  # a half-written file from a crash: choose again
            return {}

    def port(self, name: str) -> int:
        """The loopback port called `name`; chosen free on first use and kept."""
        with _choosing:
            return self.ports.get(name) or self.new_ports([name])[name]

    def new_ports(self, names: list[str]) -> dict[str, int]:
        """Choose free ports for `names`, also where they had one already."""
        chosen: dict[str, int] = {}
        with _choosing, contextlib.ExitStack() as held:
            before = self.ports
            for name in names:  # all are held open together, so that no two are the same
                port = _hold_free_port(held)
                while port in before.values():  # free now, but kept for a service that is stopped
                    port = _hold_free_port(held)
                chosen[name] = port
            write_private(self.folder() / "ports.json", json.dumps({**before, **chosen}, indent=1))
        return chosen

    # --- credentials -------------------------------------------------------------------------------

    def secret(self, name: str) -> str:
        """The random credential called `name` (32 hexadecimal digits), made on first use, file mode 0600."""
        path = self.folder("secrets") / name
        with _choosing:
            if not path.exists():
                write_private(path, secrets.token_hex(16))  # no dash at the front: it may be an option's value
            return path.read_text()

    def certificate(self, name: str, *hosts: str, organisation: str | None = None) -> tuple[Path, Path]:
        """The certificate and key files called `name`, signed by the profile's own authority."""
        cert, key = self.folder("pki") / f"{name}.crt", self.folder("pki") / f"{name}.key"
        with _choosing:
            if not key.exists():
                issued = self._authority().issue_cert(*hosts, common_name=name, organization_name=organisation)
                write_private(cert, b"".join(pem.bytes() for pem in issued.cert_chain_pems).decode())
                write_private(key, issued.private_key_pem.bytes().decode())
        return cert, key

    @property
    def ca(self) -> Path:
        """The certificate of the profile's authority."""
        with _choosing:
            self._authority()
        return self.folder("pki") / "ca.crt"

    def _authority(self) -> trustme.CA:
        import trustme

        cert, key = self.folder("pki") / "ca.crt", self.folder("pki") / "ca.key"
        if key.exists():
            return trustme.CA.from_pem(cert.read_bytes(), key.read_bytes())
        authority = trustme.CA(organization_name=f"IaC Lab profile {self.name}")
        write_private(cert, authority.cert_pem.bytes().decode())
        write_private(key, authority.private_key_pem.bytes().decode())
        return authority

    # --- the outside -------------------------------------------------------------------------------

    @property
    def run_dir(self) -> Path:
        """A short 0700 folder for sockets (a Unix socket's path has at most about 100 bytes); `run` links to it."""
        link = self.root / "run"
        with _choosing:
            if link.is_symlink() and _is_ours(link.readlink()):
                return link.readlink()
            base = tempfile.gettempdir()
            path = Path(tempfile.mkdtemp(prefix="iaclab-", dir=base if len(base) < 60 else "/tmp"))
            self.folder()
            link.unlink(missing_ok=True)
            link.symlink_to(path)
        return path

    def env(self) -> dict[str, str]:
        """What a shell needs to work with this profile: PATH and each service's variables."""
        from iaclab import tools
        from iaclab.platform.registry import services

        env = {"IACLAB_PROFILE": self.name}
        own, itself = self.root / "bin", Path(sys.executable).parent  # commands of this profile alone; `iaclab`
        here = [str(path) for path in (own, tools.bin_dir(), itself) if path != own or own.exists()] + gnu.folders()
        env |= loopback.without_proxy(os.environ)
        env["PATH"] = os.pathsep.join(dict.fromkeys([*here, *os.environ.get("PATH", "").split(os.pathsep)]))
        for service in services().values():
            if service.env is not None and self.is_set_up(service.name):
                env |= service.env(self)
        return env

    def is_set_up(self, service: str) -> bool:
        """Whether `service` has been set up in this profile (its data is on disk)."""
        return (self.root / "services" / service).exists()

    def mark_set_up(self, service: str) -> None:
        """Record that the data of `service` is complete on disk."""
        (self.folder("services") / service).touch()


def profiles() -> Iterator[Profile]:
    """All profiles with data on this machine."""
    base = paths.state_dir() / "profiles"
    if base.is_dir():
        for path in sorted(base.iterdir()):
            if path.is_dir() and _NAME.fullmatch(path.name):
                yield Profile(path.name)


def _hold_free_port(held: contextlib.ExitStack) -> int:
    sock = held.enter_context(socket.socket())
    sock.bind((HOST, 0))
    return int(sock.getsockname()[1])


def _is_ours(path: Path) -> bool:
    """Whether a folder under /tmp is still the one that we made: another user may have made one of the same name."""
    try:
        stat = path.lstat()
    except OSError:
        return False
    return S_ISDIR(stat.st_mode) and stat.st_uid == os.getuid() and S_IMODE(stat.st_mode) == 0o700


@contextlib.contextmanager
def disk_problems(path: Path) -> Iterator[None]:
    """Turn a full disk or a folder that cannot be written into a LabError that names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK:
            raise
        raise LabError(
            f"{path} cannot be written.",
            why=error.strerror or str(error),
            mend=f"df -h {path}   # free some space, or export IACLAB_STATE=/a/folder/you/own",
        ) from error


def write_private(path: Path, text: str) -> None:
    """Replace `path` with `text` in one step, mode 0600 from its first byte on; the same text stays where it is.

    Raises:
        LabError: the disk is full or the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}")
    with disk_problems(path):
        if path.is_file() and path.read_text(errors="replace") == text:
            if path.stat().st_mode & 0o077:
                path.chmod(0o600)
            return
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
            aside.replace(path)
        except OSError:
            with contextlib.suppress(OSError):
                aside.unlink()
            raise
