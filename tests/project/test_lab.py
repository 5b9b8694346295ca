"""`make lab` and `iaclab lab` in a terminal of their own: what they say, and that Ctrl-C leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import psutil
import pytest
import websocket

from iaclab import lab as module
from iaclab import paths
from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.supervise import MARK

ROOT = paths.repo_root()
LAB = [sys.executable, "-m", "iaclab.cli", "lab", "--no-browser"]
READY = "Ctrl-C stops it"


class Terminal:
    """A command in a pseudo terminal of its own, as a user starts it."""

    def __init__(self, command: list[str]) -> None:
        self.said, self.code = "", None
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execvp(command[0], command)

    def read_until(self, text: str | None, seconds: float = 240) -> str:
        """What the command has said until `text` came, or until it ended where `text` is None."""
        deadline = time.monotonic() + seconds
        while text is None or text not in self.said:
            assert time.monotonic() < deadline, f"after {seconds:g} s no {text or 'end'} in: {self.said}"
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self.said += os.read(self.fd, 65536).decode(errors="replace")
                except OSError:  # Linux says so when the other end is closed
                    _, status = os.waitpid(self.pid, 0)
                    self.code = os.waitstatus_to_exitcode(status)
                    break
        assert text is None or text in self.said, f"it ended with {self.code}, without {text}: {self.said}"
        return self.said

    def press_ctrl_c(self) -> None:
        os.write(self.fd, b"\x03")

    @property
    def url(self) -> str:
        return next(word for word in self.said.split() if word.startswith("http://"))

    def close(self) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)
            with contextlib.suppress(OSError):
                self.read_until(None, 180)
        os.close(self.fd)


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Terminal]]:
    """Terminals of a user who has no Jupyter settings; SIGTERM ends, wholly, what still runs in the end."""
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("BROWSER", "true")  # the program `true` opens every page
    opened: list[Terminal] = []

    class Remembered(Terminal):
        def __init__(self, command: list[str]) -> None:
            super().__init__(command)
            opened.append(self)

    yield Remembered
    for one in opened:
        one.close()
    assert left_running(tmp_path / "state") == []


def left_running(state: Path) -> list[str]:
    """Processes that Jupyter or a profile in `state` left behind."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            environment = process.environ()
            mine = environment.get("IACLAB_STATE") == str(state) or environment.get(MARK, "").startswith(str(state))
            if mine and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
    return found


def test_ctrl_c_stops_jupyterlab_and_the_services_and_leaves_nothing(terminal: type[Terminal], tmp_path: Path) -> None:
    lifecycle.up("redis")
    lab = terminal(["make", "-C", str(ROOT), "--no-print-directory", "lab"])
    lab.read_until(READY, seconds=420)
    lab.press_ctrl_c()
    said = lab.read_until(None)
    assert "Stopped; data stays" in said and "Traceback" not in said and "***" not in said, said
    assert left_running(tmp_path / "state") == []
    assert {status.state for status in lifecycle.status(Profile())} == {"stopped"}


def test_a_closed_terminal_is_the_end_of_jupyterlab(terminal: type[Terminal], tmp_path: Path) -> None:
    lab = terminal(LAB)
    lab.read_until(READY)
    os.kill(lab.pid, signal.SIGHUP)
    lab.read_until(None)
    assert left_running(tmp_path / "state") == []


