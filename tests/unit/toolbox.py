"""A test's own cache, catalogue and mirror, for this process and for `iaclab` commands that it starts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from mirror import Mirror

from iaclab import paths
from iaclab.tools import catalogue

SITE = "releases.test"  # the host in the catalogue's URLs: only the mirror knows it
COMMAND = """
import sys
from pathlib import Path
from iaclab import cli, paths
from iaclab.tools import catalogue, gobuild

catalogue.FILE, clone = (Path(word) for word in sys.argv[1:3])
paths.repo_root = lambda: clone
gobuild.TOOLCHAIN = "local"
sys.argv = ["iaclab", *sys.argv[3:]]
cli.main()
"""


class Toolbox:
    """The cache lies in `tmp/cache`, the catalogue in `tmp/catalogue.toml`, Go modules in `tmp/clone/tools/go`."""

    def __init__(self, tmp: Path, monkeypatch: pytest.MonkeyPatch, mirror: Mirror) -> None:
        self.mirror, self.cache, self.clone = mirror, tmp / "cache", tmp / "clone"
        self.file, self._entries = tmp / "catalogue.toml", ""
        for name in ("IACLAB_TOOLS_FROM", "IACLAB_OFFLINE", "HTTP_PROXY", "http_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("IACLAB_CACHE", str(self.cache))
        monkeypatch.setenv("IACLAB_MIRROR", mirror.url)
        monkeypatch.setenv("IACLAB_TIMEOUT", "60")  # a busy machine is slow, not silent
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr(catalogue, "FILE", self.file)
        monkeypatch.setattr(paths, "repo_root", lambda: self.clone)

    def add(self, entry: str) -> None:
        """Add TOML to the catalogue; a tool needs no licence and home page here."""
        self._entries += entry
        more = 'license = "MIT"\nhomepage = "https://releases.test"\nversion ='
        self.file.write_text(re.sub("^version =", more, self._entries, flags=re.MULTILINE))
        catalogue.load.cache_clear()

    def serve(self, path: str, body: bytes) -> str:
        """Put a file of SITE on the mirror; returns the mirror's path."""
        self.mirror.files[f"/{SITE}{path}"] = body
        return f"/{SITE}{path}"

    def leftovers(self) -> list[str]:
        """What lies in the cache beside complete tools, notes and locks: nothing, unless work was left half done."""
        found = []
        for path in sorted(self.cache.rglob("*")):
            parts = path.relative_to(self.cache).parts
            half = any(part.startswith(".new-") for part in parts) or (parts[0] == "go-tmp" and len(parts) > 1)
            stray = path.is_file() and parts[0] == "tools" and not (path.parent / ".source").exists()
            if half or stray:
                found.append("/".join(parts))
        return found

    def notes(self, file: str) -> dict[str, dict[str, str]]:
        return dict(json.loads((self.cache / file).read_text())) if (self.cache / file).exists() else {}

    def start(
        self, *arguments: str, prefix: Sequence[str] = (), stderr: int = subprocess.PIPE, **env: str
    ) -> subprocess.Popen[str]:
        """`iaclab ARGUMENTS` as a process of its own, with this catalogue; `prefix` is a command that runs it."""
        command = [*prefix, sys.executable, "-c", COMMAND, str(self.file), str(self.clone), *arguments]
        environment = {**os.environ, **env}
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=stderr, text=True)

    def run(self, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
        """As `start`, to the end."""
        process = self.start(*arguments, **env)
        out, err = process.communicate(timeout=240)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def program(name: str, version: str) -> bytes:
    """A program that says its version."""
    return f'#!/bin/sh\necho "{name} version {version}"\n'.encode()


def put_program(folder: Path, name: str, version: str) -> Path:
    """The same as an executable file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(program(name, version))
    path.chmod(0o755)
    return path


def sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def until(happens: Callable[[], object], what: str, seconds: float = 180) -> None:
    """Poll until something is true."""
    end = time.monotonic() + seconds
    while not happens():
        assert time.monotonic() < end, f"still not so after {seconds} s: {what}"
        time.sleep(0.02)
