"""The book for those who use a keyboard or a screen reader: every lesson's page and every picture is looked at.

Pages are made as the book makes them, without execution; pictures stand in a notebook as a run would leave them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup, Tag
from tiny_course import TinyCourse

from iaclab import lessons, paths
from iaclab.checks.record import Result
from iaclab.course import page, summary
from iaclab.course.page import Neighbours
from iaclab.course.record import Run
from iaclab.lessons import Lesson
from iaclab.show import draw_access, draw_flux, draw_graph, draw_nodes, draw_plan, draw_tree
from iaclab.show.flux import Branch
from iaclab.show.vault import Access

ROOT = paths.repo_root()
assert ROOT is not None
LESSONS = lessons.lessons()
IDS = [lesson.id for lesson in LESSONS]
PLANS = Path(__file__).with_name("plans")
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="


def run_of(lesson: Lesson, **more: object) -> Run:
    values = {"state": "passed", "cells": 3, "source": "s", "seconds": 2.0, **more}
    return Run(lesson.id, lesson.title, lesson.minutes, lesson.seconds, **values)  # type: ignore[arg-type]


def html_of(lesson: Lesson, copy: Path, run: Run | None = None, around: Neighbours | None = None) -> BeautifulSoup:
    out = ROOT / "build" / "course" / f"{lesson.id}.html"
    around = around or Neighbours(None, None)
    return BeautifulSoup(page.render(lesson, run or run_of(lesson), copy, out, around, IDS), "html.parser")


def faults(html: BeautifulSoup) -> list[str]:
    """What somebody would stumble over who does not see the page, or has no mouse."""
    return [*_headings(html), *_pictures(html), *_frame(html), *_tables(html)]


def _headings(html: BeautifulSoup) -> Iterator[str]:
    found = html.find_all(re.compile("^h[1-6]$"))
    if [heading.name for heading in found].count("h1") != 1:
        yield "there must be one h1"
    level = 0
    for heading in found:
        now = int(heading.name[1])
        if now > level + 1:
            yield f"the heading '{heading.get_text().strip()}' jumps from level {level} to {now}"
        if not heading.get_text().strip():
            yield f"an empty {heading.name}"
        level = now


def _pictures(html: BeautifulSoup) -> Iterator[str]:
    for image in html.find_all("img"):
        if not str(image.get("alt") or "").strip() or "No description" in str(image["alt"]):
            yield f"an img without alt: {str(image)[:80]}"
    for drawing in html.find_all("svg"):
        if drawing.get("aria-hidden") == "true":
            continue
        if drawing.get("role") != "img":
            yield f"an svg that is no img for screen readers: {str(drawing)[:80]}"
        for word in ("aria-labelledby", "aria-describedby"):
            named = drawing.find(id=drawing.get(word) or "?")
            if named is None or not named.get_text().strip():
                yield f"an svg without a text for {word}"


def _frame(html: BeautifulSoup) -> Iterator[str]:
    if not html.html or not html.html.get("lang"):
        yield "the page does not say its language"
    if not html.title or not html.title.get_text().strip():
        yield "the page has no title"
    if len(html.find_all("main")) != 1:
        yield "there must be one main"
    for link in html.find_all("a", href=True):
        if not (link.get_text().strip() or link.get("aria-label") or link.find("img", alt=True)):
            yield f"a link without text: {link['href']}"
    ids = [str(tag["id"]) for tag in html.find_all(id=True)]
    doubled = {one for one in ids if ids.count(one) > 1}
    if doubled:
        yield f"ids that stand there twice: {sorted(doubled)}"
    for tag in html.find_all(tabindex=True):
        if int(tag["tabindex"]) > 0:
            yield f"a tabindex that changes the order of keys: {tag.name}"


def _tables(html: BeautifulSoup) -> Iterator[str]:
    for table in html.find_all("table"):
        if not table.find("th"):
            yield f"a table without headings: {table.get_text()[:60]!r}"


@cache
def page_of(lesson: Lesson) -> BeautifulSoup:
    """Made once for the tests that only read it: it takes a second."""
    return html_of(lesson, ROOT / lesson.notebook)


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_a_lessons_page_can_be_read_without_eyes_and_mouse(lesson: Lesson) -> None:
    html = page_of(lesson)
    assert not faults(html), "\n".join(faults(html))
    assert html.title and html.title.get_text() == lesson.title


@pytest.mark.parametrize("lesson", LESSONS, ids=IDS)
def test_every_link_of_a_page_leads_somewhere(lesson: Lesson) -> None:
    html = page_of(lesson)
    here = {str(tag["id"]) for tag in html.find_all(id=True)}
    lost = []
    for link in html.find_all("a", href=True):
        target, _, fragment = str(link["href"]).partition("#")
        if re.match(r"[a-z]+:", target) or target == "index.html":
            continue
        if not target:
            lost += [] if fragment in here else [f"#{fragment}"]
        elif target.endswith(".html"):
            lost += [] if target.removesuffix(".html") in IDS else [target]
        elif not (ROOT / "build/course" / target).resolve().exists():
            lost.append(target)
    assert not lost, f"{lesson.id}.html links to {lost}"


def test_a_page_asks_no_other_site_for_what_it_needs_to_be_read() -> None:
    html = page_of(LESSONS[0])
    asked = [str(tag.get("src") or tag.get("href")) for tag in html.find_all(["script", "link", "img"])]
    assert not [address for address in asked if address.startswith(("http", "//"))]


def test_the_keyboard_comes_first_to_a_link_past_the_bar(tmp_path: Path) -> None:
    first, second, third = LESSONS[:3]
    around = Neighbours(run_of(first), run_of(third))
    html = html_of(second, ROOT / second.notebook, around=around)
    links = html.find_all("a", href=True)
    assert links[0]["href"] == "#lesson" and html.find(id="lesson").name == "main"
    assert [str(link["href"]) for link in links[1:4]] == ["index.html", f"{first.id}.html", f"{third.id}.html"]
    assert html.nav and html.nav.get("aria-label")


def test_pictures_keep_their_text_in_the_book(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = {"cpu": "8", "memory": "64Gi", "nvidia.com/gpu": "2"}
    nodes = draw_nodes([{"metadata": {"name": "n", "labels": {}}, "spec": {}, "status": {"capacity": size}}], [])
    tree = draw_tree({"metadata": {"name": "fraud"}, "status": {}}, {"nodes": []})
    access = Access("ml", ["churn"], ["reader"], {("churn", "reader"): "read"})
    shown = [
        nodes,
        tree,
        draw_access(access),
        draw_flux(Branch("GitRepository", "fleet", "Ready", "", [Branch("Kustomization", "fraud", "Ready", "", [])])),
        draw_plan(json.loads((PLANS / "every-change.json").read_text())),
        draw_graph((PLANS / "modules.dot").read_text()),
    ]
    course = TinyCourse(tmp_path, monkeypatch)
    lesson = course.add("lectures/01-pictures", *["show"] * (len(shown) + 2))
    notebook = nbformat.read(course.clone / lesson.notebook, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell, picture in zip(cells, shown, strict=False):
        cell.outputs = [nbformat.v4.new_output("display_data", picture._repr_mimebundle_())]
    result = Result("it runs", False, "nothing", "look <again>", 0)
    cells[-2].outputs = [nbformat.v4.new_output("display_data", {"text/html": result._repr_html_()})]
    raster = {"image/png": PIXEL, "text/plain": "<Figure: a curve>"}
    cells[-1].outputs = [nbformat.v4.new_output("display_data", raster)]
    copy = tmp_path / "executed.ipynb"
    nbformat.write(notebook, copy)
    html = BeautifulSoup(
        page.render(lesson, run_of(lesson), copy, tmp_path / "x.html", Neighbours(None, None), []), "html.parser"
    )
    assert not faults(html), "\n".join(faults(html))
    assert len(html.find_all("svg", role="img")) == len(shown)
    image = html.find("img")
    assert isinstance(image, Tag) and image["alt"] == "<Figure: a curve>"


@pytest.mark.parametrize(("bad", "word"), [
    ("<h1>a</h1><h3>b</h3>", "jumps from level 1 to 3"),
    ("<h1>a</h1><h1>b</h1>", "one h1"),
    ('<h1>a</h1><img src="x.png">', "img without alt"),
    ('<h1>a</h1><img src="x.png" alt="No description has been provided for this image">', "img without alt"),
    ("<h1>a</h1><svg><title>t</title></svg>", "no img for screen readers"),
    ('<h1>a</h1><svg role="img" aria-labelledby="t"></svg>', "without a text for aria-labelledby"),
    ('<h1>a</h1><a href="x"></a>', "a link without text"),
    ("<h1>a</h1><table><tr><td>1</td></tr></table>", "a table without headings"),
    ('<h1 id="a">a</h1><p id="a">b</p>', "stand there twice"),
])  # fmt: skip
def test_a_page_with_a_fault_is_caught(bad: str, word: str) -> None:
    html = BeautifulSoup(f'<html lang="en"><title>t</title><main>{bad}</main></html>', "html.parser")
    found = faults(html)
    assert len(found) >= 1 and any(word in fault for fault in found), found


def test_the_first_page_can_be_read_too() -> None:
    runs = [run_of(lesson) for lesson in LESSONS]
    runs[1] = run_of(LESSONS[1], state="failed", number=4, cell="kubectl get <pods>", error="one\ntwo & three")
    html = BeautifulSoup(summary.index(runs, "today"), "html.parser")
    assert not faults(html), "\n".join(faults(html))
    assert html.find("caption") and all(th.get("scope") for th in html.find_all("th"))
    states = [str(row.find_all("td")[-1].get_text()) for row in html.find("tbody").find_all("tr")]
    assert states[1] == "✘ cell 4 failed" and "✔" in states[0], "a state is a word and a mark, never a colour alone"
    assert "kubectl get <pods>" in html.get_text() and "two & three" in html.get_text()


# --- contrast ------------------------------------------------------------------------------------------------------

Colour = tuple[float, float, float]
# What JupyterLab's themes, and GitHub's, write with and on.
THEMES = {
    "JupyterLab light": ("#212121", "#ffffff"),
    "JupyterLab dark": ("#ffffff", "#111111"),
    "GitHub light": ("#1f2328", "#ffffff"),
    "GitHub dark": ("#e6edf3", "#0d1117"),
}
TEXT, LINES = 4.5, 3.0  # WCAG 2.2: 1.4.3 for text, 1.4.11 for what one must see to understand
FADED = 0.75


def rgb(text: str) -> Colour:
    return tuple(int(text[i : i + 2], 16) for i in (1, 3, 5))  # type: ignore[return-value]


def over(top: Colour, share: float, below: Colour) -> Colour:
    return tuple(share * a + (1 - share) * b for a, b in zip(top, below, strict=True))  # type: ignore[return-value]


def contrast(one: Colour, other: Colour) -> float:
    def light(colour: Colour) -> float:
        parts = [c / 255 for c in colour]
        r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b

    high, low = sorted((light(one), light(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def sources(*folders: str) -> Iterator[tuple[str, str]]:
    for folder in folders:
        for path in sorted((ROOT / "src/iaclab" / folder).glob("*.py")):
            yield path.name, path.read_text()


def test_contrast_is_computed_as_the_standard_has_it() -> None:
    assert contrast(rgb("#000000"), rgb("#ffffff")) == pytest.approx(21)
    assert contrast(rgb("#777777"), rgb("#ffffff")) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", THEMES)
def test_words_in_pictures_can_be_read_on_every_shade(theme: str) -> None:
    """Words take the theme's colour, at full or at faded strength, on a shade that is drawn thin over the paper."""
    ink, paper = map(rgb, THEMES[theme])
    shades = {(name, shade) for name, text in sources("show") for shade in re.findall(r'"(#[0-9a-f]{6})"', text)}
    assert len({shade for _, shade in shades}) >= 5, "the shades are no longer written as they were: mend this test"
    thin = {float(n) for _, text in sources("show") for n in re.findall(r'fill-opacity="([\d.]+)"', text)}
    faded = {float(n) for _, text in sources("show") for n in re.findall(r"(?<!-)opacity[:=]\"?([\d.]+)", text)}
    assert thin and min(faded) >= FADED, f"fainter than {FADED}: {faded}"
    for name, shade in sorted(shades):
        ground = over(rgb(shade), max(thin), paper)
        got = contrast(over(ink, min(faded), ground), ground)
        assert got >= TEXT, f"{name}: faded words on {shade} in {theme}: {got:.2f}"


@pytest.mark.parametrize("theme", THEMES)
def test_the_edge_of_a_checks_answer_is_seen(theme: str) -> None:
    (line,) = re.findall(
        r'colour = "(#\w{6})" if self.passed else "(#\w{6})"', (ROOT / "src/iaclab/checks/record.py").read_text()
    )
    for colour in line:
        got = contrast(rgb(colour), rgb(THEMES[theme][1]))
        assert got >= LINES, f"{colour} in {theme}: {got:.2f}"


@pytest.mark.parametrize("theme", page.COLOURS)
def test_the_books_own_words_can_be_read(theme: str) -> None:
    colours = {name: rgb(value) for name, value in page.COLOURS[theme].items()}
    for name in ("ink", "link", "good", "bad"):
        got = contrast(colours[name], colours["paper"])
        assert got >= TEXT, f"{name} in {theme}: {got:.2f}"


def test_the_books_styles_have_no_colours_of_their_own() -> None:
    """Every colour is one of those that are computed above."""
    for name, text in sources("course"):
        table = re.sub(r"COLOURS = \{.*?\n\}", "", text, flags=re.DOTALL)
        assert not re.findall(r"#[0-9a-fA-F]{3,6}\b|rgba?\(", table), name
