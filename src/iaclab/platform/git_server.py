"""Git over smart HTTP on loopback: `git http-backend` behind waitress, with basic authentication.

Run by the supervisor: `python -m iaclab.platform.git_server ROOT PORT`. The users come from ROOT/users.json
({name: {"password": …, "push": bool}}). A push to a repository that does not exist creates it, as on most forges.
Hooks lie in ROOT/hooks; those that may refuse a push call the repository's own, in its folder `hooks`.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qs

_REQUEST = re.compile(r"/([A-Za-z0-9][A-Za-z0-9._-]{0,63}\.git)/(info/refs|git-upload-pack|git-receive-pack)")
_CHUNK = 1 << 16
HOST = "127.0.0.1"
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class GitServer:
    """The WSGI application; `url` is its own address, as webhooks are told it."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self._creating = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def answer(status: str, *headers: tuple[str, str]) -> list[bytes]:
            start_response(status, [("Content-Type", "text/plain"), *headers])
            return [status.encode()]

        path = environ["PATH_INFO"]
        if path == "/healthz":
            return answer("200 OK")
        user = self._user(environ.get("HTTP_AUTHORIZATION", ""))
        if user is None:
            return answer("401 Unauthorized", ("WWW-Authenticate", 'Basic realm="iaclab"'))
        match = _REQUEST.fullmatch(path)
        if not match:
            return answer("404 Not Found")
        repository = self.root / "repositories" / match[1]
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("service", [])
        if "git-receive-pack" in (match[2], *asked):
            if not user["push"]:
                return answer("403 Forbidden")
            with self._creating:
                create_repository(self.root, match[1])
        if not repository.exists():
            return answer("404 Not Found")
        return self._backend(environ, user["name"], start_response) or answer("500 Internal Server Error")

    def _user(self, header: str) -> dict[str, Any] | None:
        kind, _, token = header.partition(" ")
        if kind.lower() != "basic":
            return None
        try:
            name, _, password = base64.b64decode(token).decode().partition(":")
        except ValueError:
            return None
        user = json.loads((self.root / "users.json").read_text()).get(name)
        if user and hmac.compare_digest(user["password"].encode(), password.encode()):
            return {"name": name, **user}
        return None

    def _backend(self, environ: dict[str, Any], user: str, start_response: StartResponse) -> Iterator[bytes] | None:
        """git's own CGI program. waitress has read the whole request: its length is known, chunked or not."""
        cgi = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.root / "repositories"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "PATH_INFO": environ["PATH_INFO"],
            "REMOTE_USER": user,
            "REMOTE_ADDR": environ.get("REMOTE_ADDR", ""),
            "QUERY_STRING": environ.get("QUERY_STRING", ""),
            "REQUEST_METHOD": environ["REQUEST_METHOD"],
            "CONTENT_TYPE": environ.get("CONTENT_TYPE", ""),
            "CONTENT_LENGTH": environ.get("CONTENT_LENGTH", ""),
            "HTTP_CONTENT_ENCODING": environ.get("HTTP_CONTENT_ENCODING", ""),
            "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
            "IACLAB_GIT_URL": self.url,
        }
        output = tempfile.TemporaryFile()  # noqa: SIM115, closed by _chunks
        process = subprocess.Popen(["git", "http-backend"], env=cgi, stdin=subprocess.PIPE, stdout=output)
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):  # it may refuse before it has read everything
            shutil.copyfileobj(environ["wsgi.input"], process.stdin, _CHUNK)
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.wait()
        output.seek(0)
        status, headers = "200 OK", []
        while line := output.readline().decode().strip():
            name, _, value = line.partition(": ")
            if name.lower() == "status":
                status = value
            else:
                headers.append((name, value))
        if not headers:  # git was killed, or is not there any more
            output.close()
            return None
        start_response(status, headers)
        return _chunks(output)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk


def create_repository(root: Path, name: str) -> Path:
    """Make the bare repository `name` (ending in .git) with branch main and the server's hooks; idempotent."""
    path = root / "repositories" / name
    if not path.exists():
        aside = Path(tempfile.mkdtemp(dir=root, prefix=f".{name}."))
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", "--template=", str(aside)], check=True)
        with (aside / "config").open("a") as config:
            config.write(f"""[core]
\thooksPath = {root / "hooks"}
[http]
\treceivepack = true
[uploadpack]
\tallowAnySHA1InWant = true
""")
        (aside / "hooks").mkdir()
        try:
            aside.rename(path)
        except OSError:  # another process was first
            shutil.rmtree(aside)
    return path


def main() -> None:
    """Serve until stopped."""
    import waitress

    root, port = Path(sys.argv[1]), int(sys.argv[2])
    waitress.serve(GitServer(root, f"http://{HOST}:{port}"), host=HOST, port=port, threads=8, ident="iaclab git")


if __name__ == "__main__":
    main()
