"""`python -m iaclab.pulumi_platform ADDRESS`: the plugin's process, as Pulumi starts it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
from pulumi.provider.experimental.property_value import PropertyValue
from pulumi.provider.experimental.server import ProviderServicer
from pulumi.runtime._grpc_settings import _GRPC_CHANNEL_OPTIONS
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc, status_pb2

from iaclab.errors import LabError
from iaclab.platform.profile import HOST
from iaclab.pulumi_platform import VERSION
from iaclab.pulumi_platform.provider import Bridge, PartlyDone

_STATUS = "grpc-status-details-bin"


class Servicer(ProviderServicer):
    """Pulumi's own, with errors in words in place of a traceback."""

    async def Create(self, request: Any, context: Any) -> Any:
        return await _told(super().Create, request, context)

    async def Read(self, request: Any, context: Any) -> Any:
        return await _told(super().Read, request, context)

    async def Update(self, request: Any, context: Any) -> Any:
        return await _told(super().Update, request, context)

    async def Delete(self, request: Any, context: Any) -> Any:
        return await _told(super().Delete, request, context)

    async def Diff(self, request: Any, context: Any) -> Any:
        return await _told(super().Diff, request, context)

    async def Check(self, request: Any, context: Any) -> Any:
        return await _told(super().Check, request, context)

    async def Invoke(self, request: Any, context: Any) -> Any:
        return await _told(super().Invoke, request, context)


async def _told(operation: Callable[[Any, Any], Awaitable[Any]], request: Any, context: Any) -> Any:
    try:
        return await operation(request, context)
    except Exception as error:  # Pulumi's server wraps what a provider raises
        cause = error if isinstance(error, LabError) else error.__context__
        if not isinstance(cause, LabError):
            raise
        text = "\n".join(filter(None, [cause.what, cause.why, f"Mend: {cause.mend}" if cause.mend else ""]))
        details = _partly(cause, text) if isinstance(cause, PartlyDone) else ()
        await context.abort(grpc.StatusCode.UNKNOWN, text, details)


def _partly(error: PartlyDone, text: str) -> tuple[tuple[str, bytes], ...]:
    """A resource that is there and not ready yet goes into the state all the same."""
    failed = provider_pb2.ErrorResourceInitFailed(
        id=error.id, properties=PropertyValue.marshal_map(error.outputs), reasons=[error.what]
    )
    status = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message=text)
    status.details.add().Pack(failed)
    return ((_STATUS, status.SerializeToString()),)


async def _serve(engine: str) -> None:
    server = grpc.aio.server(options=_GRPC_CHANNEL_OPTIONS)
    servicer = Servicer(sys.argv[1:], VERSION, Bridge(), engine_address=engine)
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(servicer, server)
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def main() -> int:
    """Serve until the engine ends this process; it reads the port from the first line."""
    engine = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))  # the engine's way to end a plugin whose work is done
    asyncio.run(_serve(engine))
    return 0


if __name__ == "__main__":
    sys.exit(main())
