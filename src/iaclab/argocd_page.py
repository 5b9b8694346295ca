"""Argo CD's web page inside JupyterLab: `argocd/` below Jupyter's own address, through jupyter-server-proxy.

jupyter-server-proxy brings the entry in JupyterLab's launcher, the routes, and Jupyter's login in front of them. By
itself it would send requests on in plain HTTP, to a port that it was told when Jupyter started. Argo CD may start later
and get another port with `iaclab reset --hard`, and it speaks TLS with a certificate of the profile's authority; so
each request looks up where Argo CD listens, and trusts nothing else there. jupyter/jupyter_server_config.py reads this.
"""

from __future__ import annotations

import asyncio
import contextlib
import html
import re
import shlex
import ssl

import httpx
from jupyter_server.utils import url_path_join
from jupyter_server_proxy.config import ServerProcess
from jupyter_server_proxy.handlers import NamedLocalProxyHandler
from tornado import iostream, web

from iaclab.errors import LabError
from iaclab.platform.profile import HOST, Profile

NAME = "argocd"
_HOPS = {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
_NOT_SENT_ON = _HOPS | {"accept-encoding", "authorization", "content-length", "cookie", "host"}  # or in another form
_BASE = re.compile(rb'<base href="[^"]*"')
_COOKIE_PATH = re.compile(r";\s*path=[^;]*", re.IGNORECASE)
_COOKIE_SECURE = re.compile(r";\s*secure\b", re.IGNORECASE)
_CODE = re.compile("`([^`]+)`")
_NO_PAGE = b"dist/app/index.html"  # what a build without the page says that it does not find
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Argo CD</title>
<meta http-equiv="refresh" content="5">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 4rem auto; padding: 0 1rem }}
pre {{ border: 1px solid; padding: .75rem; white-space: pre-wrap }}
</style>
</head>
<body>
<h1>{what}</h1>
<p>{why}</p>
<p>What mends it, in a terminal of JupyterLab (File → New → Terminal):</p>
<pre>{mend}</pre>
<p>{then} This page looks again every five seconds.</p>
</body>
</html>
"""


def server() -> Server:
    """The server `argocd` of jupyter-server-proxy; JupyterLab opens it in a tab of its own."""
    entry = {"title": "Argo CD", "category": "Other", "path_info": f"{NAME}/"}
    return Server(name=NAME, launcher_entry=entry, new_browser_tab=False)


class Server(ServerProcess):  # type: ignore[misc]
    """One that nobody starts, whose requests `Page` answers."""

    def get_proxy_base_class(self) -> tuple[type, dict[str, object]]:
        return Page, {}


class Page(NamedLocalProxyHandler):  # type: ignore[misc]
    """One request to Argo CD. The classes above refuse it before it comes here where Jupyter does not know the user."""

    _work: asyncio.Task[None] | None = None

    async def proxy(self, port: int, path: str) -> None:
        """Answer any method; the port and the decoded path that the class above hands in are not used."""
        self._record_activity()  # a hub ends a server that nobody uses
        self._work = asyncio.create_task(self._pass_on(Profile()))
        with contextlib.suppress(asyncio.CancelledError, iostream.StreamClosedError):
            await self._work

    async def open(self, path: str) -> None:
        """Argo CD has a WebSocket for a shell in a container alone, and no container runs here."""
        self.close(reason="no container runs here")

    def on_connection_close(self) -> None:
        """End Argo CD's side too: its streams (`/api/v1/stream/…`) have no end of their own."""
        super().on_connection_close()
        if self._work:
            self._work.cancel()

    async def _pass_on(self, profile: Profile) -> None:
        port = profile.ports.get("argocd.server")
        if port is None:
            self._say_that_it_does_not_run(profile, "It has not been started yet.")
            return
        address = f"https://{HOST}:{port}"
        patience = httpx.Timeout(10, read=60 if self._wants_a_page() else None)
        try:
            async with (
                httpx.AsyncClient(verify=_trust(profile), timeout=patience, trust_env=False) as http,
                http.stream(
                    self.request.method or "GET",
                    address + self._rest(),
                    headers=self._headers_to_send_on(),
                    content=self.request.body or None,
                ) as answer,
            ):
                await self._answer(answer, address)
        except (httpx.HTTPError, OSError) as error:  # OSError: the profile has no authority yet
            if not self._headers_written:
                why = f"{HOST}:{port} does not answer as Argo CD would ({type(error).__name__}: {error})."
                self._say_that_it_does_not_run(profile, why)

    @property
    def _prefix(self) -> str:
        """Where the browser sees Argo CD: `/argocd`, on a JupyterHub `/user/ada/argocd`."""
        return str(url_path_join(self.base_url, NAME))

    def _wants_a_page(self) -> bool:
        return "text/html" in self.request.headers.get("Accept", "")

    def _rest(self) -> str:
        """Path and query as the browser has sent them, without the prefix and without Jupyter's token."""
        query = "&".join(part for part in self.request.query.split("&") if not part.startswith("token="))
        return str(self.request.path).removeprefix(self._prefix) + (f"?{query}" if query else "")

    def _headers_to_send_on(self) -> list[tuple[str, str]]:
        """Those of the request; what logs in to Jupyter stays here."""
        headers = [(name, value) for name, value in self.request.headers.get_all() if name.lower() not in _NOT_SENT_ON]
        cookies = {name: one.value for name, one in self.request.cookies.items() if name.startswith("argocd.")}
        if cookies:
            headers.append(("Cookie", "; ".join(f"{name}={value}" for name, value in cookies.items())))
        if "Authorization" in self.request.headers and not self.token_authenticated:
            headers.append(("Authorization", self.request.headers["Authorization"]))
        headers.append(("Accept-Encoding", self.request.headers.get("Accept-Encoding", "identity")))
        return headers

    async def _answer(self, answer: httpx.Response, address: str) -> None:
        """Send the answer back: a page as a whole, mended; anything else as it comes."""
        if answer.status_code == 500 and _NO_PAGE in await answer.aread():
            self._explain(501, _no_page(), "The API and the command `argocd` work without it.")
            return
        page = answer.headers.get("Content-Type", "").startswith("text/html")
        self.set_status(answer.status_code, answer.reason_phrase)
        skipped = _HOPS | ({"content-encoding", "content-length"} if page or answer.is_stream_consumed else set())
        headers = [(name, value) for name, value in answer.headers.multi_items() if name.lower() not in skipped]
        for name, _ in headers:
            self.clear_header(name)
        for name, value in headers:
            self.add_header(name, self._mended(name.lower(), value, address))
        if page or answer.is_stream_consumed:
            base = f'<base href="{html.escape(self._prefix)}/"'.encode()
            if body := await answer.aread():
                self.write(_BASE.sub(lambda _: base, body, count=1))
            return
        async for part in answer.aiter_raw():
            self.write(part)
            await web.RequestHandler.flush(self)  # jupyter-server-proxy's own does not say when it is done

    def _mended(self, name: str, value: str, address: str) -> str:
        """A header of Argo CD, which thinks that it is at the root of its own address."""
        if name == "location":  # a logout leads to that address
            place = (value.removeprefix(address) or "/") if f"{value}/".startswith(f"{address}/") else value
            return self._prefix + place if place.startswith("/") else place
        if name == "set-cookie":  # on a hub, `/` would be every user's server
            value = f"{_COOKIE_PATH.sub('', value)}; Path={self._prefix}"
            return _COOKIE_SECURE.sub("", value) if self.request.protocol == "http" else value
        return value

    def _say_that_it_does_not_run(self, profile: Profile, why: str) -> None:
        problem = LabError("Argo CD does not run.", why=f"Profile {profile.name}: {why}", mend="iaclab up argocd")
        password = shlex.quote(str(profile.root / "secrets" / "argocd-admin"))
        self._explain(503, problem, f"The user is `admin`; `cat {password}` prints the password.")

    def _explain(self, status: int, problem: LabError, then: str) -> None:
        """A page for people, three lines for programs."""
        self.clear()
        self.set_status(status)
        if not self._wants_a_page():
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.write(f"{problem}\n")
            return
        words = {"what": problem.what, "why": problem.why, "mend": problem.mend, "then": then}
        self.write(_PAGE.format(**{name: _CODE.sub(r"<code>\1</code>", html.escape(t)) for name, t in words.items()}))


def _trust(profile: Profile) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=profile.root / "pki" / "ca.crt")


def _no_page() -> LabError:
    """A Go module of Argo CD has no page in it, so neither has what is built from it."""
    from iaclab.tools import catalogue, found

    installed = found.find("argocd")
    if installed and installed.source == "PATH":
        mend = "iaclab down argocd\nIACLAB_TOOLS_FROM=release iaclab up argocd"
    else:  # aside, not away: a build takes minutes
        here = shlex.quote(str(found.home(catalogue.tool("argocd"))))
        mend = (
            f"iaclab down argocd\nmv {here} {here}.built\n"
            f"IACLAB_TOOLS_FROM=release iaclab tools install argocd || mv {here}.built {here}\niaclab up argocd"
        )
    return LabError(
        "This Argo CD has no web page.",
        why="Its program was built from source, and the page is not in the source's Go module. The official release "
        "has it; these commands bring the release, where this machine may download it, and else leave all as it was.",
        mend=mend,
    )
