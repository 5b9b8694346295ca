"""A submission's kernel: a process in a sandbox, and a client that talks to it through a folder of sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import select
import stat
import time
from functools import partial
from pathlib import Path
from typing import Any

import zmq.asyncio
from jupyter_client.asynchronous.client import AsyncKernelClient

from iaclab.grading import cgroup
from iaclab.grading.desk import Desk
from iaclab.grading.limits import MB, Limits
from iaclab.grading.mounts import SOCKETS
from iaclab.grading.watch import SERVICES, Watch
from iaclab.grading.world import World

_CHANNELS = ("shell", "iopub", "stdin", "control", "hb")
_START = 30  # seconds that a kernel may take to start
_LARGEST_MESSAGE = 4 * MB
_QUEUE = 500  # messages that wait to be read


class KernelDied(Exception):
    """The kernel has ended, or does not answer."""


class Client(AsyncKernelClient):
    """A client that asks the sandbox, not the kernel's heartbeat, whether the kernel lives."""

    kernel: Kernel
    doors: dict[int, str]  # by a channel's number, where its socket is

    def _make_url(self, channel: str) -> str:
        return f"ipc://{self.doors[getattr(self, f'{channel}_port')]}"

    async def is_alive(self) -> bool:
        """Whether the kernel's process runs."""
        return self.kernel.alive


