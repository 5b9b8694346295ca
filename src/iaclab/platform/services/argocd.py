"""Argo CD as plain processes: API server, repo-server, application controller, ApplicationSet controller.

In a cluster these are Deployments; here only their configuration (CRDs, ConfigMaps, Secrets) is in the cluster.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import yaml

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.services import cluster, git
from iaclab.platform.supervise import Program

NAMESPACE = "argocd"
TOOLS = ("argocd", "argocd-manifests", "argocd-scripts", "helm", "kustomize")
_IN_CLUSTER = ("ConfigMap", "CustomResourceDefinition", "Role", "RoleBinding", "Secret", "ServiceAccount")


@contextmanager
def client(profile: Profile | None = None) -> Iterator[httpx.Client]:
    """A client of Argo CD's REST API (`/api/v1/applications` …), logged in as admin.

    Raises:
        LabError: Argo CD does not answer or refuses the password.
    """
    profile = profile or Profile()
    context = ssl.create_default_context(cafile=str(profile.ca))
    with httpx.Client(base_url=f"https://{address(profile)}", verify=context, timeout=15, trust_env=False) as http:
        login = {"username": "admin", "password": profile.secret("argocd-admin")}
        try:
            answer = http.post("/api/v1/session", json=login)
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise LabError(
                "Argo CD's API cannot be used.", why=f"{type(error).__name__}: {error}", mend="iaclab up argocd"
            ) from error
        http.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield http


def address(profile: Profile) -> str:
    """Argo CD's API and web address, `host:port`."""
    return f"{HOST}:{profile.port('argocd.server')}"


