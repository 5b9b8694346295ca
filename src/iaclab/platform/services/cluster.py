"""A Kubernetes control plane as plain processes: etcd, API server, controllers, scheduler, and KWOK as every kubelet.

`cluster` has the course's node pools; `cluster-b` is a second, smaller one. With IACLAB_KUBECONFIG the first is an
existing cluster (kind, EKS, one for a class) and runs nothing here. On it work the services that need only a
Kubernetes API: `argocd`, `flux`, `rollouts`, in namespaces of their own. `gpu-nodes` is there when the existing cluster
has GPUs; `git`, `redis` and `cluster-b` do not depend on it. No snapshot is taken of an existing cluster or restored
to it.
"""

from __future__ import annotations

import os
import ssl
from functools import lru_cache, partial
from pathlib import Path

import httpx
import yaml

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform import etcd
from iaclab.platform.kube import Kube
from iaclab.platform.node_pools import GPU as GPU
from iaclab.platform.node_pools import NODES as NODES
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

TOOLS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "kwok-stages",
    "kubectl",
)


def external() -> Path | None:
    """The kubeconfig of an existing cluster that replaces the local one, if the user named one.

    Raises:
        LabError: there is no such file.
    """
    path = os.environ.get("IACLAB_KUBECONFIG")
    if path and not Path(path).is_file():
        raise LabError(
            f"IACLAB_KUBECONFIG names {path}, which is not a file.",
            why="It must be the kubeconfig of the cluster to use instead of the local one.",
            mend="unset IACLAB_KUBECONFIG   # to use the local cluster again",
        )
    return Path(path).absolute() if path else None


def is_external(name: str) -> bool:
    """Whether the cluster `name` is one that somebody else runs."""
    return name == "cluster" and external() is not None


def kubeconfig(profile: Profile, name: str = "cluster") -> Path:
    """The kubeconfig file for a cluster of the profile."""
    path = external() if name == "cluster" else None
    return path or profile.root / name / "kubeconfig"


def kube(profile: Profile, name: str = "cluster") -> Kube:
    """A client for a cluster of the profile; the same one as long as its kubeconfig is the same."""
    path = kubeconfig(profile, name)
    return _kube(path, path.stat().st_mtime_ns if path.exists() else 0)


@lru_cache(maxsize=8)
def _kube(path: Path, changed: int) -> Kube:
    return Kube(path)


@lru_cache(maxsize=8)
def _client(ca: Path, changed: int) -> httpx.Client:
    context = ssl.create_default_context(cafile=str(ca))
    return httpx.Client(verify=context, timeout=2, trust_env=False)


def _prepare(name: str, profile: Profile) -> None:
    if not is_external(name):
        return
    missing = kube(profile, name).ready()
    if missing:
        raise LabError(
            "The existing cluster (IACLAB_KUBECONFIG) cannot be used.",
            why=missing,
            mend=f"kubectl --kubeconfig {external()} version   # must work first; or unset IACLAB_KUBECONFIG",
        )


def _write_kubeconfig(profile: Profile, name: str) -> Path:
    cert, key = profile.certificate(f"{name}-admin", "admin.local", organisation="system:masters")
    path = profile.folder(name) / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": name,
                "cluster": {
                    "server": f"https://{HOST}:{profile.port(f'{name}.apiserver')}",
                    "certificate-authority": str(profile.ca),
                },
            }
        ],
        "users": [{"name": "admin", "user": {"client-certificate": str(cert), "client-key": str(key)}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "admin"}}],
        "current-context": name,
    }
    write_private(path, yaml.safe_dump(config, sort_keys=False))
    return path