def test_it_opens_the_start_page_on_a_free_port_and_asks_nobody_for_news(terminal: type[Terminal]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        lab = terminal([*LAB, f"--port={port}"])
        lab.read_until(READY)
    url = httpx.URL(lab.url)
    assert url.port != port
    assert httpx.get(url, follow_redirects=True, timeout=60).url.path == "/lab/tree/notebooks/00-start-here.ipynb"
    settings = httpx.get(
        url.join("/lab/api/settings/@jupyterlab/apputils-extension:notification"),
        headers={"Authorization": f"token {url.params['token']}"},
        timeout=60,
    ).json()["schema"]["properties"]
    assert settings["fetchNews"]["default"] == "false" and settings["checkForUpdates"]["default"] is False

    second = subprocess.run(LAB, capture_output=True, text=True, timeout=180)
    assert second.returncode == 0 and lab.url in second.stdout, second.stdout + second.stderr
    assert httpx.get(url, follow_redirects=True, timeout=60).status_code == 200, (
        "a second `iaclab lab` must not stop the first"
    )


def test_a_jupyterlab_that_cannot_start_says_why(terminal: type[Terminal], tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config/jupyter_server_config.py").write_text("raise SystemExit('a broken setting')\n")
    done = subprocess.run(LAB, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    assert "JupyterLab did not start" in done.stderr and "a broken setting" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_a_killed_jupyterlab_is_said_and_its_services_end_too(terminal: type[Terminal], tmp_path: Path) -> None:
    """As the system does when memory runs out."""
    lab = terminal(LAB)
    lab.read_until(READY)
    (jupyter,) = psutil.Process(lab.pid).children()
    jupyter.kill()
    said = lab.read_until(None)
    assert lab.code == 1 and "JupyterLab has ended by itself." in said and "memory" in said, said
    assert "Stopped; data stays" in said and "Traceback" not in said, said
    again = terminal(LAB)
    assert "already runs" not in again.read_until(READY)


def test_a_terminal_of_jupyterlab_has_the_commands(terminal: type[Terminal], monkeypatch: pytest.MonkeyPatch) -> None:
    """A login shell has not, where /etc/profile sets PATH."""
    monkeypatch.setenv("SHELL", "/bin/bash")
    lab = terminal(LAB)
    lab.read_until(READY)
    url = httpx.URL(lab.url)
    token = url.params["token"]
    name = httpx.post(url.join("/api/terminals"), headers={"Authorization": f"token {token}"}).json()["name"]
    address = f"ws://127.0.0.1:{url.port}/terminals/websocket/{name}?token={token}"
    with contextlib.closing(websocket.create_connection(address, timeout=30)) as shell:
        shell.send(json.dumps(["stdin", "command -v iaclab; shopt -q login_shell; echo login=$?\r"]))
        said = ""
        while not re.search(r"login=\d", said):
            kind, *rest = json.loads(shell.recv())
            said += rest[0] if kind == "stdout" else ""
    assert "login=1" in said, said
    assert str(Path(sys.executable).parent / "iaclab") in said, said


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = subprocess.run([*LAB, f"--root={tmp_path}/none"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert f"{tmp_path}/none is no folder" in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.fixture
def server() -> Iterator[str]:
    """Answers as a Jupyter server does when it is asked whether it is there."""

    class Api(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Api) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}/"
        http.shutdown()


def test_what_crashes_left_and_a_proxy_do_not_hide_a_jupyterlab_that_runs(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    gone = subprocess.Popen(["true"])
    gone.wait()
    note = {"url": server, "root_dir": str(tmp_path), "token": ""}
    for number, text in enumerate(("", "{", "[]", json.dumps(note), json.dumps({**note, "pid": gone.pid}))):
        (tmp_path / f"jpserver-{number}.json").write_text(text)
    assert module.running(tmp_path) is None
    (tmp_path / "jpserver-9.json").write_text(json.dumps({**note, "pid": os.getpid()}))
    assert module.running(tmp_path) == {**note, "pid": os.getpid()}
    assert module.running(tmp_path / "another") is None


def test_a_state_folder_named_from_here_on_is_the_same_for_every_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel's own folder is that of its notebook, and `prepare` leaves it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IACLAB_STATE", "mine/state")
    assert module.environment()["IACLAB_STATE"] == str(tmp_path / "mine" / "state")


def test_no_cell_finds_the_users_own_cluster_or_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that runs before `prepare` could do harm there: cells delete namespaces and destroy what Terraform made."""
    for name in ("KUBECONFIG", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "VAULT_TOKEN"):
        monkeypatch.setenv(name, "production")
    env = module.environment()
    assert "production" not in env.values()
    root = Profile().root
    assert env["KUBECONFIG"] == str(root / "cluster" / "kubeconfig")
    assert Path(env["AWS_CONFIG_FILE"]).parent == Path(env["AWS_SHARED_CREDENTIALS_FILE"]).parent == root / "aws"
    assert env["IACLAB_STATE"] == str(tmp_path / "state"), "what is ours stays"
