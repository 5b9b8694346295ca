"""Argo CD's page in a tab of JupyterLab, as a learner comes to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser.argocd_ui import argocd_with_a_page
from notebook_page import PATIENCE, NotebookPage
from playwright.sync_api import Browser, expect

from iaclab.platform import lifecycle
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster
from iaclab.tools import found

START = "notebooks/00-start-here.ipynb"
pytestmark = pytest.mark.platform


@pytest.fixture
def profile(course: Path) -> Profile:
    """The one that JupyterLab and its terminals see; it ends with `iaclab lab`."""
    return Profile("default", state=course.parent / "state")


def test_the_launcher_opens_argo_cd_in_a_tab_which_says_what_is_missing(
    notebooks: NotebookPage, profile: Profile, request: pytest.FixtureRequest
) -> None:
    """It is not up: the tab says so. Once it is, the same tab shows its page, or that this build has none."""
    page = notebooks.page
    notebooks.wait_for(START, lambda notebook: notebook["kernel"] == "idle", PATIENCE, "its kernel did not get idle")
    page.evaluate("() => void window.jupyterapp.commands.execute('launcher:create')")
    page.locator(".jp-LauncherCard", has_text="Argo CD").click()
    tab = page.frame_locator(".jp-ServerProxy iframe")
    expect(tab.get_by_role("heading", name="Argo CD does not run.")).to_be_visible()
    expect(tab.locator("pre")).to_have_text("iaclab up argocd")

    lifecycle.up("argocd", profile=profile)
    installed = found.find("argocd")
    assert installed
    if installed.source == "go build":
        expect(tab.get_by_role("heading", name="This Argo CD has no web page.")).to_be_visible()
    else:
        expect(tab.get_by_label("Password")).to_be_visible()
    if folder := request.config.getoption("--pictures", None):  # unknown where all tests run
        page.screenshot(path=folder / "argocd-in-jupyterlab.png")


def test_a_page_of_argo_cds_server_logs_in_and_shows_what_happens_as_it_happens(
    chromium: Browser, lab: str, profile: Profile, tmp_path: Path
) -> None:
    """Its script by a relative address, its login by a cookie, its news by a stream: as Argo CD's own page works."""
    lifecycle.up("argocd", profile=profile)
    page = chromium.new_page()
    failed: list[str] = []
    page.on("pageerror", lambda error: failed.append(str(error)))
    with argocd_with_a_page(profile, tmp_path):
        page.goto(lab.replace("?token=", "argocd/page.html?token="), timeout=PATIENCE * 1000)
        page.get_by_label("Password").fill(profile.secret("argocd-admin"))
        page.get_by_role("button", name="Sign in").click()
        cluster.kube(profile).apply(
            [
                {
                    "apiVersion": "argoproj.io/v1alpha1",
                    "kind": "Application",
                    "metadata": {"name": "seen-in-the-browser", "namespace": "argocd"},
                    "spec": {
                        "project": "default",
                        "source": {"repoURL": "https://git.course.local/none.git", "path": "."},
                        "destination": {"server": "https://kubernetes.default.svc", "namespace": "none"},
                    },
                }
            ]
        )
        expect(page.locator("li", has_text="seen-in-the-browser").first).to_be_visible()
    assert not failed, failed
    page.close()
