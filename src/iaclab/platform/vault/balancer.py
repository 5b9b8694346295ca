"""One address for three nodes: passes each connection on, unread, to the active node (TLS ends there).

In a cluster a Service with a readiness probe does this. `python -m iaclab.platform.vault.balancer CA PORT NODE-PORT …`
A new connection waits up to five seconds while the nodes elect a leader; a vault that is sealed is reached at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys

from iaclab.platform.profile import HOST

_FRESH = 0.25  # seconds that an answer to a health check counts
_ELECTION = 5.0  # seconds
_ACTIVE, _SEALED, _AWAY = 200, 503, 0
_CHUNK = 1 << 16
_ASKING = b"GET /v1/sys/health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n"
_BROKEN = (OSError, asyncio.IncompleteReadError, TimeoutError)


class Balancer:
    """Knows which of the nodes at `ports` is active."""

    def __init__(self, ca: str, ports: list[int]) -> None:
        self._tls = ssl.create_default_context(cafile=ca)
        self._ports = ports
        self._seen: dict[int, int] = {}
        self._when = float("-inf")
        self._looking = asyncio.Lock()

    async def serve(self, port: int) -> None:
        """Take connections until the process ends."""
        server = await asyncio.start_server(self._pass_on, HOST, port)
        await server.serve_forever()

    async def _choose(self) -> int | None:
        """The active node's port; where there is none, that of a node that answers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ELECTION
        while True:
            async with self._looking:
                if loop.time() - self._when > _FRESH:
                    answers = await asyncio.gather(*map(self._health, self._ports))
                    self._seen, self._when = dict(zip(self._ports, answers, strict=True)), loop.time()
            active = [port for port, code in self._seen.items() if code == _ACTIVE]
            answering = [port for port, code in self._seen.items() if code != _AWAY]
            open_ones = [port for port in answering if self._seen[port] < _SEALED and self._seen[port] != 501]
            if active or not open_ones or loop.time() > deadline:
                return next(iter(active or open_ones or answering), None)
            await asyncio.sleep(0.1)

    async def _health(self, port: int) -> int:
        """The status that a node's health check answers: 200 active, 429 standby, 501 new, 503 sealed; 0: none."""
        try:
            async with asyncio.timeout(1):
                reader, writer = await asyncio.open_connection(HOST, port, ssl=self._tls, server_hostname=HOST)
                writer.write(_ASKING)
                line = await reader.readline()
                writer.close()
            return int(line.split()[1])
        except (*_BROKEN, ValueError, IndexError):
            return _AWAY

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        node = await self._connect()
        if node is None:
            writer.close()
            return
        answers, questions = node
        await asyncio.gather(_pump(reader, questions), _pump(answers, writer))

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        """A connection to the node that `_choose` names; tried again where it has ended a moment ago."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ELECTION
        while loop.time() < deadline:
            port = await self._choose()
            try:
                if port is not None:
                    return await asyncio.open_connection(HOST, port)
            except _BROKEN:
                self._when = float("-inf")
            await asyncio.sleep(0.1)
        return None


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*_BROKEN):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    with contextlib.suppress(*_BROKEN):
        writer.close()


def main() -> None:
    """Run a balancer as the command line says."""
    ca, port, *nodes = sys.argv[1:]

    async def run() -> None:
        await Balancer(ca, [int(node) for node in nodes]).serve(int(port))

    asyncio.run(run())


if __name__ == "__main__":
    main()
