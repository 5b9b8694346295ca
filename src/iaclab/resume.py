"""`iaclab resume`: JupyterLab's page at the first check that has not passed, or the way to it."""

from __future__ import annotations

import contextlib
import webbrowser
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from iaclab import lab, paths
from iaclab.learning_path import Place


def address(place: Place, root: Path | None = None) -> str:
    """The page in the JupyterLab that shows `root` (default: this clone); empty where none runs.

    JupyterLab scrolls to the fragment by the clone's own extension, jupyter/labextensions/iaclab-resume.
    """
    server = lab.running((root or paths.repo_root() or Path()).resolve())
    if server is None:
        return ""
    url = urlsplit(lab.page(server))
    path = f"{url.path.rstrip('/')}/lab/tree/{quote(place.notebook)}"
    return urlunsplit((url.scheme, url.netloc, path, url.query, place.fragment.removeprefix("#")))


def go(place: Place, *, browser: bool) -> list[str]:
    """Open the page where JupyterLab runs and a browser can be had; returns the lines that say where to go on."""
    lines = [f"next      {place.says}"]
    url = address(place)
    if not url:
        return [*lines, f"notebook  {place.notebook}", "JupyterLab does not run: `make lab` starts it."]
    if browser:
        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(url)
    return [*lines, f"open      {url}"]