def _programs(name: str, profile: Profile) -> list[Program]:
    if is_external(name):
        return []
    bins = tools.ensure(*TOOLS)
    folder = profile.folder(name)
    cert, key = profile.certificate(f"{name}-server", HOST, "localhost", "kubernetes.default.svc")
    client_cert, client_key = profile.certificate(f"{name}-admin", "admin.local", organisation="system:masters")
    ca = profile.ca
    config = _write_kubeconfig(profile, name)
    stages = folder / "kwok.yaml"
    write_private(stages, "---\n".join(f.read_text() for f in sorted(bins["kwok-stages"].rglob("*.yaml"))))
    port = {p: profile.port(f"{name}.{p}") for p in ("etcd", "peer", "apiserver", "controllers", "scheduler", "kwok")}
    etcd_url, peer_url = f"https://{HOST}:{port['etcd']}", f"https://{HOST}:{port['peer']}"
    lean = {"GOGC": "75"}
    return [
        Program(
            "etcd",
            [
                str(bins["etcd"]),
                f"--data-dir={folder / 'etcd'}",
                f"--listen-client-urls={etcd_url}",
                f"--advertise-client-urls={etcd_url}",
                f"--listen-peer-urls={peer_url}",
                f"--initial-advertise-peer-urls={peer_url}",
                f"--initial-cluster=default={peer_url}",
                f"--cert-file={cert}",
                f"--key-file={key}",
                f"--peer-cert-file={cert}",
                f"--peer-key-file={key}",
                f"--peer-trusted-ca-file={ca}",
                "--client-cert-auth",
                "--peer-client-cert-auth",
                f"--trusted-ca-file={ca}",
                "--log-level=warn",
                "--max-txn-ops=100000",  # a snapshot is restored in one transaction
                "--max-request-bytes=67108864",
                "--unsafe-no-fsync",  # survives a killed process; only a power cut can lose the last writes
            ],
            env=lean,
            ports=(f"{name}.etcd", f"{name}.peer"),
        ),
        Program(
            "apiserver",
            [
                str(bins["kube-apiserver"]),
                f"--etcd-servers={etcd_url}",
                f"--etcd-cafile={ca}",
                f"--etcd-certfile={client_cert}",
                f"--etcd-keyfile={client_key}",
                f"--bind-address={HOST}",
                f"--advertise-address={HOST}",
                f"--secure-port={port['apiserver']}",
                "--authorization-mode=Node,RBAC",
                f"--tls-cert-file={cert}",
                f"--tls-private-key-file={key}",
                f"--client-ca-file={ca}",
                f"--service-account-key-file={key}",
                f"--service-account-signing-key-file={key}",
                "--service-account-issuer=https://kubernetes.default.svc",
                "--service-cluster-ip-range=10.96.0.0/16",
                "--endpoint-reconciler-type=none",  # the default one refuses a loopback address
                "--profiling=false",
                "--shutdown-delay-duration=0s",
            ],
            env={"GOGC": "50"},  # no GOMEMLIMIT: near it the collector takes a whole core
            ports=(f"{name}.apiserver",),
            stop="KILL",  # all it knows is in etcd; asked politely it waits for every watch to end
        ),
        Program(
            "controllers",
            [
                str(bins["kube-controller-manager"]),
                f"--kubeconfig={config}",
                f"--bind-address={HOST}",
                f"--secure-port={port['controllers']}",
                f"--tls-cert-file={cert}",
                f"--tls-private-key-file={key}",
                "--leader-elect=false",
                "--node-monitor-grace-period=1h",  # KWOK reports every ten minutes; a laptop may sleep
                f"--root-ca-file={ca}",
                f"--service-account-private-key-file={key}",
                "--profiling=false",
            ],
            env=lean,
            ports=(f"{name}.controllers",),
            acts=True,
        ),
        Program(
            "scheduler",
            [
                str(bins["kube-scheduler"]),
                f"--kubeconfig={config}",
                f"--bind-address={HOST}",
                f"--secure-port={port['scheduler']}",
                f"--tls-cert-file={cert}",
                f"--tls-private-key-file={key}",
                "--leader-elect=false",
                "--profiling=false",
            ],
            env=lean,
            ports=(f"{name}.scheduler",),
            acts=True,
        ),
        Program(
            "kwok",
            [
                str(bins["kwok"]),
                f"--kubeconfig={config}",
                "--manage-all-nodes=true",
                f"--server-address={HOST}:{port['kwok']}",
                f"--tls-cert-file={cert}",
                f"--tls-private-key-file={key}",
                "--node-lease-duration-seconds=0",  # a lease of a killed one would keep its successor waiting
                f"--config={stages}",
            ],
            env=lean,
            ports=(f"{name}.kwok",),
            acts=True,
        ),
    ]


def _ready(name: str, profile: Profile) -> str | None:
    api = kube(profile, name)
    missing = api.ready()
    if missing or is_external(name):
        return missing
    http = _client(profile.ca, profile.ca.stat().st_mtime_ns)
    try:
        for program, title in {"controllers": "controllers", "scheduler": "scheduler", "kwok": "KWOK"}.items():
            answer = http.get(f"https://{HOST}:{profile.port(f'{name}.{program}')}/healthz")
            if answer.status_code != 200:
                return f"its {title} say {answer.status_code}"
    except httpx.HTTPError as error:
        return f"its {title} does not answer ({type(error).__name__})"
    try:
        if not profile.is_set_up(name):
            return None if api.get("/api/v1/namespaces/default") else "the default namespace is not there yet"
        nodes = api.get("/api/v1/nodes") or {"items": []}
    except httpx.HTTPError as error:
        return f"the API server does not answer ({type(error).__name__})"
    for node in nodes["items"]:
        conditions = {c["type"]: c["status"] for c in node["status"].get("conditions", [])}
        if conditions.get("Ready") != "True":
            return f"node {node['metadata']['name']} is not Ready"
    return None


def _set_up(name: str, profile: Profile) -> None:
    if not is_external(name):
        api = kube(profile, name)
        api.apply(NODES[name])
        for node in NODES[name]:
            api.patch_status(f"/api/v1/nodes/{node['metadata']['name']}", node["status"])


def _env(name: str, profile: Profile) -> dict[str, str]:
    variable = "KUBECONFIG" if name == "cluster" else "KUBECONFIG_B"
    return {variable: str(kubeconfig(profile, name))}


def etcd_of(profile: Profile, name: str) -> etcd.Etcd:
    """The key-value store behind a local cluster, for snapshots; a context that closes it."""
    cert, key = profile.certificate(f"{name}-admin", "admin.local", organisation="system:masters")
    return etcd.Etcd(f"https://{HOST}:{profile.port(f'{name}.etcd')}", profile.ca, cert, key)


SERVICES = [
    Service(
        name=name,
        title=title,
        tools=TOOLS,
        prepare=partial(_prepare, name),
        programs=partial(_programs, name),
        ready=partial(_ready, name),
        set_up=partial(_set_up, name),
        env=partial(_env, name),
    )
    for name, title in {
        "cluster": "Kubernetes control plane with CPU and GPU node pools",
        "cluster-b": "a second, smaller Kubernetes cluster",
    }.items()
]
