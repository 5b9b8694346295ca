"""A Kubernetes control plane as plain processes: etcd, API server, controllers, scheduler, and KWOK as every kubelet.

`cluster` has the course's node pools; `cluster-b` is a second, smaller one. With IACLAB_KUBECONFIG the first is
an existing cluster and runs nothing here.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from iaclab import tools
from iaclab.errors import LabError
from iaclab.platform import etcd
from iaclab.platform.kube import Kube
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
GPU = "nvidia.com/gpu"


def _node(name: str, pool: str, zone: str, cpu: int, memory: str, gpus: int = 0, model: str = "") -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "node.course.local/pool": pool,
        "topology.kubernetes.io/zone": zone,
        "topology.kubernetes.io/region": zone[:-1],
    }
    size = {"cpu": str(cpu), "memory": memory, "pods": "110"}
    taints = []
    if gpus:
        labels["nvidia.com/gpu.product"] = model
        size[GPU] = str(gpus)
        taints = [{"key": GPU, "value": "present", "effect": "NoSchedule"}]
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "spec": {"taints": taints},
        "status": {"allocatable": size, "capacity": size},
    }


NODES = {
    "cluster": [
        _node("cpu-1", "cpu", "eu-west-1a", 16, "64Gi"),
        _node("cpu-2", "cpu", "eu-west-1b", 16, "64Gi"),
        _node("gpu-a100-1", "gpu-a100", "eu-west-1a", 96, "1152Gi", 8, "NVIDIA-A100-SXM4-80GB"),
        _node("gpu-a100-2", "gpu-a100", "eu-west-1b", 96, "1152Gi", 8, "NVIDIA-A100-SXM4-80GB"),
    ],
    "cluster-b": [
        _node("b-cpu-1", "cpu", "eu-north-1a", 8, "32Gi"),
        _node("b-gpu-l4-1", "gpu-l4", "eu-north-1a", 16, "64Gi", 1, "NVIDIA-L4"),
    ],
}


def external() -> Path | None:
    """The kubeconfig of an existing cluster that replaces the local one, if the user named one."""
    path = os.environ.get("IACLAB_KUBECONFIG")
    if path and not Path(path).is_file():
        raise LabError(
            f"IACLAB_KUBECONFIG names {path}, which is not a file.",
            why="It must be the kubeconfig of the cluster to use instead of the local one.",
            mend="unset IACLAB_KUBECONFIG   # to use the local cluster again",
        )
    return Path(path) if path else None


def is_external(name: str) -> bool:
    """Whether the cluster `name` is one that somebody else runs."""
    return name == "cluster" and external() is not None


def kubeconfig(profile: Profile, name: str = "cluster") -> Path:
    """The kubeconfig file for a cluster of the profile."""
    if is_external(name):
        path = external()
        assert path is not None
        return path
    return profile.root / name / "kubeconfig"


def kube(profile: Profile, name: str = "cluster") -> Kube:
    """A client for a cluster of the profile."""
    return Kube(kubeconfig(profile, name))


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
            env=lean,
            ports=(f"{name}.apiserver",),
        ),
        Program(
            "controllers",
            [
                str(bins["kube-controller-manager"]),
                f"--kubeconfig={config}",
                f"--bind-address={HOST}",
                f"--secure-port={port['controllers']}",
                "--leader-elect=false",
                f"--root-ca-file={ca}",
                f"--service-account-private-key-file={key}",
                "--profiling=false",
            ],
            env=lean,
            ports=(f"{name}.controllers",),
        ),
        Program(
            "scheduler",
            [
                str(bins["kube-scheduler"]),
                f"--kubeconfig={config}",
                f"--bind-address={HOST}",
                f"--secure-port={port['scheduler']}",
                "--leader-elect=false",
                "--profiling=false",
            ],
            env=lean,
            ports=(f"{name}.scheduler",),
        ),
        Program(
            "kwok",
            [
                str(bins["kwok"]),
                f"--kubeconfig={config}",
                "--manage-all-nodes=true",
                f"--server-address={HOST}:{port['kwok']}",
                "--node-lease-duration-seconds=40",
                f"--config={stages}",
            ],
            env=lean,
            ports=(f"{name}.kwok",),
        ),
    ]


def _ready(name: str, profile: Profile) -> str | None:
    api = kube(profile, name)
    missing = api.ready()
    if missing or is_external(name):
        return missing
    if not profile.is_set_up(name):
        return None if api.get("/api/v1/namespaces/default") else "the default namespace is not there yet"
    nodes = api.get("/api/v1/nodes") or {"items": []}
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
    """The key-value store behind a local cluster, for snapshots."""
    cert, key = profile.certificate(f"{name}-admin", "admin.local", organisation="system:masters")
    return etcd.Etcd(f"https://{HOST}:{profile.port(f'{name}.etcd')}", profile.ca, cert, key)


SERVICES = [
    Service(
        name=name,
        title=title,
        tools=TOOLS,
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
