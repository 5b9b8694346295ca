"""Fetches one remote Git repository into a bare one on disk, and reads files out of it; with the `git` on PATH."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from iaclab.platform import loopback
from iaclab.platform.flux import semver

_HERE = "refs/iaclab/fetched"
_REGULAR = {"100644": False, "100755": True}  # a file's mode in Git: whether it may be executed
_EVERYTHING = 2**31 - 1  # as a depth
# What Flux leaves out of an artifact, in the form of .gitignore: always, and where no rules are given.
_NEVER = ".git/\n.gitignore\n.gitmodules\n.gitattributes\n"
_USUALLY = """*.jpg
*.jpeg
*.gif
*.png
*.wmv
*.flv
*.tar.gz
*.zip
.github/
.circleci/
.travis.yml
.gitlab-ci.yml
appveyor.yml
.drone.yml
cloudbuild.yaml
codeship-services.yml
codeship-steps.yml
**/.goreleaser.yml
**/.sops.yaml
**/.flux.yaml
"""
_RULES = ".sourceignore"
_HELPER = '!f() { echo username="$LOGIN_NAME"; echo password="$LOGIN_WORD"; }; f'


class GitFailed(Exception):
    """What Git said, without its `fatal:`."""


@dataclass(frozen=True)
class Login:
    """How to log in; empty fields are not used. `authority` is a certificate in PEM."""

    username: str = ""
    password: str = ""
    token: str = ""
    authority: str = ""


@dataclass(frozen=True)
class Revision:
    """A commit, and the name by which it was asked for: a branch, a tag, a full reference, or nothing."""

    name: str
    commit: str

    def __str__(self) -> str:
        """As Flux writes it in `status.artifact.revision`."""
        return f"{self.name}@sha1:{self.commit}" if self.name else f"sha1:{self.commit}"


@dataclass(frozen=True)
class File:
    """A file of a commit."""

    path: str
    executable: bool
    content: bytes


class Repository:
    """A remote repository, of which `folder` keeps what was fetched.

    Args:
        folder: of the bare repository; made on first use.
        url: http or https.
        timeout: of one fetch, in seconds.
    """

    def __init__(self, folder: Path, url: str, login: Login, timeout: float) -> None:
        self.folder, self.url, self.login, self.timeout = folder, url, login, timeout

    def fetch(self, ref: Mapping[str, str]) -> Revision:
        """Fetch what `spec.ref` of a GitRepository names: commit, name, semver, tag or branch, in this order.

        Raises:
            GitFailed: the server cannot be reached, refuses the login, or has no such reference.
        """
        if not self.folder.exists():
            self.folder.mkdir(parents=True, mode=0o700)
            self._git("init", "--quiet", "--bare", "--template=", ".")
        if commit := ref.get("commit", ""):
            return self._fetch_commit(commit, ref.get("branch", ""))
        if name := ref.get("name", ""):
            return Revision(name, self._fetch(name))
        if wanted := ref.get("semver", ""):
            tag = self._newest_tag(wanted)
            return Revision(tag, self._fetch(f"refs/tags/{tag}"))
        if tag := ref.get("tag", ""):
            return Revision(tag, self._fetch(f"refs/tags/{tag}"))
        branch = ref.get("branch") or "master"
        return Revision(branch, self._fetch(f"refs/heads/{branch}"))

    def subject(self, commit: str) -> str:
        """The first line of a commit's message."""
        return self._git("log", "-1", "--format=%s", commit).decode(errors="replace").strip()

    def files(self, commit: str, rules: str | None) -> list[File]:
        """The files of a commit that belong into an artifact, sorted by path; symbolic links and submodules do not.

        Args:
            rules: `spec.ignore`, in the form of .gitignore. With it, or a `.sourceignore`, Flux's usual list does
                not count. A `.sourceignore` of a folder counts more than `rules`.
        """
        lines = os.fsdecode(self._git("ls-tree", "-r", "-z", commit)).split("\0")[:-1]
        found = {path: about.split() for about, _, path in (line.partition("\t") for line in lines)}
        regular = {path: (mode, oid) for path, (mode, _, oid) in found.items() if mode in _REGULAR}
        own = {path: self._blob(oid).decode(errors="replace") for path, (_, oid) in regular.items() if _is_rules(path)}
        ignored = self._ignored(sorted(regular), own, rules)
        kept = [path for path in sorted(regular) if path not in ignored]
        contents = self._blobs([regular[path][1] for path in kept])
        return [File(path, _REGULAR[regular[path][0]], content) for path, content in zip(kept, contents, strict=True)]

    def _fetch_commit(self, commit: str, branch: str) -> Revision:
        if not branch:
            return Revision("", self._fetch(commit))
        self._fetch(f"refs/heads/{branch}", depth=_EVERYTHING)
        try:
            self._git("merge-base", "--is-ancestor", commit, _HERE)
        except GitFailed as error:
            raise GitFailed(f"commit {commit} is not in branch {branch}{f': {error}' if str(error) else ''}") from error
        return Revision(branch, commit)

    def _fetch(self, source: str, depth: int = 1) -> str:
        """Fetch one reference or commit; returns the commit."""
        options = [f"--depth={depth}", "--no-tags", "--force", "--quiet", "--no-write-fetch-head", "--no-auto-gc"]
        self._remote("fetch", *options, self.url, f"+{source}:{_HERE}")
        return self._git("rev-parse", "--verify", f"{_HERE}^{{commit}}").decode().strip()

    def _newest_tag(self, wanted: str) -> str:
        listed = self._remote("ls-remote", "--tags", "--refs", self.url).decode().splitlines()
        tags = [line.split("\t")[1].removeprefix("refs/tags/") for line in listed]
        try:
            tag = semver.newest(tags, wanted)
        except ValueError as error:
            raise GitFailed(str(error)) from error
        if tag is None:
            raise GitFailed(f"no match found for semver: {wanted}")
        return tag

    def _ignored(self, paths: list[str], own: dict[str, str], rules: str | None) -> set[str]:
        """Git itself tells, in an empty tree that holds nothing but the rules, as its .gitignore files."""
        given = own.get(_RULES, "") + "\n" + (rules or "")
        usual = "" if own or rules is not None else _USUALLY
        with tempfile.TemporaryDirectory(dir=self.folder) as tree:
            texts = {**own, _RULES: f"{_NEVER}{usual}{given}"}
            for path, text in texts.items():
                place = Path(tree, path).with_name(".gitignore")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_text(text)
            command = [f"--git-dir={self.folder}", f"--work-tree={tree}", "check-ignore", "--no-index", "--stdin", "-z"]
            said = self._run(command, stdin=os.fsencode("\0".join(paths)), cwd=Path(tree), fine=(0, 1))
        return set(os.fsdecode(said).split("\0"))

    def _blob(self, oid: str) -> bytes:
        return self._git("cat-file", "blob", oid)

    def _blobs(self, oids: list[str]) -> list[bytes]:
        said = self._git("cat-file", "--batch", stdin="\n".join([*oids, ""]).encode())
        contents, at = [], 0
        for _ in oids:
            end = said.index(b"\n", at)
            size = int(said[at:end].split()[2])
            contents.append(said[end + 1 : end + 1 + size])
            at = end + 1 + size + 1
        return contents

    def _git(self, *arguments: str, stdin: bytes = b"") -> bytes:
        return self._run([f"--git-dir={self.folder}", *arguments], stdin=stdin, cwd=self.folder)

    def _remote(self, *arguments: str) -> bytes:
        """A command that talks to the server. Credentials go into the environment: `ps` does not show them."""
        settings, env = [("credential.helper", "")], {}
        if self.login.username:
            settings.append(("credential.helper", _HELPER))
            env = {"LOGIN_NAME": self.login.username, "LOGIN_WORD": self.login.password}
        if self.login.token:
            settings.append((f"http.{self.url}.extraHeader", f"Authorization: Bearer {self.login.token}"))
        with tempfile.NamedTemporaryFile("w", dir=self.folder) as authority:
            if self.login.authority:
                authority.write(self.login.authority)
                authority.flush()
                settings.append(("http.sslCAInfo", authority.name))
            env["GIT_CONFIG_COUNT"] = str(len(settings))
            for index, (key, value) in enumerate(settings):
                env |= {f"GIT_CONFIG_KEY_{index}": key, f"GIT_CONFIG_VALUE_{index}": value}
            return self._run([f"--git-dir={self.folder}", *arguments], cwd=self.folder, env=env, timeout=self.timeout)

    def _run(
        self,
        arguments: list[str],
        cwd: Path,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        timeout: float = 60,
        fine: tuple[int, ...] = (0,),
    ) -> bytes:
        environment = {**_environment(), **(env or {})}
        try:
            done = subprocess.run(
                ["git", *arguments], cwd=cwd, env=environment, input=stdin, capture_output=True, timeout=timeout
            )
        except subprocess.TimeoutExpired as error:
            raise GitFailed(f"git {arguments[1]} has not ended within {timeout:g} s") from error
        if done.returncode not in fine:
            raise GitFailed(_reason(done.stderr.decode(errors="replace")))
        return done.stdout


def _environment() -> dict[str, str]:
    """The machine's own settings of Git do not count here, nor does a proxy for a loopback address."""
    return {
        **os.environ,
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "http:https",
        "LC_ALL": "C",
        **loopback.without_proxy(os.environ),
    }


def _reason(stderr: str) -> str:
    """What Git complains of, in one line."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    fatal = [line.removeprefix("fatal: ") for line in lines if line.startswith("fatal: ")]
    return "; ".join(fatal or lines[-2:])


def _is_rules(path: str) -> bool:
    return path.rsplit("/", 1)[-1] == _RULES and ".." not in path.split("/")
