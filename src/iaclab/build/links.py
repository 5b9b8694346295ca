"""The links of every text: their form, and with `python -m iaclab.build.links` whether the pages are still there.

Form: a relative link leads to a file, an anchor to a heading, anything else is https and a page, not the bare host of a
registry. A lesson's links are those of its notebook, so they are seen from where that lies.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt

from iaclab import paths

_REGISTRIES = {"registry", "index", "proxy", "mirror"}  # first labels of hosts that are asked by programs
_AT_ONCE = 8
_AGENT = "Mozilla/5.0 (compatible; iaclab links)"  # some sites answer 403 to a library's own
_GONE = {404, 410}


@dataclass(frozen=True)
class Link:
    """A link or picture: the document and line where it stands, and its target."""

    document: Path
    line: int
    target: str

    @property
    def is_page(self) -> bool:
        """Whether it leads out of the clone."""
        return bool(re.match(r"[a-z][a-z0-9+.-]*:", self.target))


def documents(root: Path) -> list[Path]:
    """Every text of the clone that people read."""
    found = [*root.glob("*.md"), *root.glob("docs/**/*.md"), *root.glob("content/**/*.md"), *root.glob("grading/*.md")]
    found += [path for top in root.glob("[!.]*") if top.is_dir() and top.name != "workspace" for path in _readmes(top)]
    return sorted(set(found))


def links(document: Path) -> list[Link]:
    """The links and pictures of a text, those in code left out."""
    found = []
    for token in MarkdownIt().enable("table").parse(_without_front_matter(document.read_text())):
        for child in token.children or []:
            if target := child.attrGet("href") or child.attrGet("src"):
                found.append(Link(document, (token.map or [0])[0] + 1, str(target)))
    return found


def faults(document: Path, root: Path) -> list[str]:
    """What is wrong with the form of a document's links, as `file:line: what`."""
    place = document.relative_to(root)
    if place.parts[0] == "content":
        place = Path(*place.parts[1:]).with_suffix(".ipynb")
    return [
        f"{document.relative_to(root)}:{link.line}: {what}"
        for link in links(document)
        if (what := _page_fault(link.target) if link.is_page else _local_fault(link.target, root, place))
    ]


def dead(found: Iterable[Link]) -> tuple[list[str], list[str]]:
    """Ask for each page once: those that are gone, and those of which nobody can say (no answer, or a refusal).

    A refusal is no proof of anything: many sites turn programs away.
    """
    pages: dict[str, list[Link]] = {}
    for link in found:
        if link.target.startswith("http"):
            pages.setdefault(link.target.split("#")[0], []).append(link)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = list(pool.map(_status, pages))
    gone: list[str] = []
    unknown: list[str] = []
    for (page, where), answer in zip(pages.items(), answers, strict=True):
        if answer != "ok":
            names = ", ".join(sorted({f"{link.document.name}:{link.line}" for link in where}))
            (gone if answer == "gone" else unknown).append(f"{page} {answer} ({names})")
    return gone, unknown


def _status(page: str) -> str:
    import requests

    from iaclab.tools import site

    try:
        answer = requests.get(page, timeout=site.timeout(), stream=True, headers={"User-Agent": _AGENT})
        answer.close()
    except requests.RequestException as error:
        return str(site.failure(page, error)).removeprefix(page).strip()
    if answer.status_code in _GONE:  # a mirror for programs in a site's place says so without a word for people
        return "gone" if answer.headers.get("content-type") else f"answers {answer.status_code} and no page"
    return "ok" if answer.ok else f"answers {answer.status_code}"


def _page_fault(target: str) -> str:
    parts = urlsplit(target)
    if parts.scheme == "mailto":
        return ""
    if parts.scheme != "https" or not parts.netloc:
        return f"{target} is not https"
    if parts.netloc.split(".")[0] in _REGISTRIES and parts.path in ("", "/"):
        return f"{target} is the bare host of a registry: link a page"
    return ""


def _local_fault(target: str, root: Path, place: Path) -> str:
    name, _, anchor = target.partition("#")
    file = (root / place.parent / unquote(name)).resolve() if name else (root / place)
    if not file.is_relative_to(root.resolve()) or not file.exists():
        return f"{target} leads to no file"
    if anchor and file.suffix in (".md", ".ipynb") and unquote(anchor) not in _anchors(file):
        return f"{target} leads to no heading of {file.name}"
    return ""


@cache
def _anchors(file: Path) -> frozenset[str]:
    """The anchors of a file's headings: as JupyterLab makes them for a notebook, as GitHub does for a text."""
    if file.suffix == ".ipynb":
        cells = json.loads(file.read_text())["cells"]
        texts = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown"]
        return frozenset(title.replace(" ", "-") for text in texts for title in _titles(text))
    names = (re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in _titles(file.read_text()))
    return frozenset(names)


def _titles(text: str) -> Iterator[str]:
    tokens = MarkdownIt().parse(text)
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            yield "".join(
                child.content for child in token.children or [] if child.type in ("text", "code_inline")
            ).strip()


def _without_front_matter(text: str) -> str:
    """The text with its front matter blanked, so that lines stay what they are."""
    match = re.match(r"\A---\n.*?\n---\n", text, re.DOTALL)
    return "\n" * match[0].count("\n") + text[match.end() :] if match else text


def _readmes(top: Path) -> Iterator[Path]:
    return (path for path in top.rglob("README.md") if not any(part.startswith(".") for part in path.parts))


def main() -> int:
    """Print what is wrong with the form, then what is gone; returns 1 where there is either, or nobody answers."""
    root = paths.repo_root() or Path.cwd()
    texts = documents(root)
    wrong = [fault for text in texts for fault in faults(text, root)]
    found = [link for text in texts for link in links(text)]
    gone, unknown = dead(found)
    pages = len({link.target.split("#")[0] for link in found if link.target.startswith("http")})
    for title, lines in (("wrong", wrong), ("gone", gone), ("nobody can say", unknown)):
        for line in lines:
            print(f"{title}: {line}")
    print(
        f"{len(found)} links in {len(texts)} texts; {pages} pages: {len(gone)} gone, {len(unknown)} without an answer"
    )
    if pages and len(unknown) == pages:
        print("No page could be reached: this machine is offline.")
    return 1 if wrong or gone or (pages and len(unknown) == pages) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("Stopped. Nothing was changed.", file=sys.stderr)
        sys.exit(130)
