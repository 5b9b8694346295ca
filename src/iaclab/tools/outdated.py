"""Which newer versions exist: asks those whom a tool comes from (release site, package index, registry, module proxy).

The sources are asked in the order in which an install tries them, until one knows. Python's packages and Go's modules
are asked for by their ordinary clients, `pip` and `go`, so that the index and the proxy are those of the user.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests
from packaging.version import InvalidVersion, Version
from rich import box
from rich.console import Console
from rich.table import Table

from iaclab import paths
from iaclab.tools import image, release, site, venv
from iaclab.tools.catalogue import Tool, catalogue
from iaclab.tools.repository import Repository
from iaclab.tools.source import SourceFailed

_AT_ONCE = 8
_PATIENCE = 60  # seconds for pip and go, which have timeouts of their own
_GITHUB = re.compile(r"/([^/]+)/([^/]+)/releases/download/([^/]+)/")
_RAW = re.compile(r"/([^/]+)/([^/]+)/([^/]+)/")


@dataclass(frozen=True)
class Question:
    """One thing to ask: whom, for the user, and the function that does; equal ones are asked once."""

    asked: str
    about: str
    ask: Callable[[str], Iterable[str]]


@dataclass(frozen=True)
class Newest:
    """The newest version of a tool; `why` says why nobody could be asked, and `version` is empty then."""

    tool: Tool
    version: str = ""
    asked: str = ""
    why: str = ""

    @property
    def is_newer(self) -> bool:
        """Whether it is newer than the catalogue's; a package that was packed once more is not."""
        return bool(self.version) and _base(self.version) > _base(self.tool.version)


def newest(tools: Iterable[Tool]) -> list[Newest]:
    """Ask for the newest version of each tool; what the system brings is left out."""
    ours = [tool for tool in tools if not tool.of_the_system]
    left = {tool.name: list(questions(tool)) for tool in ours}
    found, reasons = dict[str, Newest](), {tool.name: list[str]() for tool in ours}
    down: dict[str, str] = {}  # a site that does not answer is not waited for again
    while asking := {tool.name: left[tool.name].pop(0) for tool in ours if tool.name not in found and left[tool.name]}:
        answers = _answers(set(asking.values()), down)
        for tool in ours:
            if question := asking.get(tool.name):
                answer = answers[question]
                if isinstance(answer, SourceFailed):
                    reasons[tool.name].append(str(answer))
                else:
                    found[tool.name] = Newest(tool, answer, question.asked)
    nothing = "nobody publishes a list of its versions"
    return [found.get(t.name) or Newest(t, why="; ".join(dict.fromkeys(reasons[t.name])) or nothing) for t in ours]


def questions(tool: Tool) -> Iterator[Question]:
    """Whom to ask for the versions of a tool, in the order of an install."""
    if here := tool.release_here():
        yield from _site(here.url, tool)
    if tool.wheel or tool.venv:
        yield Question("pip", tool.wheel.package if tool.wheel else venv.package(tool), _pip)
    if tool.image:
        yield Question(image.host(tool), tool.image.ref, _tags)
    if tool.go and not tool.go.version:  # a stand-in has the versions of another program
        yield Question("go", f"{tool.go.module} {tool.go.package or tool.go.copy_from} {tool.version}", _go)


def print_table(console: Console) -> int:
    """Print what is newer; returns 1 where nobody could be reached."""
    if os.environ.get("IACLAB_OFFLINE"):
        console.print("Offline (IACLAB_OFFLINE is set): nobody was asked for newer versions.")
        return 0
    with console.status("asking for newer versions …"):
        found = newest(catalogue().values())
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, most in (("tool", 32), ("course", 10), ("newest", 11), ("asked", 20)):
        table.add_column(name, max_width=most, overflow="ellipsis", no_wrap=True)
    for one in found:
        style = "bold" if one.is_newer else ""
        table.add_row(one.tool.name, one.tool.version, _says(one), one.asked, style=style)
    console.print(table)
    known = [one for one in found if one.version]
    newer = [one for one in known if one.is_newer]
    console.print(f"{len(newer)} of {len(known)} tools that could be asked for have a newer version.", highlight=False)
    why: dict[str, list[str]] = {}
    for one in found:
        if not one.version:
            why.setdefault(one.why, []).append(one.tool.name)
    for reason, names in why.items():
        console.print(f"not known: {', '.join(names)}: {reason}", soft_wrap=True, highlight=False, markup=False)
    if not known:
        console.print("Nobody could be reached: this machine is offline, or wants IACLAB_MIRROR.", soft_wrap=True)
    return 0 if known else 1


def _says(one: Newest) -> str:
    if not one.version:
        return "?"
    return f"{one.version} ↑" if one.is_newer else one.version


def _answers(asked: set[Question], down: dict[str, str]) -> dict[Question, str | SourceFailed]:
    def answer(question: Question) -> str | SourceFailed:
        if question.asked in down:
            return SourceFailed(down[question.asked])
        try:
            return _latest(question.ask(question.about))
        except SourceFailed as failed:
            if failed.host:
                down[question.asked] = str(failed)
            return failed

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        ordered = sorted(asked, key=lambda question: (question.asked, question.about))
        return dict(zip(ordered, pool.map(answer, ordered), strict=True))


