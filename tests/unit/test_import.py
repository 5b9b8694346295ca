"""`import iaclab` is quick, because it loads nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import iaclab

HEAVY = {
    "IPython",
    "bcrypt",
    "boto3",
    "cryptography",
    "httpx",
    "jupytext",
    "kubernetes",
    "nbformat",
    "pooch",
    "rich",
    "supervisor",
    "typer",
    "waitress",
    "yaml",
}


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter has loaded after `code`."""
    show = f"{code}\nimport json, sys; print(json.dumps(sorted({{name.split('.')[0] for name in sys.modules}})))"
    done = subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("code", ["import iaclab", "import iaclab; dir(iaclab)", "from iaclab import LabError"])
def test_importing_the_package_loads_no_heavy_module(code: str) -> None:
    heavy = loaded_by(code) & HEAVY
    assert not heavy, f"`{code}` loads {heavy}: import them where they are used"


@pytest.mark.parametrize("code", ["iaclab.prepare", "iaclab.check", "iaclab.show"])
def test_what_a_notebooks_first_cell_needs_leaves_out_what_it_does_not(code: str) -> None:
    heavy = loaded_by(f"import iaclab; {code}") & {"boto3", "jupytext", "kubernetes", "nbformat", "pooch", "supervisor"}
    assert not heavy, f"`{code}` loads {heavy}: import them where they are used"


@pytest.mark.parametrize("name", ["LabError", "Profile", "check", "down", "prepare", "reset", "show", "status", "up"])
def test_every_public_name_is_there_and_listed(name: str) -> None:
    assert getattr(iaclab, name) is not None
    assert name in dir(iaclab)


def test_a_name_stays_what_it_is_after_its_home_was_imported() -> None:
    code = (
        "import iaclab.preparation, iaclab.checks, iaclab.platform.lifecycle; assert callable(iaclab.{0}), iaclab.{0}"
    )
    for name in ("prepare", "check", "up", "down", "reset", "status"):
        subprocess.run([sys.executable, "-c", code.format(name)], check=True)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        iaclab.nothing_of_the_kind  # noqa: B018
