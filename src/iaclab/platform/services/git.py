"""A Git server on loopback: clone and push over HTTP, with a user who may push and one who may only read."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import httpx

from iaclab.errors import LabError
from iaclab.platform.git_server import create_repository
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

LEARNER, READER = "learner", "reader"


def url(profile: Profile) -> str:
    """The server's base URL; repositories are `<url>/<name>.git`."""
    return f"http://{HOST}:{profile.port('git')}"


def _prepare(profile: Profile) -> None:
    if not shutil.which("git"):
        raise LabError(
            "git is not installed.",
            why="The Git server is git's own http-backend.",
            mend="sudo apt install git   # macOS: xcode-select --install",
        )


def _programs(profile: Profile) -> list[Program]:
    root = profile.folder("git")
    profile.folder("git", "repositories")
    users = {
        LEARNER: {"password": profile.secret("git-learner"), "push": True},
        READER: {"password": profile.secret("git-reader"), "push": False},
    }
    write_private(root / "users.json", json.dumps(users))
    write_private(root / "credentials", _credential_line(profile))
    hook = profile.folder("git", "hooks") / "post-receive"
    hook.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m iaclab.platform.git_hook '{root}'\n")
    hook.chmod(0o700)
    return [
        Program(
            "server",
            [sys.executable, "-m", "iaclab.platform.git_server", str(root), str(profile.port("git"))],
            ports=("git",),
        )
    ]


def _credential_line(profile: Profile) -> str:
    return url(profile).replace("://", f"://{LEARNER}:{profile.secret('git-learner')}@") + "\n"


def _ready(profile: Profile) -> str | None:
    try:
        answer = httpx.get(url(profile) + "/healthz", timeout=2, trust_env=False)
    except httpx.HTTPError as error:
        return f"it does not answer ({type(error).__name__})"
    return None if answer.text == "ok" else f"/healthz says {answer.status_code}"


def _env(profile: Profile) -> dict[str, str]:
    settings = {
        f"credential.{url(profile)}.helper": f"store --file='{profile.root / 'git' / 'credentials'}'",
        "user.name": "Learner",
        "user.email": "learner@course.local",
        "init.defaultBranch": "main",
        "advice.detachedHead": "false",
    }
    env = {"GIT_URL": url(profile), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for index, (key, value) in enumerate(settings.items()):
        env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return env


def _clear(profile: Profile) -> None:
    repositories = profile.folder("git", "repositories")
    for path in repositories.iterdir():
        shutil.rmtree(path)


def add_webhook(profile: Profile, name: str, target: str, secret: str, ca: str | None = None) -> None:
    """Have every push reported to `target`, signed with `secret`."""
    path = profile.folder("git") / "webhooks.json"
    hooks = json.loads(path.read_text()) if path.exists() else {}
    write_private(path, json.dumps({**hooks, name: {"url": target, "secret": secret, "ca": ca}}, indent=1))


def new_repository(profile: Profile, name: str) -> str:
    """Make an empty repository on the server and return its URL."""
    create_repository(profile.folder("git"), f"{name}.git")
    return f"{url(profile)}/{name}.git"


def head(profile: Profile, name: str, ref: str = "main") -> str | None:
    """The commit that `ref` of a repository points to, `None` where there is none."""
    done = subprocess.run(
        [
            "git",
            "-C",
            str(profile.folder("git", "repositories") / f"{name}.git"),
            "rev-parse",
            "-q",
            "--verify",
            ref,
        ],
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or None


SERVICES = [
    Service(
        name="git",
        title="Git server (smart HTTP, push, webhooks)",
        programs=_programs,
        prepare=_prepare,
        ready=_ready,
        env=_env,
        clear=_clear,
        timeout=20,
    )
]
