"""Services of the host that no submission may reach: on loopback (TCP, UDP, both families) and as Unix sockets."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from pathlib import Path


class Host:
    """Listens, says a secret to whoever calls, and keeps what it heard; a context.

    Args:
        folder: where the socket with a path lies, open for everybody.
        secret: what a caller hears.
    """

    def __init__(self, folder: Path, secret: str) -> None:
        self.calls: list[str] = []
        self._secret = secret.encode()
        self._held = contextlib.ExitStack()
        self._waiting = self._held.enter_context(selectors.DefaultSelector())
        self.port = self._listen(socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1]
        with contextlib.suppress(OSError):  # a machine without IPv6
            self._listen(socket.AF_INET6, ("::1", self.port))
        self._listen(socket.AF_INET, ("127.0.0.1", self.port), socket.SOCK_DGRAM)
        self._listen(socket.AF_UNIX, f"\0iaclab-{self.port}")
        self.path = folder / "host.sock"
        self._listen(socket.AF_UNIX, str(self.path))
        self.path.chmod(0o777)
        self._over, self._tell = socket.socketpair()
        self._waiting.register(self._over, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def values(self) -> dict[str, str]:
        """Where it listens, as attacks call it."""
        return {"PORT": str(self.port), "SOCKET": str(self.path)}

    def _listen(self, family: int, address: object, kind: int = socket.SOCK_STREAM) -> socket.socket:
        door = self._held.enter_context(socket.socket(family, kind))
        if family == socket.AF_INET6:
            door.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        door.bind(address)
        if kind == socket.SOCK_STREAM:
            door.listen()
        self._waiting.register(door, selectors.EVENT_READ)
        return door

    def _serve(self) -> None:
        while True:
            for key, _ in self._waiting.select():
                door = key.fileobj
                assert isinstance(door, socket.socket)
                if door is self._over:
                    return
                self.calls.append(f"{door.family.name} {door.type.name}")
                if door.type == socket.SOCK_DGRAM:
                    door.recv(1000)
                    continue
                caller, _ = door.accept()
                with caller, contextlib.suppress(OSError):
                    caller.sendall(self._secret)

    def __enter__(self) -> Host:
        return self

    def __exit__(self, *_: object) -> None:
        self._tell.close()
        self._thread.join()
        self._over.close()
        self._held.close()
