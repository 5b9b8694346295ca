"""Argo CD through Jupyter: a real Jupyter server under a hub's address, the profile's argocd-server behind it."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import os
import secrets
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from argo import application, deployment, push
from browser.argocd_ui import argocd_at, argocd_with_a_page, closed_port
from project.releases import Releases
from running import wait_until
from unit.mirror import Mirror

from iaclab import paths
from iaclab.argocd_page import _no_page
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.services import cluster
from iaclab.tools import catalogue, found

pytestmark = pytest.mark.platform
ROOT = paths.repo_root()
assert ROOT is not None
BASE = "/user/ada/"
AT = f"{BASE}argocd"
AS_A_STREAM = {"Accept": "text/event-stream"}
UP_AND_DOWN = ("iaclab down argocd", "iaclab up argocd")
AS_A_BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def jupyter(shared: Profile, tmp_path_factory: pytest.TempPathFactory) -> Iterator[psutil.Process]:
    """A Jupyter server with the clone's settings; `token` and `url` are its attributes."""
    folder = tmp_path_factory.mktemp("jupyter")
    token = secrets.token_hex(16)
    env = {
        **os.environ,
        "IACLAB_STATE": str(shared.state),
        "IACLAB_PROFILE": shared.name,
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_CONFIG_PATH": str(ROOT / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "JUPYTER_TOKEN": token,
    }
    command = [sys.executable, "-m", "jupyter_server", "--no-browser", f"--ip={HOST}", "--port=0"]
    command += [f"--ServerApp.base_url={BASE}", f"--ServerApp.root_dir={folder}"]
    command += ["--allow-root"] if os.getuid() == 0 else []
    log = folder / "log"
    with log.open("wb") as output:
        server = psutil.Popen(command, env=env, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    server.token = token
    try:
        server.url = url_of(folder / "runtime" / f"jpserver-{server.pid}.json", server, log)
        yield server
    finally:
        server.terminate()
        server.wait(20)
    assert "Traceback" not in log.read_text(), log.read_text()[-5000:]


@pytest.fixture
def stranger(jupyter: psutil.Process) -> Iterator[httpx.Client]:
    """Somebody who has not logged in to Jupyter."""
    with httpx.Client(base_url=jupyter.url, trust_env=False, timeout=180) as http:
        yield http


@pytest.fixture
def ada(jupyter: psutil.Process) -> Iterator[httpx.Client]:
    """A browser that has logged in to Jupyter, and so has its cookie."""
    with httpx.Client(base_url=jupyter.url, trust_env=False, timeout=180) as http:
        assert http.get(f"{BASE}api/me", params={"token": jupyter.token}).status_code == 200
        assert http.cookies
        yield http


def url_of(file: Path, server: psutil.Process, log: Path) -> str:
    """Where the server answers, as soon as it does: it chooses its port and writes it into a file."""
    deadline = time.monotonic() + 180
    while True:
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            url = str(json.loads(file.read_text())["url"]).removesuffix(BASE)
            if httpx.get(f"{url}{BASE}api", trust_env=False).status_code == 200:
                return url
        assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-3000:]
        time.sleep(0.2)


def cookie_of(client: httpx.Client) -> dict[str, str]:
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in client.cookies.items())}


def log_in(ada: httpx.Client, profile: Profile) -> httpx.Response:
    login = {"username": "admin", "password": profile.secret("argocd-admin")}
    answer = ada.post(f"{AT}/api/v1/session", json=login)
    assert answer.status_code == 200, answer.text
    return answer


def test_argo_cds_api_answers_behind_jupyters_login_and_its_own(
    platform: Profile, ada: httpx.Client, stranger: httpx.Client
) -> None:
    assert ada.get(f"{AT}/api/version").json()["Version"].startswith("v3.")
    assert ada.get(f"{AT}/api/v1/applications").status_code == 401, "Jupyter's login is not Argo CD's"
    log_in(ada, platform)
    assert ada.get(f"{AT}/api/v1/applications", params={"fields": "items.metadata.name"}).status_code == 200

    for path in ("/", "/api/version", "/api/v1/stream/applications"):
        refused = stranger.get(AT + path, headers=AS_A_STREAM)
        assert (refused.status_code, refused.headers["Location"].split("?")[0]) == (302, f"{BASE}login"), path
    login = {"username": "admin", "password": platform.secret("argocd-admin")}
    for refused in (
        stranger.post(f"{AT}/api/v1/session", json=login),
        stranger.get(f"{AT}/api/version", headers={"Authorization": "token 0123"}),
        stranger.get(f"{AT}/terminal", headers={"Connection": "Upgrade", "Upgrade": "websocket"}),
    ):
        assert refused.status_code in (302, 403) and "argocd" not in refused.headers.get("Set-Cookie", ""), refused