class Kernel:
    """A kernel in a sandbox of its own, watched; a context that leaves no process.

    Args:
        forgiven: bytes and files on the desk that do not count against the limits.

    Raises:
        KernelDied: it does not start.
    """

    def __init__(self, world: World, desk: Desk, limits: Limits, forgiven: tuple[int, int] = (0, 0)) -> None:
        self.killed = ""  # why, where the watcher ended it
        self.lost = False  # a connection, and `cut_off` follows within a second
        self.cut_off = asyncio.Event()  # set where one message was larger than any may be, or it has ended
        self._world = world
        self._closing = contextlib.ExitStack()
        try:
            self._start(world, desk, limits, forgiven)
        except BaseException:
            self._closing.close()
            raise

    def _start(self, world: World, desk: Desk, limits: Limits, forgiven: tuple[int, int]) -> None:
        name = secrets.token_hex(4)  # a kernel that died may have left its sockets
        key = secrets.token_urlsafe(24)
        connection: dict[str, Any] = {f"{channel}_port": number for number, channel in enumerate(_CHANNELS, 1)}
        connection |= {"transport": "ipc", "key": key, "signature_scheme": "hmac-sha256", "kernel_name": "python3"}
        inside = SOCKETS if world.network else str(desk.sockets)
        sandbox = world.submission_sandbox(desk)
        if sandbox:
            self._closing.enter_context(sandbox)
        group = cgroup.make(limits) if sandbox else None
        if group:
            self._closing.callback(group.close)
        document = json.dumps({**connection, "ip": f"{inside}/{name}"})
        read, write = os.pipe()
        with os.fdopen(read, "rb") as ready, open(os.devnull, "r+b") as nothing:  # noqa: PTH123
            try:
                assert world.zygote
                self._process = world.zygote.begin(
                    "kernel",
                    first=sandbox.first if sandbox else 0,
                    args={"connection": document, "file": f"{inside}/{name}.json"},
                    env=world.submission_environment(desk),
                    folder=desk.work_inside,
                    files=[nothing.fileno()] * 3 + [write],
                    limits=limits.resource_limits() if sandbox else {},
                    cgroup=group.procs if group else None,
                )
            finally:
                os.close(write)
            self._closing.callback(self._process.close)
            started = select.select([ready], [], [], _START)[0] and ready.read(1)
        if not started:
            raise KernelDied("the kernel did not start")
        roots = [self._process.pid, *([sandbox.first] if sandbox else [])]
        services = (world.services.pid, world.base / "state") if world.services and sandbox else None
        self._sandbox = sandbox

        def used() -> tuple[int, int]:
            size, count = desk.used()
            return size - forgiven[0], count - forgiven[1]

        self.watch = self._closing.enter_context(Watch(roots, services, used, limits, self._end))
        self.client = self._connect({**connection, "ip": f"{desk.sockets}/{name}"})

    def _connect(self, connection: dict[str, Any]) -> Client:
        doors = {number: self._door(f"{connection['ip']}-{number}") for number in range(1, len(_CHANNELS) + 1)}
        context = zmq.asyncio.Context()
        self._closing.callback(partial(context.destroy, linger=0))  # before the doors: a reconnect must find the same
        context.setsockopt(zmq.MAXMSGSIZE, _LARGEST_MESSAGE)
        context.setsockopt(zmq.RCVHWM, _QUEUE)
        context.setsockopt(zmq.LINGER, 0)
        client = Client(context=context)
        info: Any = {**connection, "key": connection["key"].encode()}
        client.load_connection_info(info)
        client.kernel = self
        client.doors = doors
        client.allow_stdin = False
        client.start_channels(stdin=False, hb=False)
        self._closing.callback(client.stop_channels)
        for channel in (client.iopub_channel, client.shell_channel):
            self._closing.callback(asyncio.ensure_future(self._see_cut(channel.socket)).cancel)
        return client

    def _door(self, name: str) -> str:
        """A name for a kernel's socket that stays the same socket whatever the submission puts in its place.

        Raises:
            KernelDied: it is no socket: a start-up file of the submission's may have made a link of it.
        """
        if self._sandbox is None:
            return name
        try:
            handle = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            raise KernelDied("the kernel has no sockets") from error
        self._closing.callback(os.close, handle)
        if not stat.S_ISSOCK(os.fstat(handle).st_mode):
            raise KernelDied("the kernel's sockets have been replaced")
        return str(Path("/proc/self/fd", str(handle)))

    async def _see_cut(self, socket: zmq.asyncio.Socket) -> None:
        """ZeroMQ cuts the connection at a message that is too large, and says so to nobody but this.

        A kernel that ends loses it too, a moment before its end is seen.
        """
        monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        try:
            await monitor.recv_multipart()
            self.lost = True
            deadline = time.monotonic() + 1
            while self.alive and time.monotonic() < deadline:
                await asyncio.sleep(0.02)
            self.cut_off.set()
        finally:
            with contextlib.suppress(zmq.ZMQError):
                socket.disable_monitor()

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.alive and (self._sandbox is None or self._sandbox.alive)

    def kill(self) -> None:
        """End every process of the submission."""
        if self._sandbox:
            self._sandbox.close()
        self._process.kill()

    def _end(self, why: str) -> None:
        self.killed = why
        self.kill()
        if why.startswith(SERVICES) and self._world.services:
            self._world.services.close()  # they are made anew for the next submission

    async def wait_ready(self) -> None:
        """Until it answers and its output arrives.

        Raises:
            KernelDied: it does neither.
        """
        deadline = time.monotonic() + _START
        while self.alive and time.monotonic() < deadline:
            self.client.kernel_info()
            if await self.client.shell_channel.get_msg(timeout=_START) and await self._hears():
                return
        raise KernelDied("the kernel does not answer")

    async def _hears(self) -> bool:
        """Whether what the kernel says to everybody arrives; all of it until now is read."""
        from queue import Empty

        try:
            while True:
                message = await self.client.iopub_channel.get_msg(timeout=0.1)
                if message["content"].get("execution_state") == "idle":
                    return True
        except Empty:
            return False

    def interrupt(self) -> None:
        """Ask it to interrupt what it does."""
        self.client.control_channel.send(self.client.session.msg("interrupt_request", {}))

    def close(self) -> None:
        """Leave no process of it."""
        self.kill()
        self._closing.close()

    def __enter__(self) -> Kernel:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
