"""One page of the book: a lesson's notebook as HTML, by nbconvert, that reads without a network and with a keyboard."""

from __future__ import annotations

import html
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from iaclab.course.execute import notebook_of, without_markers
from iaclab.course.record import Run
from iaclab.lessons import Lesson

# Text, links and lines of the book's own parts, on their background; a test computes the contrast.
COLOURS = {
    "light": {"paper": "#ffffff", "ink": "#1f2328", "link": "#0b57d0", "good": "#1a7f37", "bad": "#b3261e"},
    "dark": {"paper": "#16181c", "ink": "#e6e6e6", "link": "#8ab4f8", "good": "#56d364", "bad": "#ff8a80"},
}
WORDS = {"passed": "✔ every cell ran", "failed": "✘ failed", "yours": "○ yours to do"}
_LINK = re.compile(r'(<(?:a|img)\b[^>]*?\b(?:href|src)=")([^"]+)(")')
_MAIN = '<main id="lesson">'
_BAR = re.compile(r'(<nav\b[^>]*\bclass="iaclab-bar"[^>]*>).*?(</nav>)', re.DOTALL)  # nbconvert sorts attributes
_STYLE = """
.iaclab-skip{position:absolute;left:-999em}
.iaclab-skip:focus{position:static}
.iaclab-bar{display:flex;gap:1.5em;flex-wrap:wrap;padding:.6em 1em;border-bottom:1px solid;
  font:16px/1.5 system-ui,sans-serif;color:%(ink)s;background:%(paper)s}
.iaclab-bar a{color:%(link)s}
.iaclab-failed{margin:1em;padding:.5em 1em;border-left:4px solid %(bad)s;
  font:16px/1.5 system-ui,sans-serif;color:%(ink)s;background:%(paper)s}
.jp-InputPrompt,.jp-OutputPrompt{color:%(ink)s!important;opacity:1!important}
a:focus-visible,pre:focus-visible{outline:3px solid %(link)s;outline-offset:2px}
"""
_TEMPLATE = """{%- extends 'lab/index.html.j2' -%}
{%- block html_head_js_requirejs -%}{%- endblock -%}
{%- block html_head_js_mathjax -%}{%- endblock -%}
{%- block html_head_css -%}<style>{{ resources.iaclab.style }}</style>{%- endblock -%}
{%- block body_header -%}
<body class="jp-Notebook" data-jp-theme-light="true" data-jp-theme-name="JupyterLab Light">
<a class="iaclab-skip" href="#lesson">Skip to the lesson</a>
<nav class="iaclab-bar" aria-label="Course">{{ resources.iaclab.bar }}</nav>
{{ resources.iaclab.remark }}
<main id="lesson">
{%- endblock -%}
"""


@dataclass(frozen=True)
class Neighbours:
    """The lessons before and after one in the book."""

    before: Run | None
    after: Run | None


def render(lesson: Lesson, run: Run, copy: Path, page: Path, around: Neighbours, lessons: list[str]) -> str:
    """The HTML of a lesson's page.

    Args:
        copy: the notebook as it was executed; of a lab, as learners open it.
        page: where it will lie; links that lead out of the book are made from there.
        lessons: the lessons that have a page.
    """
    import nbformat
    from jinja2 import DictLoader
    from nbconvert import HTMLExporter

    notebook = without_markers(nbformat.read(copy, as_version=4))
    notebook.metadata["title"] = lesson.title
    exporter = HTMLExporter(extra_loaders=[DictLoader({"iaclab.html.j2": _TEMPLATE})], template_file="iaclab.html.j2")
    exporter.exclude_anchor_links = True
    resources = {
        "metadata": {"name": lesson.id, "path": str(notebook_of(lesson).parent)},
        "iaclab": {"style": _STYLE % COLOURS["light"], "bar": _bar(around), "remark": _remark(run)},
    }
    body, _ = exporter.from_notebook_node(_with_pictures_named(notebook), resources=resources)
    frame, main, text = body.partition(_MAIN)
    return frame + main + _LINK.sub(lambda m: m[1] + _target(m[2], lesson, page, lessons) + m[3], text)


def with_bar(html_text: str, around: Neighbours) -> str:
    """A page that was rendered before, with its way to the lessons before and after written anew."""
    return _BAR.sub(lambda m: m[1] + _bar(around) + m[2], html_text, count=1)


def _bar(around: Neighbours) -> str:
    links = ['<a href="index.html">All lessons</a>']
    for word, run in (("Before", around.before), ("Next", around.after)):
        if run:
            links.append(f'<span>{word}: <a href="{run.lesson}.html">{html.escape(run.title)}</a></span>')
    return "".join(links)


def _remark(run: Run) -> str:
    """What failed, said at the top of the page."""
    if run.state != "failed":
        return ""
    where = f"Cell {run.number} failed" if run.number else "This lesson could not be run"
    return f'<p class="iaclab-failed" role="note"><b>{where}:</b> {html.escape(run.reason)}</p>'


def _with_pictures_named(notebook: Any) -> Any:
    """A raster picture that a cell shows has no text of its own: its text/plain twin becomes its name."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            for kind in ("image/png", "image/jpeg"):
                if kind in data and "text/html" not in data:
                    text = html.escape(data.get("text/plain", "a picture"), quote=True)
                    source = f"data:{kind};base64,{data.pop(kind).strip()}"
                    data["text/html"] = f'<img alt="{text}" src="{source}">'
    return notebook


def _target(link: str, lesson: Lesson, page: Path, lessons: list[str]) -> str:
    """Where a link of a notebook leads from its page: another page of the book, or a file of the clone."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc or not parts.path:
        return link
    fragment = f"#{parts.fragment}" if parts.fragment else ""
    name = Path(parts.path)
    if name.suffix == ".ipynb" and name.stem in lessons:
        return f"{name.stem}.html{fragment}"
    return os.path.relpath(notebook_of(lesson).parent / parts.path, page.parent) + fragment
