"""A profile: one isolated set of services, with its own state folder, ports, certificates and credentials."""

from __future__ import annotations

import contextlib
import hashlib
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
from typing import TYPE_CHECKING

from iaclab import paths
from iaclab.errors import LabError

if TYPE_CHECKING:
    import trustme

HOST = "127.0.0.1"
_choosing = threading.RLock()  # services start side by side, and share ports, authority and credentials
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


@dataclass(frozen=True)
class Profile:
    """An isolated set of services.

    Args:
        name: lower-case letters, digits and dashes. Default: ``$IACLAB_PROFILE`` or ``default``.

    Raises:
        LabError: the name is malformed, or the state folder cannot be written.
    """

    name: str = field(default_factory=lambda: os.environ.get("IACLAB_PROFILE", "default"))

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
        return paths.state_dir() / "profiles" / self.name

    def create(self) -> Path:
        """Make the state folder, readable by its owner only, and return it."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.root.chmod(0o700)
            probe = self.root / ".writable"
            probe.write_text("")
            probe.unlink()
        except OSError as error:
            raise LabError(
                f"The state folder {self.root} cannot be written.",
                why=error.strerror or str(error),
                mend="export IACLAB_STATE=/a/folder/you/own   # then run the command again",
            ) from error
        return self.root

    def folder(self, *parts: str) -> Path:
        """A folder below the root, created on first use."""
        path = self.root.joinpath(*parts)
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
            for name in names:  # all are held open together, so that no two are the same
                sock = held.enter_context(socket.socket())
                sock.bind((HOST, 0))
                chosen[name] = sock.getsockname()[1]
            write_private(self.folder() / "ports.json", json.dumps({**self.ports, **chosen}, indent=1))
        return chosen

    # --- credentials -------------------------------------------------------------------------------

    def secret(self, name: str) -> str:
        """The random credential called `name` (32 URL-safe characters), made on first use, file mode 0600."""
        path = self.folder("secrets") / name
        with _choosing:
            if not path.exists():
                write_private(path, secrets.token_urlsafe(24))
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
        """A short 0700 folder for sockets: a Unix socket's path has at most about 100 bytes."""
        digest = hashlib.sha256(str(self.root).encode()).hexdigest()[:12]
        path = Path(tempfile.gettempdir()) / f"iaclab-{os.getuid()}-{digest}"
        path.mkdir(mode=0o700, exist_ok=True)
        if path.stat().st_uid != os.getuid() or path.is_symlink():
            raise LabError(
                f"{path} belongs to somebody else.",
                why="The supervisor's socket must lie in a folder that only you can write.",
                mend="export TMPDIR=/a/folder/you/own",
            )
        path.chmod(0o700)
        return path

    def env(self) -> dict[str, str]:
        """What a shell needs to work with this profile: PATH and each service's variables."""
        from iaclab import tools
        from iaclab.platform.registry import services

        env = {"IACLAB_PROFILE": self.name}
        here = [str(tools.bin_dir()), str(Path(sys.executable).parent)]  # the tools, and `iaclab` itself
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


def write_private(path: Path, text: str) -> None:
    """Replace `path` with `text` in one step, mode 0600 from its first byte on.

    Raises:
        LabError: the disk is full or the folder cannot be written.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
        aside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            aside.unlink()
        raise LabError(
            f"{path} cannot be written.",
            why=error.strerror or str(error),
            mend=f"df -h {path.parent}   # free some space, or export IACLAB_STATE=/another/folder",
        ) from error
