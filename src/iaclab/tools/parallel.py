"""Jobs side by side, while this thread draws how far they are."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from iaclab.tools.catalogue import Tool

if TYPE_CHECKING:
    from iaclab.tools.board import Board

_DOWNLOADS = 4  # side by side
_PATIENCE = 2.0  # seconds that stopped threads have to clean up; a dead connection takes longer and is left


def side_by_side(job: Callable[[Tool], None], entries: list[Tool], board: Board, stop: threading.Event) -> None:
    """Do a job for each tool in four threads, while this one draws.

    The threads are daemons, so that one that hangs in a dead connection keeps neither Ctrl-C nor the exit waiting.

    Args:
        stop: set here when a job fails or the user presses Ctrl-C; jobs watch it.
    """
    todo: queue.SimpleQueue[Tool] = queue.SimpleQueue()
    for entry in entries:
        todo.put(entry)
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run() -> None:
        while not stop.is_set():
            try:
                job(todo.get_nowait())
                ended.put(None)
            except queue.Empty:
                return
            except BaseException as error:
                ended.put(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(_DOWNLOADS)]
    for thread in threads:
        thread.start()
    open_jobs = len(entries)
    try:
        while open_jobs:
            board.tick()
            with contextlib.suppress(queue.Empty):
                error = ended.get(timeout=0.5)
                open_jobs -= 1
                if error:
                    raise error
    except BaseException:
        stop.set()
        raise
    finally:
        end = time.monotonic() + _PATIENCE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
