"""A container registry on loopback (CNCF Distribution): push, pull and delete by whoever has the profile's password."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from pathlib import Path

import httpx

from iaclab import tools
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

USER = "learner"
_ROUNDS = 4  # of bcrypt, on every request: the password is random, so that guessing is no threat
_COUNT = 1000  # repositories that the registry names in one answer, at most


def address(profile: Profile) -> str:
    """What image references begin with: host and port. Clients speak plain HTTP to a loopback address."""
    return f"{HOST}:{profile.port('oci')}"


def client(profile: Profile) -> httpx.Client:
    """A client of the registry's API (https://distribution.github.io/distribution/spec/api/), logged in."""
    return httpx.Client(
        base_url=f"http://{address(profile)}/v2/",
        auth=(USER, profile.secret("oci")),
        timeout=10,
        trust_env=False,
    )


def repositories(profile: Profile) -> list[str]:
    """The names of all repositories (of the first 1000), sorted; one whose images were all deleted is among them."""
    with client(profile) as api:
        return list(api.get("_catalog", params={"n": _COUNT}).raise_for_status().json()["repositories"])


def tags(profile: Profile, repository: str) -> list[str]:
    """The tags of a repository, sorted; none where there is no such repository."""
    with client(profile) as api:
        answer = api.get(f"{repository}/tags/list")
    if answer.status_code == 404:
        return []
    return sorted(answer.raise_for_status().json()["tags"] or [])


def docker_config(profile: Profile) -> str:
    """The registry and its password as `config.json` has them, and a Secret of type kubernetes.io/dockerconfigjson."""
    login = base64.b64encode(f"{USER}:{profile.secret('oci')}".encode()).decode()
    return json.dumps({"auths": {address(profile): {"auth": login}}}, indent=1)


def _programs(profile: Profile) -> list[Program]:
    registry = tools.ensure("oci-registry")["oci-registry"]
    folder = profile.folder("oci")
    write_private(profile.folder("oci", "docker") / "config.json", docker_config(profile))
    users = folder / "htpasswd"
    if not _opens(users, profile.secret("oci")):
        write_private(users, f"{USER}:{_hash(profile.secret('oci'))}\n")
    settings = folder / "config.json"  # JSON is YAML, whatever the folder is called
    write_private(settings, json.dumps(_settings(profile, users), indent=1))
    env = {"OTEL_TRACES_EXPORTER": "none"}  # else it sends every request to a collector that is not here
    return [Program("server", [str(registry), "serve", str(settings)], env=env, ports=("oci",))]


def _settings(profile: Profile, users: Path) -> dict[str, object]:
    # No cache of blobs: what `_clear` takes away is gone at once.
    return {
        "version": 0.1,
        "log": {"level": "warn", "formatter": "text"},  # beside the access log
        "storage": {
            "filesystem": {"rootdirectory": str(profile.folder("oci", "data"))},
            "delete": {"enabled": True},
            "maintenance": {"uploadpurging": {"enabled": False}},
        },
        "auth": {"htpasswd": {"realm": "oci", "path": str(users)}},
        "http": {"addr": address(profile), "secret": profile.secret("oci-http"), "draintimeout": "2s"},
    }


def _hash(password: str) -> str:
    import bcrypt

    return bcrypt.hashpw(password.encode(), bcrypt.gensalt(_ROUNDS)).decode()


def _opens(users: Path, password: str) -> bool:
    """Whether the file holds this password already: a hash has salt, so that a new one differs."""
    import bcrypt

    if not users.exists():
        return False
    return bcrypt.checkpw(password.encode(), users.read_text().strip().partition(":")[2].encode())


def _ready(profile: Profile) -> str | None:
    try:
        with client(profile) as api:
            answer = api.get("")
    except httpx.HTTPError as error:
        return f"it does not answer ({type(error).__name__})"
    return None if answer.status_code == 200 else f"/v2/ says {answer.status_code}"


def _env(profile: Profile) -> dict[str, str]:
    return {
        "OCI_REGISTRY": address(profile),
        "OCI_USER": USER,
        "OCI_PASSWORD_FILE": str(profile.root / "secrets" / "oci"),
        "DOCKER_CONFIG": str(profile.root / "oci" / "docker"),  # where crane, helm and flux look for passwords
    }


def _clear(profile: Profile) -> None:
    data = profile.folder("oci", "data") / "docker"
    if data.exists():
        gone = Path(tempfile.mkdtemp(prefix=".gone-", dir=profile.folder("oci")))
        data.rename(gone / "docker")  # in one step: nobody sees half a registry
        shutil.rmtree(gone)


SERVICES = [
    Service(
        name="oci",
        title="container registry (CNCF Distribution)",
        tools=("oci-registry", "crane"),
        programs=_programs,
        ready=_ready,
        env=_env,
        clear=_clear,
    )
]
