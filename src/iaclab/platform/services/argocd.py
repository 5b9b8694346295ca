"""Argo CD as plain processes: API server, repo-server, application controller, ApplicationSet controller.

In a cluster these are Deployments; here only their configuration (CRDs, ConfigMaps, Secrets) is in the cluster.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import httpx
import yaml

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform import argocd_install
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.services import cluster, git
from iaclab.platform.supervise import Program

_LOGIN = 60  # seconds for a login while its API server starts
TOOLS = ("argocd", "argocd-manifests", "argocd-scripts", "helm", "kustomize")


@contextmanager
def client(profile: Profile | None = None) -> Iterator[httpx.Client]:
    """A client of Argo CD's REST API (`/api/v1/applications` …), logged in as admin.

    Raises:
        LabError: Argo CD does not answer or refuses the password.
    """
    profile = profile or Profile()
    context = ssl.create_default_context(cafile=str(profile.ca))
    with httpx.Client(base_url=f"https://{address(profile)}", verify=context, timeout=15, trust_env=False) as http:
        try:
            _log_in(profile, http)
        except httpx.HTTPError as error:
            raise LabError(
                "Argo CD's API cannot be used.", why=f"{type(error).__name__}: {error}", mend="iaclab up argocd"
            ) from error
        yield http


def _log_in(profile: Profile, http: httpx.Client) -> None:
    """With the token of the last time while it is good: Argo CD lets every login wait for up to a second."""
    kept = profile.folder("secrets") / "argocd-admin-token"
    if kept.exists():
        http.headers["Authorization"] = f"Bearer {kept.read_text()}"
        answer = http.get("/api/v1/session/userinfo")
        if answer.status_code == 200 and answer.json().get("loggedIn"):
            return
        del http.headers["Authorization"]
    login = {"username": "admin", "password": profile.secret("argocd-admin")}
    answer = http.post("/api/v1/session", json=login)
    answer.raise_for_status()
    write_private(kept, answer.json()["token"])
    http.headers["Authorization"] = f"Bearer {answer.json()['token']}"


def address(profile: Profile) -> str:
    """Argo CD's API and web address, `host:port`."""
    return f"{HOST}:{profile.port('argocd.server')}"


def _prepare(profile: Profile) -> None:
    argocd_install.apply(profile, f"https://{address(profile)}")


def _scripts(profile: Profile, source: Path) -> Path:
    """A folder with the scripts that the repo-server calls, as executables."""
    folder = profile.folder("argocd", "bin")
    for script in source.glob("*.sh"):
        write_private(folder / script.name, script.read_text())
        (folder / script.name).chmod(0o700)
    return folder


def _repo_tls(profile: Profile) -> tuple[Path, list[str]]:
    """Puts the repo-server's certificate where it looks for it; returns that folder and its clients' arguments."""
    cert, key = profile.certificate("argocd-repo-server", HOST, "localhost")
    folder = profile.folder("argocd", "conf", "reposerver", "tls")
    for source, name in ((cert, "tls.crt"), (key, "tls.key")):
        write_private(folder / name, source.read_text())
    client_cert, client_key = profile.certificate("argocd-component", "component.argocd.local")
    return folder.parents[1], [
        f"--repo-server-ca-cert-path={profile.ca}",
        f"--repo-server-client-cert-path={client_cert}",
        f"--repo-server-client-cert-key-path={client_key}",
    ]


def _programs(profile: Profile) -> list[Program]:
    bins = tools.ensure(*TOOLS)
    folder = profile.folder("argocd")
    scripts = _scripts(profile, bins["argocd-scripts"])
    config = cluster.kubeconfig(profile)
    conf, repo_tls = _repo_tls(profile)
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
        "ARGOCD_RECONCILIATION_TIMEOUT": argocd_install.RECONCILE,
        "ARGOCD_APP_CONF_PATH": str(conf),
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

    api = [f"--kubeconfig={config}", f"--namespace={argocd_install.NAMESPACE}"]
    return [
        Program(
            "repo-server",
            [
                component("argocd-repo-server"),
                redis,
                f"--client-ca-path={profile.ca}",
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
                *repo_tls,
                f"--metrics-port={port['controller-metrics']}",
                "--status-processors=8",
                "--operation-processors=4",
            ],
            env=env,
            ports=("argocd.controller-metrics",),
            acts=True,
        ),
        Program(
            "server",
            [
                component("argocd-server"),
                *api,
                redis,
                f"--repo-server={repo}",
                *repo_tls,
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
                *repo_tls,
                f"--metrics-addr={HOST}:{port['appset-metrics']}",
                f"--probe-addr={HOST}:{port['appset-probe']}",
                f"--webhook-addr={HOST}:{port['appset-webhook']}",
                "--enable-leader-election=false",
            ],
            env=env,
            ports=("argocd.appset-metrics", "argocd.appset-probe", "argocd.appset-webhook"),
            acts=True,
        ),
    ]


def _ready(profile: Profile) -> str | None:
    http = _client(profile.ca, profile.ca.stat().st_mtime_ns)
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


@lru_cache(maxsize=8)
def _client(ca: Path, changed: int) -> httpx.Client:
    return httpx.Client(verify=ssl.create_default_context(cafile=str(ca)), timeout=2, trust_env=False)


def _set_up(profile: Profile) -> None:
    secret = profile.secret("argocd-webhook")
    git.add_webhook(profile, "argocd", f"https://{address(profile)}/api/webhook", secret, str(profile.ca))
    appset = f"http://{HOST}:{profile.port('argocd.appset-webhook')}/api/webhook"
    git.add_webhook(profile, "argocd-applicationset", appset, secret)
    _log_command_in(profile)


def _log_command_in(profile: Profile) -> None:
    """Log the `argocd` command in as admin; an API server that starts is waited for.

    It starts anew by itself where a reset, or new ports, have changed its settings in the cluster.
    """
    deadline = time.monotonic() + _LOGIN
    while True:
        try:
            _write_cli_config(profile)
            return
        except LabError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _write_cli_config(profile: Profile) -> None:
    with client(profile) as http:
        token = http.headers["Authorization"].removeprefix("Bearer ")
    name = address(profile)
    config = {
        "contexts": [{"name": name, "server": name, "user": name}],
        "current-context": name,
        "servers": [{"server": name, "certificate-authority-data": _base64(profile.ca)}],
        "users": [{"name": name, "auth-token": token}],
    }
    write_private(profile.folder("argocd", "cli") / "config", yaml.safe_dump(config))


def _clear(profile: Profile) -> None:
    argocd_install.clear(profile)
    _log_command_in(profile)  # a learner may have logged in as somebody else


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
        clear=_clear,
    )
]
