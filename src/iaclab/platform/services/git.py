"""A Git server on loopback: clone and push over HTTP, with two users who may push and one who may only read.

An administrator puts a repository's own hooks into its folder `hooks`: `pre-receive` and `update`. They find the
user who pushes in REMOTE_USER.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
import threading

import httpx

from iaclab.errors import LabError
from iaclab.platform.git_server import create_repository
from iaclab.platform.profile import HOST, Profile, write_private
from iaclab.platform.service import Service
from iaclab.platform.supervise import Program

LEARNER, REVIEWER, READER = "learner", "reviewer", "reader"
_adding = threading.Lock()  # services that are set up side by side each add their webhooks
_OWN_HOOKS = ("pre-receive", "update")  # those by which a repository can refuse a push


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
        name: {"password": profile.secret(f"git-{name}"), "push": name != READER}
        for name in (LEARNER, REVIEWER, READER)
    }
    write_private(root / "users.json", json.dumps(users))
    webhooks = shlex.join([sys.executable, "-m", "iaclab.platform.git_hook", str(root)])
    _write_hook(profile, "post-receive", f"exec {webhooks}")
    for name in _OWN_HOOKS:  # git looks for hooks in the server's folder only: these pass on to the repository's
        _write_hook(profile, name, f'test ! -x hooks/{name} || exec hooks/{name} "$@"')
    return [
        Program(
            "server",
            [sys.executable, "-m", "iaclab.platform.git_server", str(root), str(profile.port("git"))],
            ports=("git",),
        )
    ]


def _write_hook(profile: Profile, name: str, command: str) -> None:
    path = profile.folder("git", "hooks") / name
    write_private(path, f"#!/bin/sh\n{command}\n")
    path.chmod(0o700)


def _ready(profile: Profile) -> str | None:
    try:
        answer = httpx.get(url(profile) + "/healthz", timeout=2, trust_env=False)
    except httpx.HTTPError as error:
        return f"it does not answer ({type(error).__name__})"
    return None if answer.status_code == 200 else f"/healthz says {answer.status_code}"


def _credential_helper(profile: Profile) -> str:
    """Gives git the password of the user whom the URL names, else the learner's; unlike `store` it keeps nothing."""
    for name in (LEARNER, REVIEWER, READER):
        profile.secret(f"git-{name}")
    files = shlex.quote(str(profile.root / "secrets" / "git-"))
    asked = " ".join(f"username={name}) user={name};;" for name in (REVIEWER, READER))
    lines = f'while read -r line && test -n "$line"; do case $line in {asked} esac; done'
    answer = f'echo "username=$user"; echo "password=$(cat {files}"$user")"'
    return f'!f() {{ test "$1" = get || return 0; user={LEARNER}; {lines}; {answer}; }}; f'


def _env(profile: Profile) -> dict[str, str]:
    helper = f"credential.{url(profile)}.helper"
    settings = [
        (helper, ""),  # forgets the user's own helpers, for this server
        (helper, _credential_helper(profile)),
        ("user.name", "Learner"),
        ("user.email", "learner@course.local"),
        ("init.defaultBranch", "main"),
        ("advice.detachedHead", "false"),
    ]
    env = {"GIT_URL": url(profile), "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for name in (REVIEWER, READER):
        env[f"GIT_URL_AS_{name.upper()}"] = url(profile).replace("://", f"://{name}@")
    env["GIT_REPOSITORIES"] = str(profile.root / "git" / "repositories")  # where its administrator finds them
    for index, (key, value) in enumerate(settings):
        env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
    return env


def _clear(profile: Profile) -> None:
    repositories = profile.folder("git", "repositories")
    for path in repositories.iterdir():
        gone = path.rename(path.parent.parent / f".gone-{path.name}")  # in one step: nobody sees half a repository
        shutil.rmtree(gone)


def add_webhook(profile: Profile, name: str, target: str, secret: str, ca: str | None = None) -> None:
    """Have every push reported to `target`, signed with `secret`."""
    path = profile.folder("git") / "webhooks.json"
    with _adding:
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
    )
]
