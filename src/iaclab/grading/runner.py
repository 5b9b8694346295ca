"""Runs the cells of a submission, one by one, whatever they do: an error, a time-out or a dead kernel ends one cell."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import DeadKernelError

from iaclab.grading.desk import Desk
from iaclab.grading.kernel import Kernel, KernelDied
from iaclab.grading.limits import Limits
from iaclab.grading.world import World

_GRACE = 5  # seconds that an interrupted cell has to end
_MESSAGES = 20_000  # of one cell
_KEPT_KINDS = ("text/plain", "image/png", "image/jpeg", "image/gif")  # nothing that a browser runs
_TERMINAL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
Trouble = Literal["error", "timeout", "flood", "killed", "skipped"]


@dataclass(frozen=True)
class CellReport:
    """What went wrong in a cell; `index` counts from 0."""

    index: int
    what: Trouble
    why: str


@dataclass
class Report:
    """How a submission ran. `seconds` is wall time, `memory` the most that all its processes had, in bytes."""

    cells: list[CellReport] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    restarts: int = 0
    seconds: float = 0
    memory: int = 0

    def add(self, index: int, what: Trouble, why: str) -> None:
        """Note trouble."""
        self.cells.append(CellReport(index, what, " ".join(_TERMINAL.sub("", why).split())[:240]))


def run(notebook: Any, world: World, desk: Desk, limits: Limits) -> Report:
    """Run all cells; their outputs are put into the notebook. When this returns no process of it is alive."""
    return asyncio.run(_Run(notebook, world, desk, limits).all())


class _Client(NotebookClient):
    """nbclient, with an eye on how much a cell says."""

    def __init__(self, notebook: Any, kernel: Kernel, limits: Limits) -> None:
        manager: Any = kernel
        super().__init__(notebook, km=manager, allow_errors=True, store_widget_state=False, skip_cells_with_tag="")
        self.kc = kernel.client
        self.is_leaving, self.on_cell_executed = False, self._see_goodbye
        self.limits, self.said, self.messages, self.flooded = limits, 0, 0, kernel.cut_off

    def _see_goodbye(self, execute_reply: Any, **_: Any) -> None:
        """Whether the cell said `exit()`: the kernel ends a moment after it."""
        payload = execute_reply["content"].get("payload") or []
        self.is_leaving = any(part.get("source") == "ask_exit" for part in payload)

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        """Count, and let go of what is too much; what tells that a cell has ended always gets through."""
        self.messages += 1
        self.said += _size(msg["content"])
        if self.said > self.limits.flood or self.messages > _MESSAGES:
            self.flooded.set()
        too_much = self.said > self.limits.kept or self.messages > _MESSAGES
        if msg["msg_type"].startswith("comm") or (too_much and msg["msg_type"] not in ("status", "execute_input")):
            return None
        return super().process_message(msg, cell, cell_index)


class _Run:
    def __init__(self, notebook: Any, world: World, desk: Desk, limits: Limits) -> None:
        self._notebook, self._world, self._desk, self._limits = notebook, world, desk, limits
        self._report = Report()
        self._kernel: Kernel | None = None

    async def all(self) -> Report:
        started = time.monotonic()
        deadline = started + self._limits.notebook
        try:
            for index, cell in enumerate(self._notebook.cells):
                if cell.cell_type != "code" or not cell.source.strip():
                    continue
                why = await self._kernel_or_why(deadline)
                if self._kernel is None:
                    self._report.add(index, "skipped", why)
                    continue
                await self._cell(index, cell, min(self._limits.cell, deadline - time.monotonic()))
        finally:
            self._let_go()
        self._report.seconds = time.monotonic() - started
        return self._report

    async def _kernel_or_why(self, deadline: float) -> str:
        """See that there is a kernel; where there cannot be one, say why."""
        if time.monotonic() >= deadline:
            self._let_go()
            return f"the notebook had used its {self._limits.notebook:.0f} s"
        if self._kernel and self._kernel.alive:
            return ""
        if self._kernel:
            self._let_go()
            self._report.restarts += 1
        if self._report.restarts > self._limits.restarts:
            return f"the kernel had died {self._report.restarts} times"
        try:
            self._kernel = Kernel(self._world, self._desk, self._limits, forgiven=self._left_behind())
            await self._kernel.wait_ready()
        except KernelDied as error:
            self._let_go()
            self._report.restarts += 1
            return str(error)
        return ""

    def _left_behind(self) -> tuple[int, int]:
        """Bytes and files that a cell that was killed has left, twice what is allowed at most: they count no more.

        Otherwise what comes after would be killed too, and an honest cell could not be told from the one that did it.
        """
        if not self._report.restarts:
            return 0, 0
        size, count = self._desk.used()
        return min(size, 2 * self._limits.disk), min(count, 2 * self._limits.files)

    def _let_go(self) -> None:
        if self._kernel:
            self._report.memory = max(self._report.memory, self._kernel.watch.peak)
            self._kernel.close()
            self._kernel = None

    async def _cell(self, index: int, cell: Any, seconds: float) -> None:
        assert self._kernel
        kernel, client = self._kernel, _Client(self._notebook, self._kernel, self._limits)
        task = asyncio.ensure_future(client.async_execute_cell(cell, index))
        flood = asyncio.ensure_future(client.flooded.wait())
        await asyncio.wait({task, flood}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        trouble: tuple[Trouble, str] | None = None
        if not task.done() and not client.flooded.is_set() and kernel.alive:
            trouble = ("timeout", f"it took longer than {seconds:.0f} s")
            kernel.interrupt()
            await asyncio.wait({task}, timeout=_GRACE)
        if kernel.lost:
            await kernel.cut_off.wait()
        if client.flooded.is_set() and kernel.alive:
            trouble = ("flood", f"it said more than {self._limits.flood >> 20} MB, or more than {_MESSAGES} times")
            kernel.kill()  # asking it politely would fill the grader's memory meanwhile
        if not task.done():
            kernel.kill()
            await asyncio.wait({task}, timeout=_GRACE)
        flood.cancel()
        failed = await _failure(task)
        if client.is_leaving or (failed and not kernel.killed):
            kernel.kill()
        if kernel.killed:
            trouble = ("killed", kernel.killed)
        elif failed and not trouble:
            trouble = ("killed", failed)
        if not trouble and _out_of_memory(cell):
            kernel.kill()
            trouble = ("killed", "its kernel ran out of memory")
        clean(cell, self._limits)
        if not trouble and (error := _error(cell)):
            trouble = ("error", error)
        if trouble:
            self._report.add(index, *trouble)
            if trouble[0] != "error":
                cell.outputs.append(nbformat.v4.new_output("stream", name="stderr", text=f"[{': '.join(trouble)}]\n"))


async def _failure(task: asyncio.Future[Any]) -> str:
    """Why the cell has no proper end; empty where it has one."""
    if not task.done():
        task.cancel()
        with contextlib.suppress(BaseException):
            await task
        return "its kernel no longer answered"
    error = task.exception()
    if error is None:
        return ""
    if isinstance(error, DeadKernelError):
        return "its kernel ended"
    return f"its kernel said what no kernel says ({type(error).__name__})"


def _size(value: Any, depth: int = 0) -> int:
    """Characters in a message."""
    if isinstance(value, str):
        return len(value)
    if depth > 20:
        return 1
    if isinstance(value, dict):
        return sum(_size(key, depth + 1) + _size(part, depth + 1) for key, part in value.items())
    return sum(_size(part, depth + 1) for part in value) if isinstance(value, list) else 8


def _out_of_memory(cell: Any) -> bool:
    """Whether the kernel could not even tell the error: what it holds would cost later cells theirs."""
    streams = [output for output in cell.outputs if output.output_type == "stream" and output.name == "stderr"]
    return any(re.search(r"^MemoryError\b", str(output.text), re.MULTILINE) for output in streams)


def _error(cell: Any) -> str:
    for output in cell.outputs:
        if output.output_type == "error":
            return f"{output.ename}: {output.evalue}"
    return ""


def clean(cell: Any, limits: Limits) -> None:
    """Keep of a cell's outputs only what is text or a picture, and of that not too much."""
    outputs, left = [], limits.kept
    for output in cell.outputs:
        new = _cleaned(output)
        size = _size(new)
        if size > left:
            text = f"[more output was left out: {limits.kept} characters are kept]\n"
            outputs.append(nbformat.v4.new_output("stream", name="stderr", text=text))
            break
        left -= size
        if outputs and _goes_on(new, outputs[-1]):  # it came in pieces, which are cut anywhere
            outputs[-1].text += new.text
        else:
            outputs.append(new)
    cell.outputs = outputs
    cell.execution_count = cell.execution_count if isinstance(cell.execution_count, int) else None


def _goes_on(output: Any, before: Any) -> bool:
    """Whether two outputs are pieces of one stream."""
    return bool(output.output_type == before.output_type == "stream" and output.name == before.name)


def _cleaned(output: Any) -> Any:
    match output.output_type:
        case "stream":
            name = "stderr" if output.name == "stderr" else "stdout"
            return nbformat.v4.new_output("stream", name=name, text=_text(output.text))
        case "error":
            trace = output.traceback if isinstance(output.traceback, list) else []
            words = {"ename": _text(output.ename), "evalue": _text(output.evalue), "traceback": list(map(_text, trace))}
            return nbformat.v4.new_output("error", **words)
    data = {kind: _text(output.data[kind]) for kind in _KEPT_KINDS if kind in output.data}
    return nbformat.v4.new_output("display_data", data=data)


def _text(value: Any) -> str:
    return (value if isinstance(value, str) else str(value)).encode("utf-8", "replace").decode()