def test_argo_cds_cookie_is_for_this_users_server_alone_and_ends_with_a_logout(
    platform: Profile, ada: httpx.Client
) -> None:
    """`Secure` keeps it from a browser that is at http://127.0.0.1; with `path=/` every user's server would get it."""
    cookie = log_in(ada, platform).headers["Set-Cookie"]
    assert cookie.startswith("argocd.token=") and "httponly" in cookie.lower() and "samesite=lax" in cookie.lower()
    assert f"; Path={AT}" in cookie and cookie.lower().count("path=") == 1 and "secure" not in cookie.lower()
    out = ada.get(f"{AT}/auth/logout")
    assert (out.status_code, out.headers["Location"]) == (303, f"{AT}/"), out.headers
    assert ada.get(f"{AT}/api/v1/applications").status_code == 401


def test_a_page_finds_its_files_under_jupyters_address(platform: Profile, ada: httpx.Client, tmp_path: Path) -> None:
    """Also where it comes compressed; what is not a page comes as it is."""
    with argocd_with_a_page(platform, tmp_path):
        page = ada.get(f"{AT}/page.html", headers=AS_A_BROWSER)
        assert page.status_code == 200 and f'<base href="{AT}/">' in page.text and '<base href="/">' not in page.text
        assert page.headers["X-Frame-Options"] == "sameorigin", "JupyterLab shows it in a frame of its own origin"
        assert page.headers.get("Content-Encoding", "identity") == "identity"
        assert ada.get(f"{AT}/live.js").text == (tmp_path / "live.js").read_text()
        plain = {"Accept-Encoding": "identity"}
        head = ada.head(f"{AT}/live.js", headers=plain)
        assert (head.status_code, head.headers["Content-Length"]) == (200, str((tmp_path / "live.js").stat().st_size))
        part = ada.get(f"{AT}/live.js", headers={"Range": "bytes=0-5", **plain})
        assert (part.status_code, part.text) == (206, (tmp_path / "live.js").read_text()[:6])
        assert ada.get(AT, headers=AS_A_BROWSER).headers["Location"] == f"{AT}/"
        fresh = ada.get(f"{AT}/live.js", headers={"If-Modified-Since": page.headers["Date"]})
        assert (fresh.status_code, fresh.text) == (304, "")


def test_the_first_page_is_argo_cds_own_or_says_that_this_build_has_none(platform: Profile, ada: httpx.Client) -> None:
    page = ada.get(f"{AT}/applications", headers=AS_A_BROWSER)
    installed = found.find("argocd")
    assert installed
    if page.status_code == 200:
        assert f'<base href="{AT}/">' in page.text and "<title>Argo CD</title>" in page.text
        return
    assert (page.status_code, installed.source) == (501, "go build"), page.text
    assert "This Argo CD has no web page" in page.text and "built from source" in page.text
    assert "IACLAB_TOOLS_FROM=release iaclab tools install argocd" in page.text
    assert "<base" not in page.text and page.headers["Content-Type"].startswith("text/html")


