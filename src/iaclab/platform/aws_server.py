"""AWS' API on loopback: moto's server, which knows the profile's keys and keeps its data on disk.

moto (https://docs.getmoto.org) answers anybody and forgets everything when it stops. Here a request must name an
access key of the profile (or one that its IAM or STS has made), and what changed is on disk a moment later.
Signatures are not verified: whoever reads a request on this machine's loopback device could use its key.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from moto import backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from iaclab.platform.aws_kept import Kept

KEY_VARIABLE = "IACLAB_AWS_KEY"  # the profile's access key id, for the process: `ps` does not show it
Environ = dict[str, Any]
_CREDENTIAL = re.compile(r"(?:Credential=|X-Amz-Credential=|AWSAccessKeyId=|^AWS )([A-Za-z0-9]+)")
_READS = ("GET", "HEAD", "OPTIONS")
_CODE, _WHY = "InvalidAccessKeyId", "The access key is not of this profile: iaclab env prints the variables that are."


def application(key: str, kept: Kept) -> Callable[[Environ, Callable[..., Any]], Iterable[bytes]]:
    """moto as a WSGI application that answers only those who name a key of this profile."""
    inner = DomainDispatcherApplication(create_backend_app)

    def serve(environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        if not _known(key, environ):
            kind, body = _denied(environ)
            start("403 Forbidden", [("Content-Type", kind), ("Content-Length", str(len(body)))])
            return [body]
        if environ["REQUEST_METHOD"] in _READS:
            return inner(environ, start)  # type: ignore[no-any-return]
        with kept.changing:
            answer = list(inner(environ, start))
        kept.changed()
        return answer

    return serve


def _known(key: str, environ: Environ) -> bool:
    """Whether the request names the profile's key, or one that IAM or STS has made here."""
    named = _CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", "") or environ.get("QUERY_STRING", ""))
    if named is None:
        return False
    if named[1] == key:
        return True
    iam: Any = backends.get_backend("iam")
    sts: Any = backends.get_backend("sts")
    made = {key for _, _, backend in list(iam.iter_backends()) for key in list(backend.access_keys)}
    made |= {role.access_key_id for _, _, backend in list(sts.iter_backends()) for role in list(backend.assumed_roles)}
    return named[1] in made


def _denied(environ: Environ) -> tuple[str, bytes]:
    """Content type and body of a refusal, as the clients of the different AWS protocols read it."""
    sent = environ.get("CONTENT_TYPE", "")
    if "json" in sent:
        return sent, json.dumps({"__type": _CODE, "message": _WHY}).encode()
    error = f"<Error><Code>{_CODE}</Code><Message>{_WHY}</Message></Error>"
    if "form" in sent:  # IAM and STS read Error, EC2 reads Errors
        error = f"<ErrorResponse>{error}<Errors>{error}</Errors></ErrorResponse>"
    return "application/xml", f'<?xml version="1.0" encoding="UTF-8"?>{error}'.encode()


def main(host: str, port: int, file: Path) -> None:
    """Serve until SIGTERM; then write what changed last."""
    kept = Kept(file)
    kept.load()
    server = make_server(
        host, port, application(os.environ[KEY_VARIABLE], kept), threaded=True, request_handler=MotoRequestHandler
    )

    def stop(number: int, frame: FrameType | None) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=kept.keep_saving, daemon=True).start()
    server.serve_forever()
    kept.save()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