def _base(version: str) -> Version:
    return Version(Version(version).base_version)


def _latest(versions: Iterable[str]) -> str:
    """The highest version that is a release."""
    good = []
    for text in versions:
        try:
            version = Version(text.removeprefix("v"))
        except InvalidVersion:
            continue
        if not version.is_prerelease:
            good.append((version, text.removeprefix("v")))
    if not good:
        raise SourceFailed("it has no release")
    return max(good)[1]


def _site(url: str, tool: Tool) -> Iterator[Question]:
    """What a release's address says of whom to ask."""
    parts = urlsplit(url)
    host = release.host(tool)
    if github := _GITHUB.match(parts.path) or (parts.netloc.startswith("raw.") and _RAW.match(parts.path)):
        owner, name, tag = github.groups()
        site_of_it = f"{parts.scheme}://{parts.netloc.replace('raw.githubusercontent.com', 'github.com')}"
        latest = release.address(f"{site_of_it}/{owner}/{name}/releases/latest", tool)
        yield Question(urlsplit(latest).netloc, f"{latest} {unquote(tag)}", _github)
    elif parts.path.startswith("/release/v{version}/"):  # Kubernetes'
        yield Question(host, release.address(f"{parts.scheme}://{parts.netloc}/release/stable.txt", tool), _line)
    elif re.match(r"/[^/]+/\{version\}/", parts.path):  # HashiCorp's
        product = parts.path.split("/")[1]
        yield Question(host, release.address(f"{parts.scheme}://{parts.netloc}/{product}/index.json", tool), _index)


def _get(url: str) -> requests.Response:
    try:
        answer = requests.get(url, timeout=site.timeout(), allow_redirects=False)
        answer.raise_for_status()
    except requests.RequestException as error:
        raise site.failure(url, error) from error
    return answer


def _github(about: str) -> list[str]:
    """GitHub answers the address of the latest release with a redirect to its tag; nobody has to log in for it."""
    url, form = about.split(" ")
    tag = unquote(_get(url).headers.get("Location", "").rpartition("/releases/tag/")[2])
    before, _, after = form.partition("{version}")
    if not (tag.startswith(before) and tag.endswith(after) and tag):
        raise SourceFailed(f"{url}: the latest release is '{tag}', none of the form {form}")
    return [tag.removeprefix(before).removesuffix(after)]


def _line(url: str) -> list[str]:
    return _get(url).text.split()[:1]


def _index(url: str) -> list[str]:
    try:
        return list(_get(url).json()["versions"])
    except (ValueError, KeyError, TypeError) as error:
        raise SourceFailed(f"{url} is no list of versions") from error


def _tags(ref: str) -> list[str]:
    base, name = image.place(ref)
    return Repository(base, name, threading.Event()).tags()


def _pip(package: str) -> list[str]:
    said = _run([sys.executable, "-m", "pip", "index", "versions", package, "--disable-pip-version-check"])
    match = re.search(r"^Available versions: (.*)$", said, re.MULTILINE)
    return match[1].split(", ") if match else []


def _go(about: str) -> list[str]:
    """The versions of the module that a package is in; `about` is the folder in tools/go, the package, its version."""
    folder, package, version = about.split(" ")
    root = paths.repo_root()
    if not shutil.which("go") or root is None:
        raise SourceFailed("the module proxy is asked with Go, which is not here")
    path, pinned = module_of(root / "tools" / "go" / folder / "go.mod", package)
    if pinned.removeprefix("v") != version:
        raise SourceFailed(f"its Go module counts otherwise ({pinned})")
    with tempfile.TemporaryDirectory(prefix="iaclab-go-") as empty:
        Path(empty, "go.mod").write_text("module iaclab.local/empty\n")
        found = json.loads(_run(["go", "list", "-m", "-versions", "-json", path], empty))
    return list(found.get("Versions", []))


def module_of(file: Path, package: str) -> tuple[str, str]:
    """The required module that holds a package: the one with the longest path."""
    try:
        required = re.findall(r"^\s*(?:require\s+)?([\w.-]+\.[\w./-]+)\s+(v\S+)", file.read_text(), re.MULTILINE)
    except OSError as error:
        raise SourceFailed(f"{file} cannot be read") from error
    holding = [(path, version) for path, version in required if f"{package}/".startswith(f"{path}/")]
    if not holding:
        raise SourceFailed(f"{file} requires no module with {package}")
    return max(holding, key=lambda one: len(one[0]))


def _run(command: list[str], folder: str | None = None) -> str:
    name = "pip" if "pip" in command else command[0]
    env = {**os.environ, "GOFLAGS": "-mod=mod", "GOWORK": "off", "GOTOOLCHAIN": "local", "PIP_NO_INPUT": "1"}
    env |= {"PIP_RETRIES": "0", "PIP_TIMEOUT": f"{site.timeout()[1]:g}"}
    try:
        done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=_PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise SourceFailed(f"{name} gets no answer within {_PATIENCE} s") from error
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith(("ERROR", "go: ", "No module"))]
        raise SourceFailed(f"{name} says: {(lines or done.stderr.splitlines() or ['nothing'])[-1][:160]}")
    return done.stdout
