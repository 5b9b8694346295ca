"""Secrets: a change's way to the workload, reads through three nodes beside a bare dev server, failover, rotation.

The dev server is one process with its storage in memory and no TLS: what it is faster by is what the other one is for.
"""

from __future__ import annotations

import base64
import itertools
import os
import secrets
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.table import Row, median
from iaclab import tools
from iaclab.platform import lifecycle
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.services import cluster, git, postgres, vault
from iaclab.platform.vault import implementation, nodes

TITLE = "Secrets"
RUNS = 5  # changes of a secret, each way
INTERVAL = 1  # seconds between two looks of the agent and of the operator
READS = 1500  # of each reading
CLIENTS = 4
ROTATIONS = 10
_NAMESPACE = "ways"
_SERVICES = ("vault", "flux", "sealed-secrets", "external-secrets", "postgres")

Way = tuple[Callable[[str], object], Callable[[], str]]  # writes a value; reads the one that has arrived


def rows() -> Iterator[Row]:
    """The measurements, on one profile."""
    profile = Profile("secrets")
    tools.ensure("sops", "age", "age-keygen", "kubeseal", quiet=True)
    with tempfile.TemporaryDirectory() as scratch:
        try:
            lifecycle.up(*_SERVICES, profile=profile)
            yield from _ways(profile, Path(scratch))
            yield from _reads(profile)
            yield from _failover(profile)
            yield from _rotation(profile)
        finally:
            lifecycle.down(profile=profile)


def _ways(profile: Profile, folder: Path) -> Iterator[Row]:
    """From a change to the moment when it can be read where the workload reads it."""
    shell = _Shell(profile, folder)
    shell(_SET_UP)
    with shell.agent():
        ways: dict[str, Way] = {
            f"the agent, asking every {INTERVAL} s": (shell.put, shell.rendered),
            "SOPS, a commit, Flux": (shell.commit, lambda: shell.in_secret("sops")),
            "a SealedSecret, applied": (shell.seal, lambda: shell.in_secret("sealed")),
            f"External Secrets, asking every {INTERVAL} s": (shell.put, lambda: shell.in_secret("external")),
        }
        for name, (change, read) in ways.items():
            times = [_until(change, read, f"value-{secrets.token_hex(8)}") for _ in range(RUNS)]
            yield Row(f"a changed secret at the workload: {name}", median(times), "s")


def _until(change: Callable[[str], object], read: Callable[[], str], value: str) -> float:
    started = time.monotonic()
    change(value)
    while read() != value:
        if time.monotonic() > started + 120:
            raise RuntimeError("the changed secret does not arrive")
        time.sleep(0.02)
    return time.monotonic() - started


