"""Loaded by each Dask worker of the suite (`distributed.worker.preload`): what a submission may use here."""

from __future__ import annotations

import functools

import iaclab.grading
from iaclab.grading import Limits, grade

MB = 1 << 20
SMALL = Limits(
    cell=12,
    notebook=60,
    cpu=30,
    memory=400 * MB,
    process_memory=300 * MB,
    processes=80,
    file=100 * MB,
    disk=200 * MB,
    files=5000,
    kept=20_000,
    flood=2 * MB,
    restarts=4,
    look=20,
)
iaclab.grading.grade = functools.partial(grade, limits=SMALL)  # type: ignore[assignment]
