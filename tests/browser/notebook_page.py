"""JupyterLab as its user sees it, with a look at the notebook's model, where every output is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

PATIENCE = 180  # seconds for what takes one or two on a machine that has nothing else to do
expect.set_options(timeout=PATIENCE * 1000)
_NOTEBOOK = """path => {
  const panel = [...window.jupyterapp.shell.widgets("main")].find(w => w.context && w.context.path === path);
  return panel && panel.context.isReady
    ? {kernel: panel.sessionContext.session?.kernel?.status ?? "none", ...panel.context.model.toJSON()}
    : null;
}"""

_PANEL = "[...window.jupyterapp.shell.widgets('main')].find(w => w.context && w.context.path === path)"
_SELECT = f"""([path, source]) => {{
  const panel = {_PANEL};
  const at = panel.content.widgets.findIndex(cell => cell.model.sharedModel.getSource().includes(source));
  if (at < 0) return false;
  window.jupyterapp.shell.activateById(panel.id);
  panel.content.deselectAll();
  panel.content.activeCellIndex = at;
  panel.content.mode = "command";
  panel.content.activate();
  return true;
}}"""
_ACTIVE = f"path => {_PANEL}.content.activeCell.model.sharedModel.getSource()"
_OPEN = "async path => { await window.jupyterapp.commands.execute('docmanager:open', {path}) }"


class NotebookPage:
    """A window with JupyterLab.

    Args:
        screenshots: the folder where a picture of each failure goes.
    """

    def __init__(self, page: Page, screenshots: Path) -> None:
        self.page, self.screenshots = page, screenshots
        page.wait_for_function("() => window.jupyterapp && window.jupyterapp.restored", timeout=PATIENCE * 1000)
        page.evaluate("async () => { await window.jupyterapp.restored }")

    def open(self, path: str) -> None:
        """Open a notebook; returns when its kernel is idle."""
        self.page.evaluate(_OPEN, path)
        self.wait_for(path, lambda notebook: notebook["kernel"] == "idle", PATIENCE, "its kernel did not get idle")

    def run_all(self, path: str, seconds: float) -> list[dict[str, Any]]:
        """Choose Run → Run All Cells; returns the code cells when the last one has run, or one has failed."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        notebook = self.wait_for(path, is_over, seconds, "its last cell has not run")
        return code_cells(notebook)

    def select(self, path: str, source: str) -> None:
        """Make the first cell that holds this text the active one, as the arrow keys would, with the keyboard on it."""
        found = self.page.evaluate(_SELECT, [path, source])
        assert found, f"{path} has no cell with {source!r}"

    def active_source(self, path: str) -> str:
        """The text of the cell that the next key goes to."""
        return str(self.page.evaluate(_ACTIVE, path))

    def wait_for(self, path: str, good: Any, seconds: float, otherwise: str) -> dict[str, Any]:
        """Poll the notebook's model until it is `good`; fails with a screenshot."""
        deadline = time.monotonic() + seconds
        while True:
            notebook = self.page.evaluate(_NOTEBOOK, path)
            if notebook and good(notebook):
                return dict(notebook)
            if time.monotonic() > deadline:
                state = notebook and {"kernel": notebook["kernel"], "next": _next_cell(notebook)}
                raise AssertionError(f"{path}: after {seconds:g} s {otherwise}: {state}; see {self.screenshot(path)}")
            self.page.wait_for_timeout(250)

    def screenshot(self, path: str) -> Path:
        """A picture of the window as it is now."""
        file = self.screenshots / f"{Path(path).stem}.png"
        self.page.screenshot(path=file)
        return file

    def picture(self, title: str) -> Locator:
        """The drawing with this title in the notebook that is open, in the middle of the window."""
        drawing = self.page.locator(".jp-NotebookPanel:not(.lm-mod-hidden) .jp-OutputArea svg[role=img]").filter(
            has=self.page.locator("title", has_text=title)
        )
        for _ in range(8):  # cells above get their height as they come into view, and push it out again
            drawing.first.evaluate("drawing => drawing.scrollIntoView({block: 'center'})")
            self.page.wait_for_timeout(200)
        expect(drawing.first).to_be_in_viewport()
        return drawing.first


def code_cells(notebook: dict[str, Any]) -> list[dict[str, Any]]:
    """The code cells of a notebook in nbformat, without empty ones; each source and text is one string."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code" and _text(cell["source"]).strip()]


def faults(cells: list[dict[str, Any]]) -> list[str]:
    """Every cell with an error among its outputs: its source, and what it says; and whether cells have not run."""
    found = []
    for cell in cells:
        errors = [_text(output["traceback"]) for output in cell["outputs"] if output["output_type"] == "error"]
        if errors:
            streams = [_text(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream"]
            found.append("\n".join([_text(cell["source"]), *streams, *errors])[-3000:])
    waiting = sum(cell["execution_count"] is None for cell in cells)
    return found + ([f"{waiting} cells have not run"] if waiting else [])


def drawings(cells: list[dict[str, Any]]) -> int:
    """How many outputs hold an SVG."""
    outputs = [output for cell in cells for output in cell["outputs"]]
    return sum("<svg" in _text(output.get("data", {}).get("text/html", "")) for output in outputs)


def is_over(notebook: dict[str, Any]) -> bool:
    """Whether every code cell has run, or one has failed."""
    cells = code_cells(notebook)
    failed = any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    return notebook["kernel"] == "idle" and (failed or all(cell["execution_count"] is not None for cell in cells))


def _next_cell(notebook: dict[str, Any]) -> str:
    return next((_text(c["source"]) for c in code_cells(notebook) if c["execution_count"] is None), "none")


def _text(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "\n".join(value)
