"""What a learner does first: open JupyterLab, run the start page and the Argo CD lecture, and look at the pictures.

`pytest tests/browser --pictures FOLDER` saves pictures on the way, those of docs/pictures among them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from notebook_page import PATIENCE, NotebookPage, code_cells, drawings, faults, is_over
from playwright.sync_api import Browser, expect

from iaclab import learning_path, resume

PATH = "notebooks/01-learning-path.ipynb"
START = "notebooks/00-start-here.ipynb"
ARGOCD = "lectures/04-argocd-deployment.ipynb"
LAB = "labs/lab1-terraform-modules.ipynb"
# The first task of lab 1 as a learner might solve it: a bucket with versions, a root with its state there, a lock.
FIRST_TASK = """%%bash -e
python - <<EOF
import boto3
s3 = boto3.client("s3")
s3.create_bucket(Bucket="ml-platform-tfstate", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
s3.put_bucket_versioning(Bucket="ml-platform-tfstate", VersioningConfiguration={"Status": "Enabled"})
EOF
mkdir -p dev && cat > dev/main.tf <<EOF
terraform {
  backend "s3" {
    bucket       = "ml-platform-tfstate"
    key          = "dev/terraform.tfstate"
    region       = "eu-west-1"
    use_lockfile = true
  }
}

output "environment" {
  value = "dev"
}
EOF
terraform -chdir=dev init -backend-config=../local.s3.tfbackend
terraform -chdir=dev apply -auto-approve"""
# Every word of the pictures in the notebook that is open, with its contrast to what lies behind it: its colour and its
# strength, over the shade of the box that it stands in, over the first ancestor that has a colour of its own.
WORDS_AND_PAPER = """() => {
  const parse = text => text.match(/[\\d.]+/g).map(Number);
  const over = (top, share, below) => top.slice(0, 3).map((c, i) => share * c + (1 - share) * below[i]);
  const light = colour => {
    const [r, g, b] = colour.map(c => c / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const paper = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  for (const svg of document.querySelectorAll(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea svg[role=img]")) {
    const boxes = [...svg.querySelectorAll("rect")].filter(one => one.getAttribute("fill") !== "none");
    for (const text of svg.querySelectorAll("text")) {
      const at = text.getBoundingClientRect();
      let ground = paper(svg.parentElement);
      for (const box of boxes) {
        const area = box.getBoundingClientRect();
        const middle = (at.top + at.bottom) / 2;
        if (area.left <= at.left && at.left <= area.right && area.top <= middle && middle <= area.bottom) {
          const style = getComputedStyle(box);
          ground = over(parse(style.fill), Number(style.fillOpacity), ground);
        }
      }
      const style = getComputedStyle(text);
      const ink = parse(style.fill);
      const seen = over(ink, (ink[3] ?? 1) * Number(style.opacity), ground);
      const [high, low] = [light(seen), light(ground)].sort((a, b) => b - a);
      found.push([text.textContent, (high + 0.05) / (low + 0.05)]);
    }
  }
  return found;
}"""
pytestmark = pytest.mark.platform


def look_at(notebooks: NotebookPage, title: str, save_as: str, request: pytest.FixtureRequest) -> None:
    """The drawing with this title is to be seen; with --pictures, it is saved."""
    notebooks.picture(title)
    folder: Path | None = request.config.getoption("--pictures", None)  # unknown where all tests run
    if folder:
        notebooks.page.screenshot(path=folder / save_as)


def idle(notebook: dict[str, Any]) -> bool:
    return bool(notebook["kernel"] == "idle")


def cell_of(notebook: dict[str, Any], source: str) -> dict[str, Any]:
    """The code cell that holds this text."""
    return next(cell for cell in code_cells(notebook) if source in cell["source"])


def ran(source: str) -> Callable[[dict[str, Any]], bool]:
    """Whether the kernel is idle and the cell with this text has run since it was changed."""
    return lambda notebook: idle(notebook) and cell_of(notebook, source)["execution_count"] is not None


def says(source: str, word: str) -> Callable[[dict[str, Any]], bool]:
    """Whether the cell with this text shows the word; the kernel may be idle before it begins, so that says nothing."""
    return lambda notebook: word in shown(cell_of(notebook, source))


def shown(cell: dict[str, Any]) -> str:
    """What a cell's outputs say, as text."""
    found = [o.get("text") or o.get("data", {}).get("text/plain") or o.get("evalue") or "" for o in cell["outputs"]]
    return "\n".join("".join(text) for text in found)


def run_to(notebooks: NotebookPage, path: str, last: str) -> None:
    """Press Shift + Enter from the first cell to the one with this text."""
    notebooks.select(path, "")
    for _ in range(40):
        at = notebooks.active_source(path)
        notebooks.page.keyboard.press("Shift+Enter")
        if last in at:
            return
    raise AssertionError(f"Shift + Enter does not come to {last}: {notebooks.screenshot(path)}")


def test_jupyterlab_opens_on_the_start_page_and_asks_nothing(notebooks: NotebookPage) -> None:
    """Its kernel is up, and Shift + Enter runs a cell; how soon it does is printed (`-s`), as seconds are no test."""
    notebooks.wait_for(START, idle, PATIENCE, "its kernel did not get idle")
    started, page = time.monotonic(), notebooks.page
    notebooks.select(START, "import iaclab")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-CodeCell .jp-InputPrompt", has_text="[*]").first).to_be_visible()
    taken = time.monotonic() - started
    assert page.locator(".jp-Dialog, .Toastify__toast").count() == 0, notebooks.screenshot(START)
    print(f"the start page runs a cell {taken:.2f} s after its kernel is up")
    notebooks.wait_for(START, ran("import iaclab"), PATIENCE, "its first cell does not end")


@pytest.fixture(scope="module")
def start_page(notebooks: NotebookPage) -> list[dict[str, Any]]:
    """The code cells of the start page, which have all run."""
    notebooks.open(START)
    return notebooks.run_all(START, seconds=300)


def test_every_cell_of_the_start_page_runs(
    notebooks: NotebookPage, start_page: list[dict[str, Any]], request: pytest.FixtureRequest
) -> None:
    notebooks.open(START)
    assert not faults(start_page), "\n".join([*faults(start_page), str(notebooks.screenshot(START))])
    assert drawings(start_page) >= 1
    look_at(notebooks, "GPUs", "start-page.png", request)


def test_a_check_that_passed_shows_on_the_learning_path_which_leads_to_the_next(
    notebooks: NotebookPage, start_page: list[dict[str, Any]], course: Path
) -> None:
    """That of the start page has passed. The path's links and `resume` lead on."""
    notebooks.open(PATH)
    page = notebooks.page
    began = time.monotonic()
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    way = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .iaclab-path")
    start = way.get_by_role("row", name=re.compile("^Start here"))
    expect(page.get_by_role("button", name="Look again")).to_be_visible()
    print(f"the learning path can be clicked {time.monotonic() - began:.2f} s after its kernel is up")
    expect(start).to_contain_text("done")
    cells = notebooks.wait_for(PATH, is_over, PATIENCE, "its last cell has not run")
    assert not faults(code_cells(cells)), notebooks.screenshot(PATH)
    page.get_by_role("button", name="Only what is left").click()
    expect(start).to_have_count(0)
    way.locator("p a").click()
    lecture = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)").filter(has_text="Lecture 1: Advanced Terraform")
    expect(lecture.locator(".jp-Cell", has_text="Your turn").first).to_be_in_viewport()

    place = learning_path.next_place("03")
    assert page.context.browser
    again = page.context.browser.new_page()
    again.goto(resume.address(place, course), timeout=PATIENCE * 1000)
    task = again.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-Cell", has_text="Your turn").first
    expect(task).to_be_in_viewport()
    again.close()


def test_a_lab_from_its_first_cell_to_a_check_that_passes_and_shows_on_the_learning_path(
    notebooks: NotebookPage,
) -> None:
    """With keys alone: Shift + Enter runs the cells, the check says no with a hint, a solution is typed, it passes."""
    page = notebooks.page
    notebooks.open(LAB)
    lab = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden)")
    expect(lab.get_by_role("heading", name=re.compile("^Lab 1"))).to_be_visible()
    run_to(notebooks, LAB, 'iaclab.check("lab1.state")')
    notebook = notebooks.wait_for(LAB, says("lab1.state", "not yet"), PATIENCE, "the check says nothing")
    said = cell_of(notebook, "lab1.state")
    assert "hint" in shown(said), shown(said)

    notebooks.select(LAB, "# Your turn. Write files")
    page.keyboard.press("Enter")  # into the cell
    page.keyboard.press("ControlOrMeta+A")
    page.keyboard.insert_text(FIRST_TASK)
    page.keyboard.press("Shift+Enter")
    notebooks.wait_for(LAB, says("use_lockfile", "Apply complete"), 180, "the solution does not run to its end")
    for check in ("lab1.state", "lab1.locked"):
        page.keyboard.press("Shift+Enter")
        notebooks.wait_for(LAB, says(check, "passed"), PATIENCE, f"{check} does not pass")

    notebooks.open(PATH)
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    way = page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .iaclab-path")
    row = way.get_by_role("row", name=re.compile("^Lab 1"))
    expect(row).to_contain_text("2 of 14 checks")
    expect(row).to_contain_text("10/100")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_jupyterlab_follows_the_systems_light_or_dark_and_words_in_pictures_can_be_read(
    chromium: Browser, lab: str, scheme: Literal["light", "dark"], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 840}, color_scheme=scheme)
    page.goto(lab, timeout=PATIENCE * 1000)
    notebook = NotebookPage(page, tmp_path)
    notebook.open(START)
    expect(page.locator("body")).to_have_attribute("data-jp-theme-light", str(scheme == "light").lower())
    page.evaluate("() => void window.jupyterapp.commands.execute('notebook:run-all-cells')")
    cells = notebook.wait_for(START, is_over, 300, "its last cell has not run")
    assert not faults(code_cells(cells)), notebook.screenshot(START)
    look_at(notebook, "GPUs", f"start-page-{scheme}.png", request)
    picture = notebook.screenshot(START)
    words = page.evaluate(WORDS_AND_PAPER)
    assert len(words) > 10
    faint = [f"{word}: {ratio:.1f}" for word, ratio in words if ratio < 4.5]
    assert not faint, f"{scheme}: {faint}; see {picture}"
    page.close()


@pytest.mark.if_time(minutes=15)
def test_every_cell_of_the_argo_cd_lecture_runs(notebooks: NotebookPage, request: pytest.FixtureRequest) -> None:
    notebooks.open(ARGOCD)
    cells = notebooks.run_all(ARGOCD, seconds=800)
    assert not faults(cells), "\n".join([*faults(cells), str(notebooks.screenshot(ARGOCD))])
    assert drawings(cells) >= 5
    look_at(notebooks, "Application churn-prod", "argocd-tree.png", request)
