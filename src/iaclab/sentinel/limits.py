"""How much a policy may do: none of them is trusted to end."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from iaclab.sentinel.errors import SentinelError

STEPS = 1_000_000  # expressions and statements
DEPTH = 60  # calls within calls; Python's own stack holds some ten frames for each
SIZE = 1_000_000  # characters of a string, elements of a list
INTEGER = 2**63  # integers have 64 bits
SECONDS = 30.0


@contextlib.contextmanager
def in_time() -> Iterator[None]:
    """Stop what runs inside after that long, a regular expression too; only the main thread can be stopped."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise SentinelError(
            f"the policy was stopped after {SECONDS:g} s", hint="look for an endless loop or a costly pattern"
        )

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
