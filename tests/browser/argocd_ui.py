"""A real argocd-server with a page of ours among its assets: one that is built from source has no page of its own.

The page does what Argo CD's own does: it finds all by its `<base href>`, logs in with a cookie, and keeps a stream.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from iaclab.platform import lifecycle
from iaclab.platform.profile import HOST, Profile, write_private

PAGE = """<!doctype html>
<html lang="en">
<head><title>Applications</title><base href="/"></head>
<body><form><input type="password" aria-label="Password"><button>Sign in</button></form><ul></ul>
<script src="live.js"></script></body>
</html>
"""
SCRIPT = """
const base = document.querySelector("head > base").getAttribute("href");
document.querySelector("form").addEventListener("submit", async event => {
  event.preventDefault();
  const login = {username: "admin", password: document.querySelector("input").value};
  const headers = {"Content-Type": "application/json"};
  await fetch(`${base}api/v1/session`, {method: "POST", headers, body: JSON.stringify(login)});
  new EventSource(`${base}api/v1/stream/applications`).onmessage = message => {
    const {type, application} = JSON.parse(message.data).result;
    const item = document.createElement("li");
    item.textContent = `${type} ${application.metadata.name}`;
    document.querySelector("ul").append(item);
  };
});
"""


@contextmanager
def argocd_at(profile: Profile, port: int | None) -> Iterator[None]:
    """Let the profile's Argo CD be looked for at another port, or have no port yet."""
    file = profile.root / "ports.json"
    before = file.read_text()
    ports = {name: number for name, number in json.loads(before).items() if name != "argocd.server"}
    write_private(file, json.dumps(ports | ({"argocd.server": port} if port else {})))
    try:
        yield
    finally:
        write_private(file, before)


@contextmanager
def argocd_with_a_page(profile: Profile, folder: Path) -> Iterator[psutil.Process]:
    """A second argocd-server of the profile, in the place of the first; it has `page.html` and `live.js`."""
    (folder / "page.html").write_text(PAGE)
    (folder / "live.js").write_text(SCRIPT)
    status = {service.name: service for service in lifecycle.status(profile)}
    first = psutil.Process(status["argocd"].processes["server"])
    chosen = profile.new_ports(["argocd.page", "argocd.page-metrics"])
    port, metrics = chosen.values()
    command = [part for part in first.cmdline() if not part.startswith(("--port=", "--metrics-port="))]
    command += [f"--port={port}", f"--metrics-port={metrics}", f"--staticassets={folder}"]
    with (folder / "log").open("wb") as log:
        second = psutil.Popen(command, env=first.environ(), cwd=first.cwd(), stdout=log, stderr=log)
    try:
        context = ssl.create_default_context(cafile=profile.ca)
        deadline = time.monotonic() + 180
        with httpx.Client(verify=context, trust_env=False) as http:
            while not _answers(http, f"https://{HOST}:{port}/healthz"):
                assert second.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()[-2000:]
                time.sleep(0.2)
        with argocd_at(profile, port):
            yield second
    finally:
        second.kill()
        second.wait()


@contextmanager
def closed_port() -> Iterator[int]:
    """A port where nobody listens, and nobody else can meanwhile."""
    with socket.socket() as held:
        held.bind((HOST, 0))
        yield int(held.getsockname()[1])


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(url).status_code == 200
    except httpx.HTTPError:
        return False
