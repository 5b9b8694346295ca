"""Shows what goes on: bars in a terminal, one output that updates in a notebook, plain lines elsewhere."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

EVERY = 25.0  # seconds between the lines of a work that goes on
_WIDTH = 80


@dataclass
class _Row:
    text: str
    far: str = ""  # how far it is, in words
    share: float | None = None  # and from 0 to 1, where that is known
    started: float = field(default_factory=time.monotonic)
    told: float = field(default_factory=time.monotonic)
    seconds: float | None = None  # set when it is over

    def took(self) -> float:
        return time.monotonic() - self.started if self.seconds is None else self.seconds


class Board:
    """Rows by name. Any thread may write; the thread that waits calls `tick` about twice a second.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._rows: dict[str, _Row] = {}
        self._mutex = threading.Lock()
        self._console = Console(stderr=True)
        self._quiet = quiet
        self._live: Live | None = None
        self._update: Callable[[], None] | None = None  # the notebook's output

    def __enter__(self) -> Board:
        if self._quiet:
            return self
        if self._console.is_jupyter:
            self._update = _notebook_output(self._text)
        elif self._console.is_terminal:
            self._live = Live(console=self._console, get_renderable=self._table, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
        if self._update:
            self._update()

    def say(self, name: str, text: str, far: str = "", share: float | None = None) -> None:
        """What happens with `name` from now on, and how far it is: in words, and from 0 to 1."""
        with self._mutex:
            row = self._rows.get(name)
            if row is None or row.seconds is not None:
                row = self._rows[name] = _Row("")
            new, row.text, row.far, row.share = row.text != text, text, far, share
        if new:
            self._line(name, text)

    def over(self, name: str, text: str) -> None:
        """`name` is in place, or was given up; the text says which."""
        with self._mutex:
            row = self._rows.setdefault(name, _Row(text))
            row.text, row.far, row.share, row.seconds = text, "", None, row.took()
        self._line(name, f"{text}, {span(row.seconds)}")

    def tick(self) -> None:
        """Draw again; a line every 25 seconds where there is neither terminal nor notebook."""
        if self._update:
            self._update()
        elif not self._live and not self._quiet:
            self._remind()

    def _remind(self) -> None:
        now = time.monotonic()
        with self._mutex:
            due = [(name, row) for name, row in self._rows.items() if row.far and now - row.told >= EVERY]
            for _, row in due:
                row.told = now
        for name, row in due:
            self._line(name, f"{row.text}, {row.far}, after {span(row.took())}")

    def _line(self, name: str, text: str) -> None:
        if not (self._quiet or self._live or self._update):
            self._console.print(f"{name}: {text}", highlight=False, markup=False, soft_wrap=True)

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 1), expand=False)
        for width in (24, 12, 34, 8):
            table.add_column(width=width, no_wrap=True, overflow="ellipsis")
        with self._mutex:
            for name, row in self._rows.items():
                bar = "" if row.share is None else ProgressBar(1.0, row.share, width=12)
                words = f"{row.far}, {row.text}" if row.far else row.text  # the end is cut where the window is narrow
                table.add_row(name, bar, words, span(row.took()))
        return table

    def _text(self) -> str:
        """The table as plain text."""
        file = io.StringIO()
        Console(file=file, width=_WIDTH, color_system=None, force_jupyter=False).print(self._table())
        return "\n".join(line.rstrip() for line in file.getvalue().splitlines())


def span(seconds: float) -> str:
    """Seconds in words: 3.2 s, 45 s, 3 min 20 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _notebook_output(text: Callable[[], str]) -> Callable[[], None]:
    """An output of the running cell; the function returned draws it again when its text has changed."""
    from IPython.display import display

    shown = text()
    handle: Any = display({"text/plain": shown}, raw=True, display_id=True)

    def update() -> None:
        nonlocal shown
        if (now := text()) != shown:
            shown = now
            handle.update({"text/plain": now}, raw=True)

    return update
