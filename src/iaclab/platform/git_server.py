"""Git over HTTP on loopback: `git http-backend` behind waitress, with basic authentication.

Run by the supervisor: `python -m iaclab.platform.git_server ROOT PORT`. The users come from ROOT/users.json
({name: {"password": …, "push": bool}}). A push to a repository that does not exist creates it, as on most forges.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

_REPOSITORY = re.compile(r"/([A-Za-z0-9][A-Za-z0-9._-]{0,63}\.git)(/.*)?")
_CHUNK = 1 << 16
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class GitServer:
    """The WSGI application."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._creating = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        def refuse(status: str, *headers: tuple[str, str]) -> list[bytes]:
            start_response(status, [("Content-Type", "text/plain"), *headers])
            return [status.encode()]

        path = environ["PATH_INFO"]
        if path == "/healthz":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok"]
        user = self._user(environ.get("HTTP_AUTHORIZATION", ""))
        if user is None:
            return refuse("401 Unauthorized", ("WWW-Authenticate", 'Basic realm="iaclab"'))
        match = _REPOSITORY.fullmatch(path)
        if not match:
            return refuse("404 Not Found")
        repository = self.root / "repositories" / match[1]
        pushing = "git-receive-pack" in (environ.get("QUERY_STRING", "") + path)
        if pushing and not user["push"]:
            return refuse("403 Forbidden")
        if pushing and not repository.exists():
            with self._creating:
                create_repository(self.root, match[1])
        if not repository.exists():
            return refuse("404 Not Found")
        return self._backend(environ, user["name"], path, start_response)

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

    def _backend(self, environ: dict[str, Any], user: str, path: str, start_response: StartResponse) -> Iterator[bytes]:
        cgi = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root / "repositories"),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "REMOTE_USER": user,
            "REMOTE_ADDR": environ.get("REMOTE_ADDR", ""),
            "QUERY_STRING": environ.get("QUERY_STRING", ""),
            "REQUEST_METHOD": environ["REQUEST_METHOD"],
            "CONTENT_TYPE": environ.get("CONTENT_TYPE", ""),
            "CONTENT_LENGTH": environ.get("CONTENT_LENGTH", ""),
            "HTTP_CONTENT_ENCODING": environ.get("HTTP_CONTENT_ENCODING", ""),
            "GIT_PROTOCOL": environ.get("HTTP_GIT_PROTOCOL", ""),
            "IACLAB_GIT_URL": f"http://{environ['HTTP_HOST']}",
        }
        process = subprocess.Popen(["git", "http-backend"], env=cgi, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert process.stdin and process.stdout
        shutil.copyfileobj(environ["wsgi.input"], process.stdin, _CHUNK)
        process.stdin.close()
        status, headers = "200 OK", []
        while line := process.stdout.readline().decode().strip():
            name, _, value = line.partition(": ")
            if name.lower() == "status":
                status = value
            else:
                headers.append((name, value))
        start_response(status, headers)

        def body() -> Iterator[bytes]:
            with process:
                while chunk := process.stdout.read(_CHUNK):  # type: ignore[union-attr]
                    yield chunk

        return body()


def create_repository(root: Path, name: str) -> Path:
    """Make the bare repository `name` (ending in .git) with branch main and the server's hooks; idempotent."""
    path = root / "repositories" / name
    if not path.exists():
        aside = path.with_name(f".{name}.new")
        subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(aside)], check=True)
        for key, value in {
            "core.hooksPath": str(root / "hooks"),
            "http.receivepack": "true",
            "uploadpack.allowAnySHA1InWant": "true",
        }.items():
            subprocess.run(["git", "-C", str(aside), "config", key, value], check=True)
        aside.rename(path)
    return path


def main() -> None:
    """Serve until stopped."""
    import waitress

    root, port = Path(sys.argv[1]), int(sys.argv[2])
    waitress.serve(GitServer(root), host="127.0.0.1", port=port, threads=8, ident="iaclab git")


if __name__ == "__main__":
    main()