@pytest.mark.parametrize("reachable", [True, False], ids=["release", "no release"])
def test_the_pages_commands_bring_the_release_or_leave_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reachable: bool
) -> None:
    """In a cache whose argocd is said to be built; a mirror has the release, or nothing answers there."""
    installed = found.find("argocd")
    assert installed
    env = {"IACLAB_CACHE": str(tmp_path / "cache"), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
    with monkeypatch.context() as learner:
        for name, value in env.items():
            learner.setenv(name, value)
        here = found.home(catalogue.tool("argocd"))
        here.mkdir(parents=True)
        (here / "argocd").symlink_to(installed.path)
        (here / ".source").write_text("go build")
        commands = [line for line in _no_page().mend.splitlines() if line not in UP_AND_DOWN]
    with Mirror() as mirror:
        mirror.files = Releases()
        env["IACLAB_MIRROR"] = mirror.url if reachable else "http://127.0.0.1:9"
        done = subprocess.run(
            ["bash", "-c", "\n".join(commands)], env={**os.environ, **env}, capture_output=True, text=True, timeout=180
        )
    source = (here / ".source").read_text()
    assert source == ("release" if reachable else "go build"), done.stdout + done.stderr
    assert (here / "argocd").exists() and (here.parent / f"{here.name}.built").exists() == reachable


def connections(jupyter: psutil.Process, profile: Profile) -> int:
    """How many Jupyter has to Argo CD."""
    port = profile.port("argocd.server")
    return sum(bool(one.raddr) and one.raddr.port == port for one in jupyter.net_connections("tcp"))


def test_a_stream_brings_what_happens_as_it_happens(platform: Profile, ada: httpx.Client, tmp_path: Path) -> None:
    log_in(ada, platform)
    push(platform, tmp_path, deployment("streamed"), repository="streamed")
    application(platform, "streamed", "streamed", repository="streamed")
    path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/streamed"
    with ada.stream("GET", f"{AT}/api/v1/stream/applications", headers=AS_A_STREAM) as answer:
        assert answer.status_code == 200 and answer.headers["Content-Type"] == "text/event-stream"
        changed = False
        for line in filter(lambda line: line.startswith("data:"), answer.iter_lines()):
            seen = json.loads(line.removeprefix("data:"))["result"]["application"]["metadata"]
            if seen.get("labels", {}).get("seen") == "live":
                break
            if seen["name"] == "streamed" and not changed:
                cluster.kube(platform).patch(path, {"metadata": {"labels": {"seen": "live"}}})
                changed = True
        assert changed, "the stream ended before it brought the change"
    cluster.kube(platform).delete(path)


def test_a_stream_in_which_nothing_happens_ends_with_its_tab(
    platform: Profile, ada: httpx.Client, jupyter: psutil.Process
) -> None:
    """Argo CD would keep its side for ever, and Jupyter one more connection for each page that was looked at."""
    log_in(ada, platform)
    wait_until(lambda: connections(jupyter, platform) == 0, "Jupyter has no connection to Argo CD")
    tab = http.client.HTTPConnection(ada.base_url.host, ada.base_url.port)
    tab.request("GET", f"{AT}/api/v1/stream/applications?name=nobody", headers=AS_A_STREAM | cookie_of(ada))
    wait_until(lambda: connections(jupyter, platform) == 1, "the stream is open")
    tab.close()
    wait_until(lambda: connections(jupyter, platform) == 0, "the stream has ended on Argo CD's side")


@pytest.mark.parametrize("started", [False, True], ids=["never started", "stopped"])
def test_where_argo_cd_is_down_a_page_says_so_and_what_mends_it(
    platform: Profile, ada: httpx.Client, started: bool
) -> None:
    with closed_port() as port, argocd_at(platform, port if started else None):
        page = ada.get(f"{AT}/", headers=AS_A_BROWSER)
        assert page.status_code == 503 and "Argo CD does not run" in page.text
        assert "<pre>iaclab up argocd</pre>" in page.text
        assert str(platform.root / "secrets/argocd-admin") in page.text
        assert platform.secret("argocd-admin") not in page.text
        for path, accept in (
            ("/api/version", "application/json"),
            ("/api/v1/stream/applications", "text/event-stream"),
        ):
            answer = ada.get(AT + path, headers={"Accept": accept})
            assert answer.status_code == 503 and "Mend: iaclab up argocd" in answer.text, answer.text
            assert answer.headers["Content-Type"].startswith("text/plain")
    assert ada.get(f"{AT}/api/version").status_code == 200, "it is found again as soon as it is there"


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the request line and the headers that it was sent."""

    def do_GET(self) -> None:
        body = json.dumps({"line": self.requestline, **{k.lower(): v for k, v in self.headers.items()}}).encode()
        self.server.seen.append(body)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@contextlib.contextmanager
def echo(certificate: tuple[Path, Path]) -> Iterator[http.server.ThreadingHTTPServer]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    server = http.server.ThreadingHTTPServer((HOST, 0), Echo)
    server.seen = []  # type: ignore[attr-defined]
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_jupyters_token_and_cookies_stay_with_jupyter(
    platform: Profile, ada: httpx.Client, stranger: httpx.Client, jupyter: psutil.Process
) -> None:
    with echo(platform.certificate("echo", HOST)) as server, argocd_at(platform, server.server_port):
        cookies = {**ada.cookies, "argocd.token": "argo", "jupyterhub-user-ada": "hub"}
        header = "; ".join(f"{name}={value}" for name, value in cookies.items())
        seen = ada.get(f"{AT}/a%2Fb?token={jupyter.token}&x=%20y", headers={"Cookie": header}).json()
        assert seen["line"] == "GET /a%2Fb?x=%20y HTTP/1.1" and seen["cookie"] == "argocd.token=argo", seen
        seen = stranger.get(f"{AT}/", headers={"Authorization": f"Bearer {jupyter.token}"}).json()
        assert "authorization" not in seen and seen["host"] == f"{HOST}:{server.server_port}", seen
        seen = ada.get(f"{AT}/", headers={"Authorization": "Bearer argo"}).json()
        assert seen["authorization"] == "Bearer argo", "a token of Argo CD's is for Argo CD"
        assert jupyter.token not in str(server.seen)  # type: ignore[attr-defined]


def test_another_program_on_argo_cds_port_is_sent_nothing(platform: Profile, ada: httpx.Client) -> None:
    """A port that Argo CD has left may be taken by another user of the machine."""
    other = Profile("other", state=platform.state)
    with echo(other.certificate("echo", HOST)) as server, argocd_at(platform, server.server_port):
        ada.cookies.set("argocd.token", "argo")
        page = ada.get(f"{AT}/", headers=AS_A_BROWSER)
        assert page.status_code == 503 and "CERTIFICATE_VERIFY_FAILED" in page.text, page.text
        assert server.seen == []  # type: ignore[attr-defined]


def test_the_launcher_has_an_entry_that_opens_inside_jupyterlab(ada: httpx.Client) -> None:
    servers = ada.get(f"{BASE}server-proxy/servers-info").json()["server_processes"]
    entry = {
        "name": "argocd",
        "launcher_entry": {"enabled": True, "title": "Argo CD", "path_info": "argocd/", "category": "Other"},
        "new_browser_tab": False,
    }
    assert entry in servers
