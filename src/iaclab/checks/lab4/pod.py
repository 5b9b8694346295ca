"""The pod of the ranker: the learner's program, confined, with a Secret mounted as the kubelet does it, under load.

The program sees a folder: the mount, a Unix socket to the database, and the place of its own socket. It has no network.
What the table holds changes while it runs, so that only who asks the database knows the answers.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import httpx

from iaclab.errors import LabError
from iaclab.grading import confined
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.services import postgres

PROGRAM = Path("app/serve.py")
CUSTOMERS = 1000
_TENURES = 60
_CLIENTS = 4
_PAUSE = 0.03  # seconds between two requests of a client
_ANSWERS = 30.0  # seconds within which a request must be answered
_STARTS = 30.0
_LONGEST = 150.0  # seconds that a program runs
# Runs beside the program, confined too: ends it when a file appears.
_KEEPER = """
import os, subprocess, sys, time
program = subprocess.Popen([sys.executable, sys.argv[1]])
while program.poll() is None and not os.path.exists(sys.argv[2]):
    time.sleep(0.05)
ended = program.poll()
program.kill()
sys.exit(0 if ended is None else 3)
"""


class Pod:
    """A running program and its load; made by `running`."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self._profile, self._folder = profile, folder
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._shifts: tuple[int, ...] = (
            0,
        )  # those that an answer may show now: the present one, and the next while it changes
        self.users: Counter[str] = Counter()  # answered requests by database user
        self.failures: list[str] = []
        self.ended: str = ""

    def mount(self, values: Mapping[str, str]) -> None:
        """Put values into the mounted folder, all at once."""
        mount = self._folder / "secrets"
        new = mount / f"..version-{next(self._numbers)}"
        new.mkdir(parents=True)
        for key, value in values.items():
            (new / key).write_text(value)
            link = mount / key
            if not link.is_symlink():
                link.symlink_to(f"..data/{key}")
        aside = mount / "..data_tmp"
        aside.symlink_to(new.name)
        current = mount / "..data"
        old = current.readlink() if current.is_symlink() else None
        aside.replace(current)
        if old:
            shutil.rmtree(mount / old)

    def ask(self, customer: int) -> str:
        """One request; the database user that answered.

        Raises:
            LabError: it fails, or answers something wrong.
        """
        transport = httpx.HTTPTransport(uds=str(self._folder / "app.sock"))
        before = self._shifts
        try:
            with httpx.Client(transport=transport, timeout=_ANSWERS) as http:
                said = http.get(f"http://ranker/tenure/{customer}")
        except httpx.HTTPError as error:
            raise LabError(f"{type(error).__name__}: {error}") from None
        if said.status_code != 200:
            raise LabError(f"status {said.status_code}")
        try:
            found = said.json()
            tenure, user = found["tenure"], found["user"]
        except (ValueError, KeyError, TypeError):
            raise LabError("the answer is not what serve.py answered as it came") from None
        right = [(customer + shift) % _TENURES for shift in (*before, *self._shifts)]
        if tenure not in right or not isinstance(user, str):
            raise LabError(f"customer {customer} has tenure {right[-1]}, the answer is {str(tenure)[:20]}")
        return user

    def change_table(self, shift: int | None = None) -> None:
        """Give every customer another tenure; 0 gives the first one back."""
        old = self._shifts[-1]
        new = (old + 1 + secrets.randbelow(_TENURES - 1)) % _TENURES if shift is None else shift
        self._shifts = (old, new)
        with postgres.connect(self._profile) as owner:
            owner.execute("UPDATE features SET tenure = (customer + %s) %% %s", [new, _TENURES])
        self._shifts = (new,)

    def load(self) -> list[threading.Thread]:
        """Clients that ask until the end."""
        threads = [threading.Thread(target=self._client, args=(n,), daemon=True) for n in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        return threads

    def _client(self, number: int) -> None:
        customer = number
        while not self._stop.is_set():
            customer = (customer + 37) % CUSTOMERS + 1
            try:
                user = self.ask(customer)
            except LabError as error:
                with self._lock:
                    self.failures.append(error.what)
            else:
                with self._lock:
                    self.users[user] += 1
            time.sleep(_PAUSE)

    def uses(self, user: str, patience: float) -> bool:
        """Whether the program has come to use a database user; all clients have been answered by it."""
        deadline = time.monotonic() + patience
        while self.users[user] < 2 * _CLIENTS:
            if time.monotonic() > deadline or self.ended:
                return False
            time.sleep(0.05)
        return True

    def finish(self, threads: list[threading.Thread]) -> None:
        """End the load."""
        self._stop.set()
        for thread in threads:
            thread.join(_ANSWERS + 5)

    # --- the program and its database ---------------------------------------------------------------

    def run(self) -> None:
        """Run the program until the file `stop` is there (in a thread)."""
        folder = self._folder
        env = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "LISTEN": str(folder / "app.sock"),
            "SECRETS": str(folder / "secrets"),
            "PGHOST": str(folder),
            "PGDATABASE": postgres.DATABASE,
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        argv = [sys.executable, "-c", _KEEPER, str(PROGRAM.absolute()), str(folder / "stop")]
        try:
            done = confined.run(argv, folder=folder, env=env, timeout=_LONGEST)
            if done.returncode:
                last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
                self.ended = f"it ended: {last[0] if last else 'without a word'}"
        except subprocess.TimeoutExpired:
            self.ended = "it was ended after its time"

    def serve_database(self, listener: socket.socket) -> None:
        """Pass on what comes by the Unix socket to the database (in a thread)."""
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection((HOST, self._profile.port(postgres.NAME)), timeout=10)
                server.settimeout(None)
            except OSError:
                client.close()
                continue
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_copy, args=(source, target), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for end in (source, target):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running(profile: Profile, values: Mapping[str, str]) -> Iterator[Pod]:
    """The learner's program, ready to answer, with these values mounted.

    Raises:
        LabError: there is none, or it does not answer.
    """
    if not PROGRAM.is_file():
        raise LabError(f"{PROGRAM} is not there")
    folder = Path(tempfile.mkdtemp(prefix="pod-"))
    pod = Pod(profile, folder)
    listener = socket.socket(socket.AF_UNIX)
    try:
        pod.change_table()
        pod.mount(values)
        listener.bind(str(folder / ".s.PGSQL.5432"))
        listener.listen(64)
        threading.Thread(target=pod.serve_database, args=(listener,), daemon=True).start()
        program = threading.Thread(target=pod.run, daemon=True)
        program.start()
        _await(pod)
        yield pod
    finally:
        (folder / "stop").touch()
        with contextlib.suppress(UnboundLocalError):
            program.join(20)
        listener.close()
        shutil.rmtree(folder, ignore_errors=True)
        pod.change_table(0)


def _await(pod: Pod) -> None:
    deadline = time.monotonic() + _STARTS
    why = "it says nothing"
    while time.monotonic() < deadline and not pod.ended:
        try:
            pod.ask(1)
            return
        except LabError as error:
            why = error.what
        time.sleep(0.1)
    raise LabError(f"{PROGRAM} does not answer: {pod.ended or why}")


def report(pod: Pod) -> str:
    """What the load has seen, as JSON in one line."""
    return json.dumps({"answered": sum(pod.users.values()), "failed": len(pod.failures), "users": len(pod.users)})
