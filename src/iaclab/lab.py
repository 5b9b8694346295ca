"""`iaclab lab`: JupyterLab on the start page, and a clean end for it and for every service.

JupyterLab reads the clone's `jupyter/` folder (start page, no news, no update requests, the way to a cell that an
address names) before the user's own settings.
"""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from iaclab import paths
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

Tell = Callable[[str], None]  # one line for the user
_START_SECONDS = 180  # a cold disk and two busy cores
_STOP_SECONDS = 20
_POLL = 0.1
_YOURS = ("ARGOCD_", "AWS_", "KUBECONFIG", "PULUMI_", "VAULT_")  # what a shell says of the user's own systems
# What they name is seen from here: a kernel's own folder is another, and changes.
_PLACES = ("IACLAB_CACHE", "IACLAB_CATALOGUE", "IACLAB_KUBECONFIG", "IACLAB_STATE")


def run(port: int, browser: bool, root: Path | None, tell: Tell) -> None:
    """Run JupyterLab until it ends or the user stops it (Ctrl-C, a closed terminal, `kill`); then stop the services.

    Args:
        port: the first one to try; Jupyter takes the next free one.
        browser: open the page.
        root: the folder that JupyterLab shows; default: the clone.
        tell: called with each line for the user.

    Raises:
        LabError: no clone, JupyterLab does not start, or it ends by itself.
    """
    started = time.monotonic()
    folder = (root or _clone()).resolve()
    if not folder.is_dir():
        raise LabError(
            f"{folder} is no folder.", why="JupyterLab shows the folder that --root names.", mend="iaclab lab"
        )
    if other := running(folder):
        tell(f"JupyterLab already runs here  {page(other)}")
        tell("Ctrl-C where it was started stops it, or File → Shut Down in its page.")
        if browser:
            _open(page(other))
        return
    tell("Starting JupyterLab …")
    with signals_stop_us():
        process, ready = _start(folder, port, browser), False
        try:
            info = _wait_until_it_answers(process)
            ready = True
            tell(f"JupyterLab  {page(info)}")
            tell(f"ready in {time.monotonic() - started:.1f} s; its log: {log_file()}")
            tell("Ctrl-C stops it and every service.")
            if code := process.wait():
                raise LabError(
                    "JupyterLab has ended by itself.", why=_cause(code), mend=f"cat {log_file()}   # make lab"
                )
        except KeyboardInterrupt:
            ready = True  # the user wants an end, of everything
        finally:
            _stop(process, services=ready, tell=tell)


def page(info: dict[str, Any]) -> str:
    """The address that logs a browser in and leads to the start page; `info` is what Jupyter says of its server."""
    url, token = str(info["url"]), str(info["token"])
    return f"{url}?token={token}" if token else url


def log_file() -> Path:
    """Where JupyterLab writes what it does."""
    return paths.state_dir() / "jupyterlab.log"


def environment() -> dict[str, str]:
    """JupyterLab's environment: its settings, and the tools and `iaclab` on the PATH of its terminals and kernels.

    A cell that runs before its notebook's first one, or after that one failed, finds no cluster and no cloud of yours.
    """
    from iaclab import tools
    from iaclab.platform.services import cluster

    env = {key: value for key, value in os.environ.items() if not key.startswith(_YOURS)}
    aws = Profile().root / "aws"
    env |= {"AWS_CONFIG_FILE": str(aws / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials")}
    env["KUBECONFIG"] = str(cluster.kubeconfig(Profile()))
    env["JUPYTER_PREFER_ENV_PATH"] = "1"  # a kernel of the same name in the home lacks iaclab
    here = [str(tools.bin_dir()), str(Path(sys.executable).parent)]
    env["PATH"] = os.pathsep.join(dict.fromkeys([*here, *env.get("PATH", "").split(os.pathsep)]))
    settings = [str(_clone() / "jupyter"), env.get("JUPYTER_CONFIG_PATH", "")]
    env["JUPYTER_CONFIG_PATH"] = os.pathsep.join(filter(None, settings))
    return env | {name: str(Path(env[name]).absolute()) for name in _PLACES if env.get(name)}


def _clone() -> Path:
    root = paths.repo_root()
    if root is None:
        raise LabError("The lessons are not here.", why="They are in a clone of the course.", mend="git clone …")
    return root


def _start(folder: Path, port: int, browser: bool) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "jupyterlab", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--ServerApp.root_dir={folder}"]
    command += [f"--LabApp.extra_labextensions_path={_clone() / 'jupyter' / 'labextensions'}"]
    # Not a login shell, as Jupyter starts where its output is no terminal: Debian's /etc/profile would set PATH anew.
    shell = shlex.quote(os.environ.get("SHELL") or shutil.which("bash") or "/bin/sh")
    command += [f"--ServerApp.terminado_settings=shell_command={shell}"]
    command += [] if browser else ["--no-browser"]
    command += ["--allow-root"] if os.getuid() == 0 else []
    path = log_file()
    Profile().create()  # says in one line when the state folder cannot be written
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as log:  # it holds the token
        return subprocess.Popen(
            command,
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C comes to us alone: Jupyter would ask "Shut down? (y/n)"
        )


def _wait_until_it_answers(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    from jupyter_core.paths import jupyter_runtime_dir

    file = Path(jupyter_runtime_dir()) / f"jpserver-{process.pid}.json"
    deadline = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError):  # not there yet, or half written
            info = dict(json.loads(file.read_text()))
            if _answers(info):
                return info
        time.sleep(_POLL)
    lines = [line for line in log_file().read_text(errors="replace").splitlines() if line.strip()]
    raise LabError(
        "JupyterLab did not start.",
        why=lines[-1] if lines else "it said nothing",
        mend=f"cat {log_file()}",
    )


def _cause(code: int) -> str:
    """What is known of the end of a process, from its exit code."""
    if code == -signal.SIGKILL:
        return "Something killed it: the system does so when memory runs out, or a user did."
    return f"Signal {-code} ended it." if code < 0 else f"Its exit status is {code}."


def _answers(info: dict[str, Any]) -> bool:
    import httpx

    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(f"{info['url']}api", timeout=5, trust_env=False).status_code == 200
    return False


def running(folder: Path) -> dict[str, Any] | None:
    """The Jupyter server that shows `folder` already, if there is one; what a crash has left is passed over."""
    import psutil
    from jupyter_core.paths import jupyter_runtime_dir

    for file in sorted(Path(jupyter_runtime_dir()).glob("jpserver-*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            info = dict(json.loads(file.read_text()))
            if Path(info["root_dir"]) == folder and psutil.pid_exists(info["pid"]) and _answers(info):
                return info
    return None


def _open(address: str) -> None:
    import webbrowser

    with contextlib.suppress(webbrowser.Error):
        webbrowser.open(address)


@contextlib.contextmanager
def signals_stop_us() -> Iterator[None]:
    """SIGTERM and a closed terminal end us as Ctrl-C does, for as long as the block lasts."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(process: subprocess.Popen[bytes], *, services: bool, tell: Tell) -> None:
    """Stop JupyterLab with its kernels, then the services; a second Ctrl-C does not leave half of them running."""
    from iaclab.platform import lifecycle

    def say(line: str) -> None:
        with contextlib.suppress(OSError):  # the terminal may be gone
            tell(line)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if services:
        say("\nStopping JupyterLab and the services …")
    process.terminate()
    try:
        process.wait(timeout=_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if services:
        lifecycle.down(progress=lambda _, what: say(what))
        say("Stopped; data stays. `make lab` goes on where you were.")
