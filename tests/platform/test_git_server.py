"""The Git server as clients see it: who may do what, which paths exist, and how requests may arrive."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from running import shell

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import git

pytestmark = pytest.mark.platform


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Profile]:
    profile = Profile("git", state=tmp_path_factory.mktemp("git"))
    lifecycle.up("git", profile=profile)
    yield profile
    lifecycle.down(profile=profile)


@pytest.fixture(scope="module")
def clone(server: Profile, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose first commit is on the server as `models.git`; tests add to it."""
    folder = tmp_path_factory.mktemp("clone") / "models"
    shell(server, "git", "init", "-q", str(folder))
    (folder / "README").write_text("models\n")
    shell(server, "git", "add", ".", cwd=folder)
    shell(server, "git", "commit", "-qm", "first", cwd=folder)
    shell(server, "git", "push", "-qf", f"{git.url(server)}/models.git", "HEAD:main", cwd=folder)
    return folder


def push(server: Profile, folder: Path, url: str, *settings: str) -> subprocess.CompletedProcess[str]:
    """`git push` without the learner's stored credentials, with settings of its own."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")} | {"GIT_TERMINAL_PROMPT": "0"}
    options = [word for setting in settings for word in ("-c", setting)]
    return subprocess.run(
        ["git", *options, "push", url, "HEAD:refs/heads/trial"], cwd=folder, env=env, capture_output=True, text=True
    )


def address(server: Profile, user: str, secret: str) -> str:
    return git.url(server).replace("://", f"://{user}:{server.secret(secret)}@") + "/models.git"


def test_a_push_without_credentials_is_refused(server: Profile, clone: Path) -> None:
    url = f"{git.url(server)}/models.git"
    answer = httpx.get(f"{url}/info/refs?service=git-receive-pack", trust_env=False, timeout=60)
    assert answer.status_code == 401
    assert "Basic" in answer.headers["WWW-Authenticate"]
    assert push(server, clone, url).returncode != 0
    assert git.head(server, "models", "trial") is None


def test_a_wrong_password_is_refused(server: Profile, clone: Path) -> None:
    url = git.url(server).replace("://", "://learner:guess@") + "/models.git"
    assert "Authentication failed" in push(server, clone, url).stderr
    for header in ("Basic !!!", "Basic bGVhcm5lcg==", "Bearer x", ""):
        answer = httpx.get(
            f"{git.url(server)}/models.git/info/refs?service=git-upload-pack",
            headers={"Authorization": header},
            trust_env=False,
            timeout=60,
        )
        assert answer.status_code == 401, f"{header!r} was let in"


def test_a_reader_may_clone_and_not_push(server: Profile, clone: Path, tmp_path: Path) -> None:
    url = address(server, git.READER, "git-reader")
    shell(server, "git", "clone", "-q", url, str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "README").read_text() == "models\n"
    refused = push(server, clone, url)
    assert refused.returncode != 0
    assert "403" in refused.stderr
    # the pack itself, without asking for the refs first, and with the service's name hidden in an escape
    reader = httpx.BasicAuth(git.READER, server.secret("git-reader"))
    base = f"{git.url(server)}/models.git"
    assert httpx.post(f"{base}/git-receive-pack", auth=reader, trust_env=False, timeout=60).status_code == 403
    hidden = httpx.get(f"{base}/info/refs?service=git%2Dreceive-pack", auth=reader, trust_env=False, timeout=60)
    assert hidden.status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/../users.json",
        "/models.git/../../users.json",
        "/models.git/%2e%2e/%2e%2e/users.json",
        "/models.git/config",
        "/models.git/objects/info/packs",
        "/models.git/HEAD",
        "/models.git",
        "/models",
        "//etc/passwd",
        "/.git/info/refs",
        "/-x.git/info/refs",
        "/a%20b.git/info/refs",
        "/a%00b.git/info/refs",
        "/a%0Ab.git/info/refs",
        "/%E2%82%AC.git/info/refs",
        "/a;b.git/info/refs",
        "/" + "n" * 65 + ".git/info/refs",
        "/absent.git/info/refs?service=git-upload-pack",
        "/",
    ],
)
def test_what_is_not_a_repository_is_not_found(server: Profile, clone: Path, path: str) -> None:
    # a raw request: clients would tidy the path up
    url = httpx.URL(git.url(server)).copy_with(raw_path=path.encode())
    auth = httpx.BasicAuth(git.LEARNER, server.secret("git-learner"))
    with httpx.Client(trust_env=False, timeout=60) as http:
        assert http.get(url, auth=auth).status_code == 404
    assert git.head(server, "absent") is None


def test_a_push_to_a_new_name_makes_the_repository(server: Profile, clone: Path) -> None:
    shell(server, "git", "push", "-q", f"{git.url(server)}/brand-new.git", "HEAD:main", cwd=clone)
    assert git.head(server, "brand-new") == shell(server, "git", "rev-parse", "HEAD", cwd=clone).stdout.strip()


@pytest.mark.parametrize("buffer", ["10m", "64k"], ids=["with its length", "in chunks"])
def test_a_large_push_arrives_whole(server: Profile, clone: Path, tmp_path: Path, buffer: str) -> None:
    """Git sends what is larger than http.postBuffer with `Transfer-Encoding: chunked`."""
    content = os.urandom(3_000_000)
    (clone / "weights.bin").write_bytes(content)
    shell(server, "git", "add", ".", cwd=clone)
    shell(server, "git", "commit", "-qm", "weights", cwd=clone)
    done = push(server, clone, address(server, git.LEARNER, "git-learner"), f"http.postBuffer={buffer}")
    assert done.returncode == 0, done.stderr
    shell(server, "git", "clone", "-qb", "trial", f"{git.url(server)}/models.git", str(tmp_path / "copy"))
    assert (tmp_path / "copy" / "weights.bin").read_bytes() == content
    shell(server, "git", "push", "-q", f"{git.url(server)}/models.git", ":trial", cwd=clone)


def test_a_compressed_request_is_understood_and_a_broken_one_harms_nothing(server: Profile, clone: Path) -> None:
    """Git compresses requests over 1 kB, which a client with many commits sends."""
    url = f"{git.url(server)}/models.git/git-upload-pack"
    headers = {
        "Content-Type": "application/x-git-upload-pack-request",
        "Content-Encoding": "gzip",
        "Git-Protocol": "version=2",
    }
    auth = httpx.BasicAuth(git.LEARNER, server.secret("git-learner"))
    question = b"0014command=ls-refs\n0000"
    answer = httpx.post(url, content=gzip.compress(question), headers=headers, auth=auth, trust_env=False, timeout=60)
    assert answer.status_code == 200
    assert (git.head(server, "models") or "no head") in answer.text
    broken = httpx.post(url, content=b"not gzip at all", headers=headers, auth=auth, trust_env=False, timeout=60)
    assert "refs/heads" not in broken.text
    assert httpx.get(git.url(server) + "/healthz", trust_env=False, timeout=60).text == "200 OK"


def test_a_webhook_that_is_down_does_not_fail_the_push(server: Profile, clone: Path) -> None:
    git.add_webhook(server, "nobody", "http://127.0.0.1:9/api/webhook", "secret")
    shell(server, "git", "commit", "-q", "--allow-empty", "-m", "more", cwd=clone)
    done = shell(server, "git", "push", f"{git.url(server)}/models.git", "HEAD:main", cwd=clone)
    assert "webhook nobody was not reached" in done.stderr
    assert git.head(server, "models") == shell(server, "git", "rev-parse", "HEAD", cwd=clone).stdout.strip()


def refs(server: Profile) -> str:
    return shell(server, "git", "ls-remote", f"{git.url(server)}/models.git").stdout


def test_the_name_in_the_url_says_whose_password_is_used(server: Profile, clone: Path) -> None:
    env = server.env()
    as_reviewer, as_reader = (f"{env[f'GIT_URL_AS_{name}']}/models.git" for name in ("REVIEWER", "READER"))
    shell(server, "git", "push", "-q", as_reviewer, "HEAD:refs/heads/of-the-reviewer", cwd=clone)
    assert "refs/heads/of-the-reviewer" in refs(server)
    refused = shell(server, "git", "push", as_reader, "HEAD:refs/heads/of-the-reader", cwd=clone, check=False)
    assert "403" in refused.stderr
    assert "refs/heads/of-the-reader" not in refs(server)


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_repository_has_hooks_of_its_own_that_know_who_pushes(server: Profile, clone: Path, hook: str) -> None:
    """Installed as an administrator does: an executable in the folder `hooks` of the bare repository."""
    env = server.env()
    own = Path(env["GIT_REPOSITORIES"]) / "models.git" / "hooks" / hook
    own.write_text('#!/bin/sh\necho "no, $REMOTE_USER"\ntest "$REMOTE_USER" = reviewer\n')
    push = ("git", "push", "--force")
    try:
        free = shell(server, *push, f"{git.url(server)}/models.git", "HEAD:refs/heads/free", cwd=clone)
        assert "no, learner" not in free.stderr, "a hook that is not executable ran"
        own.chmod(0o700)
        refused = shell(server, *push, f"{git.url(server)}/models.git", "HEAD:refs/heads/gated", cwd=clone, check=False)
        assert refused.returncode != 0
        assert "no, learner" in refused.stderr
        assert "refs/heads/gated" not in refs(server)
        shell(server, *push, f"{env['GIT_URL_AS_REVIEWER']}/models.git", "HEAD:refs/heads/gated", cwd=clone)
        assert "refs/heads/gated" in refs(server)
        other = shell(server, *push, f"{git.url(server)}/ungated.git", "HEAD:main", cwd=clone)
        assert other.returncode == 0, "the hook of one repository ran for another"
    finally:
        own.unlink()
        shell(server, "git", "push", "-q", f"{git.url(server)}/models.git", ":gated", cwd=clone, check=False)


def test_a_proxy_of_the_network_is_not_asked_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by a learner's git, nor by the webhooks of the server."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # nobody listens there
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    profile = Profile("proxied")
    try:
        lifecycle.up("git", profile=profile)
        git.add_webhook(profile, "itself", f"{git.url(profile)}/healthz", "secret")
        shell(profile, "git", "init", "-q", cwd=tmp_path)
        shell(profile, "git", "commit", "-q", "--allow-empty", "-m", "first", cwd=tmp_path)
        said = shell(profile, "git", "push", f"{git.url(profile)}/models.git", "HEAD:main", cwd=tmp_path).stderr
    finally:
        lifecycle.down(profile=profile)
    assert "was not reached" not in said


def test_services_that_are_set_up_side_by_side_lose_no_webhook() -> None:
    profile = Profile("webhooks")
    names = [f"service-{number}" for number in range(24)]
    with ThreadPoolExecutor(len(names)) as pool:
        list(pool.map(lambda name: git.add_webhook(profile, name, "http://127.0.0.1:9/", "secret"), names))
    assert json.loads((profile.root / "git" / "webhooks.json").read_text()).keys() == set(names)