@cache
def _upstream(folder: Path) -> list[dict[str, Any]]:
    """The objects of Argo CD's own installation that belong into the cluster here too."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = yaml.load_all((folder / "install.yaml").read_text(), Loader=loader)
    skipped = ("argocd-cm", "argocd-secret")
    return [d for d in documents if d and d["kind"] in _IN_CLUSTER and d["metadata"]["name"] not in skipped]


def _prepare(profile: Profile) -> None:
    manifests = tools.ensure("argocd-manifests")["argocd-manifests"]
    cert, key = profile.certificate("argocd-server", HOST, "localhost")
    api = cluster.kube(profile)
    meta = {"namespace": NAMESPACE, "labels": {"app.kubernetes.io/part-of": "argocd"}}
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {**meta, "name": "argocd-cm"},
            "data": {
                "url": f"https://{address(profile)}",
                "timeout.reconciliation": "60s",
                "accounts.data-scientist": "login, apiKey",
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {**meta, "name": "argocd-secret"},
            "stringData": {
                "admin.password": _password_hash(profile),
                "admin.passwordMtime": "2026-01-01T00:00:00Z",
                "server.secretkey": profile.secret("argocd-signing"),
                "webhook.github.secret": profile.secret("argocd-webhook"),
                "tls.crt": cert.read_text(),
                "tls.key": key.read_text(),
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                **meta,
                "name": "git-server",
                "labels": {**meta["labels"], "argocd.argoproj.io/secret-type": "repo-creds"},  # type: ignore[dict-item]
            },
            "stringData": {
                "type": "git",
                "url": git.url(profile),
                "username": git.READER,
                "password": profile.secret("git-reader"),
            },
        },
    ]
    api.apply([*objects, *_upstream(manifests)], namespace=NAMESPACE)


def _password_hash(profile: Profile) -> str:
    """The bcrypt hash of the admin password, kept, so that an unchanged password keeps sessions valid."""
    path = profile.folder("secrets") / "argocd-admin.bcrypt"
    if not path.exists():
        hashed = bcrypt.hashpw(profile.secret("argocd-admin").encode(), bcrypt.gensalt(rounds=8))
        write_private(path, hashed.decode())
    return path.read_text()


def _scripts(profile: Profile, source: Path) -> Path:
    """A folder with the scripts that the repo-server calls, as executables."""
    folder = profile.folder("argocd", "bin")
    for script in source.glob("*.sh"):
        (folder / script.name).write_bytes(script.read_bytes())
        (folder / script.name).chmod(0o700)
    return folder


def _programs(profile: Profile) -> list[Program]:
    bins = tools.ensure(*TOOLS)
    folder = profile.folder("argocd")
    scripts = _scripts(profile, bins["argocd-scripts"])
    config = cluster.kubeconfig(profile)
    port = {
        name: profile.port(f"argocd.{name}")
        for name in (
            "server",
            "server-metrics",
            "repo",
            "repo-metrics",
            "controller-metrics",
            "appset-metrics",
            "appset-probe",
            "appset-webhook",
        )
    }
    env = {
        "PATH": os.pathsep.join([str(scripts), str(tools.bin_dir()), os.environ["PATH"]]),
        "KUBECONFIG": str(config),
        "ARGOCD_FAKE_IN_CLUSTER": "true",
        "REDIS_PASSWORD": profile.secret("redis"),
        "ARGOCD_GPG_ENABLED": "false",
        "ARGOCD_ASK_PASS_SOCK": str(profile.run_dir / "askpass.sock"),
        "ARGOCD_TLS_DATA_PATH": str(profile.folder("argocd", "tls")),
        "ARGOCD_SSH_DATA_PATH": str(profile.folder("argocd", "ssh")),
        "TMPDIR": str(profile.folder("argocd", "tmp")),
        "HOME": str(profile.folder("argocd", "home")),
        "GOGC": "75",
    }
    redis = f"--redis={HOST}:{profile.port('redis')}"
    repo = f"{HOST}:{port['repo']}"

    def component(name: str) -> str:
        link = folder / name  # Argo CD's one binary acts as the component that it is called
        if not link.is_symlink() or link.readlink() != bins["argocd"]:
            link.unlink(missing_ok=True)
            link.symlink_to(bins["argocd"])
        return str(link)

    api = [f"--kubeconfig={config}", f"--namespace={NAMESPACE}"]
    return [
        Program(
            "repo-server",
            [
                component("argocd-repo-server"),
                redis,
                f"--address={HOST}",
                f"--port={port['repo']}",
                f"--metrics-address={HOST}",
                f"--metrics-port={port['repo-metrics']}",
            ],
            env=env,
            ports=("argocd.repo", "argocd.repo-metrics"),
        ),
        Program(
            "controller",
            [
                component("argocd-application-controller"),
                *api,
                redis,
                f"--repo-server={repo}",
                f"--metrics-port={port['controller-metrics']}",
                "--status-processors=8",
                "--operation-processors=4",
            ],
            env=env,
            ports=("argocd.controller-metrics",),
        ),
        Program(
            "server",
            [
                component("argocd-server"),
                *api,
                redis,
                f"--repo-server={repo}",
                f"--address={HOST}",
                f"--port={port['server']}",
                f"--metrics-address={HOST}",
                f"--metrics-port={port['server-metrics']}",
                "--dex-server=",
            ],
            env=env,
            ports=("argocd.server", "argocd.server-metrics"),
        ),
        Program(
            "applicationset",
            [
                component("argocd-applicationset-controller"),
                *api,
                f"--argocd-repo-server={repo}",
                f"--metrics-addr={HOST}:{port['appset-metrics']}",
                f"--probe-addr={HOST}:{port['appset-probe']}",
                f"--webhook-addr={HOST}:{port['appset-webhook']}",
                "--enable-leader-election=false",
            ],
            env=env,
            ports=("argocd.appset-metrics", "argocd.appset-probe", "argocd.appset-webhook"),
        ),
    ]


def _ready(profile: Profile) -> str | None:
    context = ssl.create_default_context(cafile=str(profile.ca))
    with httpx.Client(verify=context, timeout=2, trust_env=False) as http:
        for name, question in {
            "API server": f"https://{address(profile)}/healthz?full=true",
            "repo-server": f"http://{HOST}:{profile.port('argocd.repo-metrics')}/healthz?full=true",
            "controller": f"http://{HOST}:{profile.port('argocd.controller-metrics')}/healthz",
            "ApplicationSet controller": f"http://{HOST}:{profile.port('argocd.appset-metrics')}/metrics",
        }.items():
            try:
                answer = http.get(question)
            except httpx.HTTPError as error:
                return f"its {name} does not answer ({type(error).__name__})"
            if answer.status_code != 200:
                return f"its {name} says {answer.status_code}: {answer.text.strip()[:80]}"
    return None


def _set_up(profile: Profile) -> None:
    secret = profile.secret("argocd-webhook")
    git.add_webhook(profile, "argocd", f"https://{address(profile)}/api/webhook", secret, str(profile.ca))
    appset = f"http://{HOST}:{profile.port('argocd.appset-webhook')}/api/webhook"
    git.add_webhook(profile, "argocd-applicationset", appset, secret)
    deadline = time.monotonic() + 10
    while True:
        try:
            with client(profile) as http:
                token = http.headers["Authorization"].removeprefix("Bearer ")
            break
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    name = address(profile)
    config = {
        "contexts": [{"name": name, "server": name, "user": name}],
        "current-context": name,
        "servers": [{"server": name, "certificate-authority-data": _base64(profile.ca)}],
        "users": [{"name": name, "auth-token": token}],
    }
    write_private(profile.folder("argocd", "cli") / "config", yaml.safe_dump(config))


def _base64(path: Path) -> str:
    import base64

    return base64.b64encode(path.read_bytes()).decode()


def _env(profile: Profile) -> dict[str, str]:
    return {
        "ARGOCD_CONFIG_DIR": str(profile.root / "argocd" / "cli"),
        "ARGOCD_SERVER": address(profile),
        "ARGOCD_CA": str(profile.ca),
        "ARGOCD_PASSWORD_FILE": str(profile.root / "secrets" / "argocd-admin"),
    }


SERVICES = [
    Service(
        name="argocd",
        title="Argo CD: API server, repo-server, application and ApplicationSet controllers",
        needs=("cluster", "git", "redis"),
        tools=TOOLS,
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
        set_up=_set_up,
        env=_env,
    )
]