class _Shell:
    """Commands as an engineer types them, in a folder of their own."""

    def __init__(self, profile: Profile, folder: Path) -> None:
        self._profile, self._folder = profile, folder
        self._kube = cluster.kube(profile)
        self._env = {**os.environ, **profile.env(), "INTERVAL": f"{INTERVAL}s", "GIT_URL": git.url(profile)}

    def __call__(self, command: str, given: str = "") -> str:
        done = subprocess.run(
            ["bash", "-ec", command], cwd=self._folder, env=self._env, input=given, capture_output=True, text=True
        )
        if done.returncode:
            raise RuntimeError(f"{command[:200]}\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        return done.stdout

    def put(self, value: str) -> None:
        """A new version in the vault; two ways start with it."""
        self("vault kv put -mount=ways key value=-", value)

    def commit(self, value: str) -> None:
        """An encrypted Secret, committed and pushed."""
        self("./change", value)

    def seal(self, value: str) -> None:
        """A SealedSecret, applied."""
        self(
            "kubectl -n ways create secret generic sealed --from-file=value=/dev/stdin --dry-run=client -o yaml"
            " | kubeseal --format yaml | kubectl apply -f -",
            value,
        )

    def in_secret(self, name: str) -> str:
        """What a pod that mounts the Secret would get."""
        found = self._kube.get(f"/api/v1/namespaces/{_NAMESPACE}/secrets/{name}") or {}
        return base64.b64decode(found.get("data", {}).get("value", "")).decode()

    def rendered(self) -> str:
        """What the agent has written."""
        file = self._folder / "rendered"
        return file.read_text() if file.exists() else ""

    @contextmanager
    def agent(self) -> Iterator[None]:
        """`vault agent`, as long as it is needed."""
        own = ("BAO_TOKEN_PATH", "VAULT_CONFIG_PATH", "VAULT_TOKEN_FILE")
        env = {key: value for key, value in self._env.items() if key not in own}
        with (self._folder / "agent.log").open("w") as log:
            command = ["vault", "agent", "-config=agent.hcl"]
            process = subprocess.Popen(command, cwd=self._folder, env=env, stdout=log, stderr=log)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


_SET_UP = r"""
kubectl create namespace ways
vault secrets enable -path=ways -version=2 kv
vault kv put -mount=ways key value=0
echo 'path "ways/data/key" { capabilities = ["read"] }' | vault policy write ways -
umask 077
vault token create -policy=ways -ttl=1h -field=token > token
kubectl -n ways create secret generic vault-token --from-file=token
kubectl apply -f - <<EOF
apiVersion: external-secrets.io/v1
kind: SecretStore
metadata: {name: vault, namespace: ways}
spec:
  provider:
    vault:
      server: $VAULT_ADDR
      path: ways
      caBundle: $VAULT_CA_BUNDLE
      auth: {tokenSecretRef: {name: vault-token, key: token}}
---
apiVersion: external-secrets.io/v1
kind: ExternalSecret
metadata: {name: external, namespace: ways}
spec:
  refreshInterval: $INTERVAL
  secretStoreRef: {name: vault}
  data: [{secretKey: value, remoteRef: {key: key, property: value}}]
EOF
cat > agent.hcl <<EOF
vault { address = "$VAULT_ADDR"  ca_cert = "$VAULT_CACERT" }
auto_auth { method "token_file" { config = { token_file_path = "$PWD/token" } } }
template_config { static_secret_render_interval = "$INTERVAL" }
template {
  destination = "$PWD/rendered"
  contents    = "{{ with secret \"ways/data/key\" }}{{ .Data.data.value }}{{ end }}"
}
EOF
age-keygen -o age.agekey
kubectl -n flux-system create secret generic ways --from-file=age.agekey
git init -q repository && mkdir repository/apps
cat > change <<'EOF'
#!/bin/bash -e
value=$(cat) && cd repository
printf 'apiVersion: v1\nkind: Secret\nmetadata: {name: sops, namespace: ways}\nstringData: {value: "%s"}\n' "$value" |
  sops encrypt --age "$(age-keygen -y ../age.agekey)" --encrypted-regex '^stringData$' --filename-override x.yaml \
    --input-type yaml --output-type yaml /dev/stdin > apps/secret.yaml
git add . && git commit -qm Change && git push -qf "$GIT_URL/ways.git" HEAD:main
EOF
chmod +x change && echo 0 | ./change
kubectl apply -f - <<EOF
apiVersion: source.toolkit.fluxcd.io/v1
kind: GitRepository
metadata: {name: ways, namespace: flux-system}
spec: {url: "$GIT_URL/ways.git", ref: {branch: main}, secretRef: {name: git-server}, interval: 1m}
---
apiVersion: kustomize.toolkit.fluxcd.io/v1
kind: Kustomization
metadata: {name: ways, namespace: flux-system}
spec:
  path: ./apps
  prune: true
  interval: 10m
  sourceRef: {kind: GitRepository, name: ways}
  decryption: {provider: sops, secretRef: {name: ways}}
EOF
kubectl -n flux-system wait kustomization/ways --for=condition=Ready --timeout=120s
kubectl -n ways wait externalsecret/external --for=condition=Ready --timeout=120s
"""


@dataclass(frozen=True)
class _Server:
    """A vault and a token for it, with a secret at kv/key."""

    url: str
    token: str
    verify: str | bool

    def client(self) -> httpx.Client:
        """A client that keeps its connection."""
        context = ssl.create_default_context(cafile=self.verify) if isinstance(self.verify, str) else self.verify
        return httpx.Client(
            base_url=self.url, headers={"X-Vault-Token": self.token}, verify=context, timeout=2, trust_env=False
        )


def _three(profile: Profile) -> _Server:
    server = _Server(nodes.address(profile), vault.client_token(profile), str(profile.ca))
    _kv(server)
    return server


def _kv(server: _Server) -> None:
    with server.client() as client:
        mounts = client.get("/v1/sys/mounts").json()
        if "kv/" not in mounts:
            client.post("/v1/sys/mounts/kv", json={"type": "kv", "options": {"version": "2"}}).raise_for_status()
        for _ in range(50):  # version 2 is being set up
            if client.post("/v1/kv/data/key", json={"data": {"value": "x" * 40}}).is_success:
                return
            time.sleep(0.1)
    raise RuntimeError(f"{server.url} does not take a secret")


@contextmanager
def _dev(profile: Profile) -> Iterator[tuple[_Server, Callable[[], None]]]:
    """A bare dev server of the same program; and what kills it and starts it again."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(16)
    binary = implementation.binary(implementation.of(profile))
    command = [str(binary), "server", "-dev", "-dev-no-store-token", f"-dev-listen-address={HOST}:{port}"]
    command += [f"-dev-root-token-id={token}", "-log-level=error"]
    server = _Server(f"http://{HOST}:{port}", token, False)
    running: list[subprocess.Popen[bytes]] = []

    def start() -> None:
        if running:
            running.pop().kill()
        running.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    start()
    try:
        _wait_for(server)
        _kv(server)
        yield server, start
    finally:
        running.pop().kill()


def _wait_for(server: _Server) -> None:
    deadline = time.monotonic() + 30
    with server.client() as client:
        while time.monotonic() < deadline:
            with suppress(httpx.HTTPError):
                if client.get("/v1/sys/health").status_code == 200:
                    return
            time.sleep(0.02)
    raise RuntimeError(f"{server.url} does not answer")


def _reads(profile: Profile) -> Iterator[Row]:
    """Reads a second, by one client and by several; the two servers in turn, so that both see the same machine."""
    three = _three(profile)
    with _dev(profile) as (dev, _):
        for clients in (1, CLIENTS):
            rates: dict[str, list[float]] = {"three": [], "dev": []}
            for _ in range(3):
                rates["dev"].append(_rate(dev, clients))
                rates["three"].append(_rate(three, clients))
            words = f"reads a second, {clients} client{'s' * (clients > 1)}: three nodes, TLS, audit, balancer"
            yield Row(words, median(rates["three"]), "/s", median(rates["dev"]), "bare dev server")


def _rate(server: _Server, clients: int) -> float:
    def read() -> None:
        with server.client() as client:
            for _ in range(READS // clients):
                client.get("/v1/kv/data/key").raise_for_status()

    threads = [threading.Thread(target=read) for _ in range(clients)]
    started = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return READS // clients * clients / (time.monotonic() - started)


def _failover(profile: Profile) -> Iterator[Row]:
    """The longest time without an answered read when the active process is killed."""
    three = _three(profile)

    def kill_leader() -> None:
        with three.client() as client:
            leader = client.get("/v1/sys/leader").json()["leader_address"]
        number = next(node for node in nodes.NODES if nodes.address(profile, node) == leader)
        os.kill({s.name: s for s in lifecycle.status(profile)}["vault"].processes[number], signal.SIGKILL)

    gap, kept = _gap(three, kill_leader)
    with _dev(profile) as (dev, start):
        dev_gap, dev_kept = _gap(dev, start)
    yield Row(
        "the active process is killed: longest time without a read", gap, "s", dev_gap, "dev server, started again"
    )
    yield Row("secrets lost by it", 0.0 if kept else 1.0, "", 0.0 if dev_kept else 1.0, "dev server", at_most=0)
    lifecycle.up("vault", profile=profile)  # unseals the lost node


def _gap(server: _Server, kill: Callable[[], None], patience: float = 60) -> tuple[float, bool]:
    """Seconds from the last answer before to the first one after; and whether the secret is still there."""
    answered = [time.monotonic()]
    stop = threading.Event()
    found: list[bool] = []

    def read() -> None:
        with server.client() as client:
            while not stop.is_set():
                with suppress(httpx.HTTPError):
                    answer = client.get("/v1/kv/data/key")
                    if answer.status_code in (200, 404):
                        answered.append(time.monotonic())
                        found.append(answer.status_code == 200)
                time.sleep(0.01)

    reader = threading.Thread(target=read)
    reader.start()
    time.sleep(1)
    killed = time.monotonic()
    kill()
    while answered[-1] < killed + 3 and time.monotonic() < killed + patience:
        time.sleep(0.05)
    stop.set()
    reader.join()
    if answered[-1] < killed + 3:
        raise RuntimeError("no read was answered again")
    return max(later - earlier for earlier, later in itertools.pairwise(answered)), found[-1]


def _rotation(profile: Profile) -> Iterator[Row]:
    """Four workers that log in and query all the time, while their database user is replaced again and again."""
    import psycopg

    server = _three(profile)
    with server.client() as client:
        _database_engine(profile, client)

        def borrow() -> tuple[str, str, str]:
            lent = client.get("/v1/database/creds/bench").raise_for_status().json()
            return lent["data"]["username"], lent["data"]["password"], lent["lease_id"]

        current, stop = [borrow()], threading.Event()
        answered: dict[str, int] = {}
        failed: list[str] = []

        def work() -> None:
            while not stop.is_set():
                user, password, _ = current[0]
                try:
                    with postgres.connect(profile, user, password) as connection:
                        connection.execute("SELECT avg(tenure) FROM features")
                    answered[user] = answered.get(user, 0) + 1
                except psycopg.Error as error:
                    failed.append(str(error))

        workers = [threading.Thread(target=work) for _ in range(CLIENTS)]
        started = time.monotonic()
        for worker in workers:
            worker.start()
        try:
            for _ in range(ROTATIONS):
                old, current[0] = current[0], borrow()
                while answered.get(current[0][0], 0) < 2 * CLIENTS:  # the new one is used, and by all
                    time.sleep(0.02)
                time.sleep(0.2)  # what began with the old one has ended
                client.put("/v1/sys/leases/revoke", json={"lease_id": old[2]}).raise_for_status()
        finally:
            stop.set()
            for worker in workers:
                worker.join()
        seconds = time.monotonic() - started
    yield Row(
        f"logins with a query a second, {CLIENTS} workers, while users rotate", sum(answered.values()) / seconds, "/s"
    )
    yield Row(f"failed among {sum(answered.values())}, in {ROTATIONS} rotations", float(len(failed)), "", at_most=0)


def _database_engine(profile: Profile, client: httpx.Client) -> None:
    """The engine `database` with a role that lends users of the feature store."""
    settings = {
        "plugin_name": "postgresql-database-plugin",
        "allowed_roles": "*",
        "connection_url": f"postgresql://{{{{username}}}}:{{{{password}}}}@{HOST}:{profile.port(postgres.NAME)}"
        f"/{postgres.DATABASE}?sslmode=disable",
        "username": postgres.MAKER,
        "password": profile.secret("postgres-vault"),
    }
    role = {
        "db_name": "features",
        "default_ttl": "10m",
        "creation_statements": "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}'; "
        'GRANT SELECT ON features TO "{{name}}";',
        "revocation_statements": 'REVOKE ALL ON features FROM "{{name}}"; DROP ROLE IF EXISTS "{{name}}";',
    }
    client.post("/v1/sys/mounts/database", json={"type": "database"}).raise_for_status()
    client.post("/v1/database/config/features", json=settings).raise_for_status()
    client.post("/v1/database/roles/bench", json=role).raise_for_status()
