"""Flux as plain processes: kustomize-controller, its sources, and what else of Flux is here.

In a cluster the controllers are Deployments; here only their configuration (CRDs, Secrets) and their objects are in the
cluster. Where source-controller's program is not here, IaC Lab's source publisher stands in for it.
"""

from __future__ import annotations

import shutil
import sys

import httpx

from iaclab import tools
from iaclab.platform.flux import controllers, install
from iaclab.platform.flux.web import SECRET, TOKEN
from iaclab.platform.profile import HOST, Profile
from iaclab.platform.service import Service
from iaclab.platform.services import cluster, git
from iaclab.platform.supervise import Program

TOOLS = (
    "flux-kustomize-controller",
    "flux-kustomize-crds",
    "flux-source-crds",
    "flux-helm-controller",
    "flux-helm-crds",
)
# Flux's own waits, 30 s for a dependency and up to 15 min after a failure, are for large clusters.
_FLAGS = {
    "kustomize-controller": (
        "--feature-gates=ExternalArtifact=true",
        "--requeue-dependency=5s",
        "--max-retry-delay=15s",
        "--http-retry=1",
    ),
    "source-controller": ("--requeue-dependency=5s", "--max-retry-delay=15s"),
    "helm-controller": (
        "--feature-gates=ExternalArtifact=true",  # a chart out of Git; HelmChart objects need source-controller
        "--requeue-dependency=5s",
        "--max-retry-delay=15s",
    ),
    "image-automation-controller": ("--max-retry-delay=15s",),
}
# Flags for addresses that only one of them has, by the port's name.
_LISTENS: dict[str, dict[str, tuple[str, ...]]] = {
    "source-controller": {"storage": ("--storage-addr", "--storage-adv-addr")},
    "notification-controller": {"events": ("--events-addr",), "receiver": ("--receiverAddr",)},
}
_STORES = {"source-controller": "storage", "image-reflector-controller": "images"}  # folders, for --storage-path


def address(profile: Profile) -> str:
    """Where artifacts are downloaded and webhooks are taken: `http://host:port`."""
    return f"http://{HOST}:{profile.port('flux.sources')}"


def _prepare(profile: Profile) -> None:
    install.apply(profile, controllers.cast(controllers.here).crds)


def _programs(profile: Profile) -> list[Program]:
    tools.ensure(*TOOLS)
    cast = controllers.cast(controllers.here)
    work = "publish" if cast.publishes else "receive"
    arguments = [cluster.kubeconfig(profile), profile.folder("flux"), profile.port("flux.sources"), work]
    sources = Program(
        "sources",
        [sys.executable, "-m", "iaclab.platform.flux", *map(str, arguments)],
        env={TOKEN: profile.secret("flux-artifacts"), SECRET: profile.secret("flux-webhook")},
        ports=("flux.sources",),
        acts=True,
    )
    notifies = "notification-controller" in cast.programs
    return [sources, *(_controller(profile, name, str(path), notifies) for name, path in cast.programs.items())]


def _controller(profile: Profile, name: str, program: str, notifies: bool) -> Program:
    """One of Flux's own. `notifies`: notification-controller runs, and is told of events."""
    short = name.removesuffix("-controller")
    flags = {f"{short}-metrics": ("--metrics-addr",), f"{short}-health": ("--health-addr",)} | _LISTENS.get(name, {})
    ports = {f"flux.{port}": names for port, names in flags.items()}
    argv = [program, "--log-encoding=console", *_FLAGS.get(name, ())]
    argv += [f"{flag}={HOST}:{profile.port(port)}" for port, names in ports.items() for flag in names]
    if name in _STORES:
        argv.append(f"--storage-path={profile.folder('flux', _STORES[name])}")
    if notifies and name != "notification-controller":
        argv.append(f"--events-addr=http://{HOST}:{profile.port('flux.events')}")
    env = {
        "KUBECONFIG": str(cluster.kubeconfig(profile)),
        "RUNTIME_NAMESPACE": install.NAMESPACE,
        "HOME": str(profile.folder("flux", "home", short)),
        "TMPDIR": str(profile.folder("flux", "tmp", short)),
        "GOGC": "75",
    }
    return Program(short, argv, env=env, ports=tuple(ports), acts=True)


def _ready(profile: Profile) -> str | None:
    questions = {"sources": f"{address(profile)}/healthz"}
    for name in controllers.cast(controllers.here).programs:
        port = profile.ports.get(f"flux.{name.removesuffix('-controller')}-health")
        questions[name] = f"http://{HOST}:{port}/readyz"
    for name, question in questions.items():
        try:
            answer = httpx.get(question, timeout=2, trust_env=False)
        except httpx.HTTPError as error:
            return f"its {name} does not answer ({type(error).__name__})"
        if answer.status_code != 200:
            return f"its {name} says {answer.status_code}: {answer.text.strip()[:80]}"
    return None


def _set_up(profile: Profile) -> None:
    git.add_webhook(profile, "flux", f"{address(profile)}/webhook", profile.secret("flux-webhook"))


def _env(profile: Profile) -> dict[str, str]:
    return {"FLUX_GIT_PASSWORD_FILE": str(profile.root / "secrets" / "git-reader")}


def _clear(profile: Profile) -> None:
    """Its programs are stopped: what they have fetched and packed belongs to objects that are gone."""
    install.clear(profile)
    for name in ("artifacts", "mirrors", *_STORES.values()):
        shutil.rmtree(profile.root / "flux" / name, ignore_errors=True)
        profile.folder("flux", name)


SERVICES = [
    Service(
        name="flux",
        title=controllers.title(controllers.cast(controllers.here)),
        needs=("cluster", "git"),
        tools=TOOLS,
        prepare=_prepare,
        programs=_programs,
        ready=_ready,
        set_up=_set_up,
        env=_env,
        clear=_clear,
    )
]
