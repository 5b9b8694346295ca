"""What `sentinel.hcl` and a test case say: policies, parameters, globals, mocks, modules, and what is expected.

HCL or JSON; the JSON form has the same maps, and the older one (plain values, a file name as mock) is read too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from iaclab.sentinel import hcl
from iaclab.sentinel.errors import SentinelError, Source
from iaclab.sentinel.values import Value

LEVELS = ("hard-mandatory", "soft-mandatory", "advisory")
_KNOWN = {"policy", "param", "global", "mock", "module", "import", "test", "sentinel"}


@dataclass(frozen=True)
class Policy:
    """A policy of a set: its name, file, level and parameters."""

    name: str
    path: Path
    level: str
    params: dict[str, Value]


@dataclass(frozen=True)
class Config:
    """One configuration file; paths are complete."""

    path: Path | None = None
    policies: tuple[Policy, ...] = ()
    params: dict[str, Value] = field(default_factory=dict)
    globals: dict[str, Value] = field(default_factory=dict)
    modules: dict[str, Path] = field(default_factory=dict)  # mocks and modules: a file of Sentinel's own
    data: dict[str, Value] = field(default_factory=dict)  # mocks with plain data, static imports
    plans: dict[str, Path] = field(default_factory=dict)  # Terraform's imports, from a plan in JSON
    rules: dict[str, Value] | None = None  # what a test expects


def load(path: Path) -> Config:
    """Read a configuration file.

    Raises:
        SentinelError: it cannot be read, or it says something that is not known here.
    """
    text = read_text(path)
    if path.suffix == ".json":
        try:
            body = json.loads(text)
        except ValueError as error:
            raise SentinelError(f"{path}: not JSON: {error}") from None
        if not isinstance(body, dict):
            raise SentinelError(f"{path}: a map is needed at the top")
    else:
        body = hcl.read(Source(str(path), text))
    if unknown := sorted(set(body) - _KNOWN):
        raise SentinelError(f"{path}: {unknown[0]} is not known here", hint=f"known are {', '.join(sorted(_KNOWN))}")
    try:
        return _config(path, body)
    except (AttributeError, TypeError, KeyError) as error:
        raise SentinelError(f"{path}: a block has not the form that it should have ({error})") from None


def read_text(path: Path) -> str:
    """The text of a file, or an error that names it."""
    try:
        return path.read_text()
    except OSError as error:
        raise SentinelError(f"{path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SentinelError(f"{path}: this is not text") from None


def _config(path: Path, body: dict[str, Any]) -> Config:
    config = Config(
        path,
        policies=tuple(_policy(path, name, block) for name, block in body.get("policy", {}).items()),
        params={name: _plain(block) for name, block in body.get("param", {}).items()},
        globals={name: _plain(block) for name, block in body.get("global", {}).items()},
        rules=_rules(body["test"]) if "test" in body else None,
    )
    for name, block in body.get("mock", {}).items():
        _mock(config, path, name, {"module": {"source": block}} if isinstance(block, str) else block)
    for name, block in body.get("module", {}).items():
        config.modules[name] = _local(path, block["source"])
    for kind, blocks in body.get("import", {}).items():
        for name, block in blocks.items():
            _import(config, path, kind, name, block)
    return config


def _policy(path: Path, name: str, block: dict[str, Any]) -> Policy:
    level = block.get("enforcement_level", "advisory")
    if level not in LEVELS:
        raise SentinelError(f"{path}: the enforcement_level '{level}' of {name} is none of {', '.join(LEVELS)}")
    params = block.get("params", {}) | {n: _plain(p) for n, p in block.get("param", {}).items()}
    return Policy(name, _local(path, block.get("source", f"./{name}.sentinel")), level, params)


def _mock(config: Config, path: Path, name: str, block: dict[str, Any]) -> None:
    if "module" in block:
        config.modules[name] = _local(path, block["module"]["source"])
    else:
        config.data[name] = block.get("data", block)


def _import(config: Config, path: Path, kind: str, name: str, block: dict[str, Any]) -> None:
    if kind == "module":
        config.modules[name] = _local(path, block["source"])
    elif kind == "static":
        config.data[name] = json.loads(read_text(_local(path, block["source"])))
    elif kind == "plugin" and "plan_path" in block.get("config", {}):
        config.plans[name] = _local(path, block["config"]["plan_path"])
    else:
        raise SentinelError(
            f'{path}: import "{kind}" "{name}" is not known here',
            hint='known are import "module", import "static", and import "plugin" "tfplan/v2" with plan_path',
        )


def _local(path: Path, source: str) -> Path:
    if "://" in source or source.startswith("git::"):
        raise SentinelError(f"{path}: {source} is not on this machine", hint="only local files are read here")
    return (path.parent / source).resolve()


def _plain(block: Any) -> Value:
    return block["value"] if isinstance(block, dict) and set(block) == {"value"} else block


def _rules(block: dict[str, Any]) -> dict[str, Value]:
    return dict(block.get("rules", block))
