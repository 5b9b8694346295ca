"""Workers that grade side by side: Dask's, on this machine or behind a scheduler's address."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from iaclab.errors import LabError
from iaclab.grading.nbgrader_work import Job, Outcome, attempt, close

_AHEAD = 2  # jobs handed to each worker: one that it does and one that waits
_CONNECT = 10  # seconds
_WORKERS = 30  # seconds for the first worker to join a scheduler


class Pool:
    """Grades jobs on Dask's workers; a context manager.

    Args:
        workers: how many are started on this machine.
        scheduler: the address of a running scheduler, whose workers are used instead.

    Raises:
        LabError: Dask is not installed, no scheduler answers, or it has no worker.
    """

    def __init__(self, workers: int, scheduler: str | None = None) -> None:
        try:
            import dask
            import distributed
        except ImportError as error:
            raise LabError("What grading needs is not installed.", why=str(error), mend="make grading") from error
        self._opened = contextlib.ExitStack()
        _quiet()
        if scheduler:
            self._client = self._opened.enter_context(_connect(scheduler))
        else:
            # its pages, which say who handed in, are for everybody on this machine
            pages: dict[str, list[str]] = {f"distributed.{part}.http.routes": [] for part in ("scheduler", "worker")}
            self._opened.enter_context(dask.config.set(pages))
            folder = self._opened.enter_context(tempfile.TemporaryDirectory(prefix="iaclab-dask-"))
            cluster = distributed.LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=workers,
                threads_per_worker=1,  # a world serves one submission at a time
                memory_limit=0,  # the sandbox limits memory, by submission
                host="127.0.0.1",
                dashboard_address="127.0.0.1:0",  # any free port: `None` takes 8787 and warns where another has it
                scheduler_kwargs={"dashboard": False},
                silence_logs=logging.CRITICAL,
                security=True,  # TLS with keys of this run: another user of this machine must not hand in code
                local_directory=folder,
            )
            self._opened.enter_context(cluster)
            client = distributed.Client(cluster)  # type: ignore[no-untyped-call]
            self._client = self._opened.enter_context(client)
        self.size = max(1, len(self._client.scheduler_info(n_workers=-1)["workers"]))

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        with contextlib.suppress(Exception):  # a worker that died has nothing to close
            self._client.run(close)
        self._opened.close()

    def run(self, jobs: Iterable[Job]) -> Iterator[tuple[str, Outcome | Exception]]:
        """The student and the outcome of each job, in the order in which they are done; an error in place of one."""
        from distributed import as_completed

        todo = iter(jobs)
        names: dict[str, str] = {}
        done: Any = as_completed()  # type: ignore[no-untyped-call]
        for job in islice(todo, _AHEAD * self.size):
            self._submit(job, names, done)
        for future in done:
            student = names.pop(future.key)
            try:
                yield student, future.result()
            except Exception as error:
                yield student, error
            future.release()
            for job in islice(todo, 1):
                self._submit(job, names, done)

    def _submit(self, job: Job, names: dict[str, str], done: Any) -> None:
        future = self._client.submit(attempt, job, pure=False, key=f"{job.lab} {job.student}", retries=0)
        names[future.key] = job.student
        done.add(future)


def _connect(address: str) -> Any:
    import distributed

    try:
        client = distributed.Client(address, timeout=_CONNECT)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TimeoutError) as error:
        raise LabError(
            f"No scheduler answers at {address}.",
            why=" ".join(str(error).split())[:200],
            mend="dask scheduler --host 127.0.0.1   # and, for each worker: dask worker ADDRESS --nthreads 1",
        ) from error
    try:
        client.wait_for_workers(1, timeout=_WORKERS)
    except TimeoutError as error:
        client.close()  # type: ignore[no-untyped-call]
        raise LabError(
            f"The scheduler at {address} has no worker.",
            why=f"None has joined it within {_WORKERS} s; without one nothing would ever be graded.",
            mend=f"dask worker {address} --nthreads 1 --memory-limit 0",
        ) from error
    return client


def _quiet() -> None:
    """Dask says much that is of no use to an instructor; what matters comes as an error."""
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
