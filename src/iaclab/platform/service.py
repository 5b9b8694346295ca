"""What a service is: a record of what it needs, runs, and answers when it is ready."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from iaclab.platform.profile import Profile
from iaclab.platform.supervise import Program


@dataclass(frozen=True)
class Service:
    """A service of the local platform.

    Args:
        name: as on the command line.
        title: one line for `iaclab status`.
        programs: the processes to run, for a profile (none is fine); may write configuration files first, and answers
            the same as long as nothing has changed: a service whose answer differs from what runs is started anew.
        ready: asks the service itself; `None` when it is ready, otherwise what is missing, in a few words.
        needs: services that must be ready before this one's `prepare` runs.
        tools: programs from the catalogue.
        prepare: runs before the programs start, on every start (applies CRDs, writes credentials); idempotent.
        set_up: runs once the service is ready; idempotent.
        env: variables for the learner's shell.
        clear: brings the service's own data (not a local cluster's: that comes from its snapshot) back to clean,
            while its programs run, except those that act on a cluster.
        timeout: seconds until it must be ready, on a machine that has much else to do.
    """

    name: str
    title: str
    programs: Callable[[Profile], list[Program]]
    ready: Callable[[Profile], str | None]
    needs: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    prepare: Callable[[Profile], None] | None = None
    set_up: Callable[[Profile], None] | None = None
    env: Callable[[Profile], dict[str, str]] | None = None
    clear: Callable[[Profile], None] | None = None
    timeout: float = 90
