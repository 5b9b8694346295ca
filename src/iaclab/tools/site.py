"""Sites on the network: how long one is waited for, and one line for each way in which it fails."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3 import exceptions as http

from iaclab.errors import LabError
from iaclab.tools.source import SourceFailed

CHUNK = 1 << 18  # bytes that are read at once


def timeout() -> tuple[float, float]:
    """Seconds to wait for a connection, and for the next bytes of an answer."""
    given = os.environ.get("IACLAB_TIMEOUT", "15")
    try:
        limit = float(given)
    except ValueError as error:
        raise LabError(f"IACLAB_TIMEOUT={given} is not a number of seconds.", mend="unset IACLAB_TIMEOUT") from error
    return min(limit, 5), limit


def failure(url: str, error: requests.RequestException) -> SourceFailed:
    """One line; a site that does not answer at all is named, so that nothing else is asked of it."""
    site = urlsplit(url).netloc
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return SourceFailed(f"{url} answers {error.response.status_code}")
    if _cause(error, http.NewConnectionError, http.ProxyError):
        return SourceFailed(f"{site} cannot be reached", host=site)
    if isinstance(error, requests.Timeout) or _cause(error, http.TimeoutError):
        return SourceFailed(f"{site} does not answer within {timeout()[1]:g} s", host=site)
    if isinstance(error, requests.exceptions.SSLError):
        return SourceFailed(f"{site} has a certificate that is not trusted here", host=site)
    if isinstance(error, requests.TooManyRedirects):
        return SourceFailed(f"{url} redirects in a circle")
    if isinstance(error, requests.exceptions.ChunkedEncodingError) or _cause(error, http.ProtocolError):
        return SourceFailed(f"{url}: the connection ended before the file did")
    return SourceFailed(f"{url}: {type(error).__name__}")


def _cause(error: BaseException, *kinds: type[BaseException]) -> bool:
    """Whether requests has wrapped one of these errors of urllib3."""
    inner: Any = error.args[0] if error.args else None
    return isinstance(inner, kinds) or isinstance(getattr(inner, "reason", None), kinds)
