"""Which Terratest a folder gets: itself where it can be had, else the stand-in, and why is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from iaclab import paths, terratest, tools

ROOT = paths.repo_root()
assert ROOT is not None
VERSION = "v0.50.0"


@pytest.fixture(autouse=True)
def nothing_is_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("IACLAB_TERRATEST", raising=False)
    for name, value in terratest.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tools, "ensure", lambda *names: {}, raising=False)
    monkeypatch.setattr(terratest, "_compile", lambda place: None)


def refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "attempt", lambda *names: {}, raising=False)
    monkeypatch.setattr(terratest, "why_not", lambda name: "the Go module proxy cannot be reached")


def test_terratest_itself_with_the_pinned_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "attempt", lambda *names: dict.fromkeys(names, tmp_path), raising=False)
    assert terratest.module(tmp_path / "tests") == f"Terratest {VERSION}"
    text = (tmp_path / "tests" / "go.mod").read_text()
    assert f"{terratest.PATH} {VERSION}\n" in text and "replace" not in text and "tool " not in text
    assert text.startswith("module course.local/tests\n")
    assert (tmp_path / "tests" / "go.sum").read_text() == (ROOT / "tools/go/terratest/go.sum").read_text()


def test_where_it_cannot_be_had_the_stand_in_and_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refused(monkeypatch)
    said = terratest.module(tmp_path / "tests")
    assert said.startswith("the course's stand-in") and "the Go module proxy cannot be reached" in said
    text = (tmp_path / "tests" / "go.mod").read_text()
    assert f"replace {terratest.PATH} => {ROOT / 'tools/terratest'}\n" in text
    assert text.startswith("module course.local/tests\n")


def test_the_stand_in_when_it_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "attempt", lambda *names: pytest.fail("Terratest was asked for"), raising=False)
    monkeypatch.setenv("IACLAB_TERRATEST", "stand-in")
    assert "IACLAB_TERRATEST asks for it" in terratest.module(tmp_path / "tests")


def test_the_two_agree_on_what_the_tests_import_beside_terratest() -> None:
    def required(path: str) -> dict[str, str]:
        lines = (line.split() for line in (ROOT / path).read_text().splitlines() if "// indirect" not in line)
        return {words[0]: words[1] for words in lines if len(words) == 2 and words[1].startswith("v")}

    itself, stand_in = required("tools/go/terratest/go.mod"), required("tools/terratest/go.mod")
    for name in ("github.com/stretchr/testify", "k8s.io/api", "k8s.io/apimachinery"):
        assert itself[name] == stand_in[name]
