"""What stands around Flux's controllers, as far as it needs no cluster: ranges of versions, artifacts, who runs."""

from __future__ import annotations

import gzip
import io
import tarfile
import time
from pathlib import Path

import pytest

from iaclab.platform.flux import controllers, semver
from iaclab.platform.flux.artifact import Store, digest, pack, unpack
from iaclab.platform.flux.git import File
from iaclab.platform.flux.publisher import seconds
from iaclab.platform.flux.receiver import _plain
from iaclab.platform.profile import Profile
from iaclab.platform.services import flux
from iaclab.tools.catalogue import catalogue

TAGS = [
    "v0.1.0",
    "v0.2.0",
    "v0.2.5",
    "1.0.0",
    "1.2.0",
    "v1.2.3",
    "1.10.0",
    "2.0.0-rc.1",
    "2.0.0-rc.11",
    "2.0.0",
    "main",
    "3",
]


@pytest.mark.parametrize(
    ("wanted", "tag"),
    [
        ("*", "3"),
        ("1.x", "1.10.0"),
        ("1.2.x", "v1.2.3"),
        ("1.2", "v1.2.3"),
        ("1", "1.10.0"),
        (">=1.0.0 <1.10.0", "v1.2.3"),
        (">= 1.0.0, < 1.10.0", "v1.2.3"),
        ("~1.2.0", "v1.2.3"),
        ("~1", "1.10.0"),
        ("^1.2", "1.10.0"),
        ("^0.2.1", "v0.2.5"),
        ("^0.1", "v0.1.0"),
        ("<=1.2", "v1.2.3"),
        (">1.2 <2", "1.10.0"),
        ("1.0.0 - 1.2.0", "1.2.0"),
        ("0.1.x || ~0.2.0", "v0.2.5"),
        (">=2.0.0-rc.0 <2.0.0", "2.0.0-rc.11"),
        ("!=3 >=2", "2.0.0"),
        ("=1.2.0", "1.2.0"),
        (">=4", None),
        (">1.10.0 <2.0.0", None),
    ],
)
def test_the_newest_version_in_a_range(wanted: str, tag: str | None) -> None:
    assert semver.newest(TAGS, wanted) == tag


@pytest.mark.parametrize("wanted", ["", "latest", ">=", "1.2.3.4", "||", "1.a"])
def test_what_is_no_range_is_said(wanted: str) -> None:
    with pytest.raises(ValueError, match=r"range of versions|not a version"):
        semver.newest(TAGS, wanted)


@pytest.mark.parametrize(("text", "value"), [("1m0s", 60), ("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5)])
def test_durations_of_go(text: str, value: float) -> None:
    assert seconds(text) == value


def test_two_ways_to_write_a_repository_are_one() -> None:
    assert len({_plain(u) for u in ("http://h:1/a.git", "http://h:1/a", "http://h:1/a/", "http://me@h:1/a.git")}) == 1
    assert _plain("http://h:1/a.git") != _plain("http://h:1/ab.git")


FILES = [File("a.yaml", False, b"a: 1\n"), File("bin/run", True, b"#!/bin/sh\n"), File("ü.txt", False, "ü".encode())]


def test_the_same_files_make_the_same_artifact() -> None:
    first = pack(FILES)
    time.sleep(1.1)  # gzip and tar keep seconds, if they keep any
    assert pack(FILES) == first
    assert digest(first) == "sha256:" + __import__("hashlib").sha256(first).hexdigest()
    assert unpack(first) == sorted(FILES, key=lambda file: file.path)
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(first))) as archive:
        assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in archive} == {(0, 0, "", "", 0)}
    assert digest(pack(FILES[:2])) != digest(first)


def test_the_store_keeps_two_artifacts_of_a_source_and_knows_harm(tmp_path: Path) -> None:
    store = Store(tmp_path, "http://127.0.0.1:1/token")
    made = [
        store.put("gitrepository/ns/app", f"c{n}", f"main@sha1:{n}", pack([File("f", False, bytes([n]))]))
        for n in range(4)
    ]
    assert [store.holds(artifact) for artifact in made] == [False, False, True, True]
    assert made[3]["url"] == f"{store.url}/gitrepository/ns/app/c3.tar.gz"
    assert made[3]["size"] == (tmp_path / made[3]["path"]).stat().st_size
    (tmp_path / made[3]["path"]).write_bytes(b"harmed")
    assert not store.holds(made[3])
    for path in ("../secret.tar.gz", "gitrepository/ns/app/.c2", "/etc/passwd", "gitrepository/ns"):
        assert store.file(path) is None
    store.forget("gitrepository/ns/app")
    assert not store.holds(made[2])


def test_every_controller_would_listen_on_loopback_and_hear_of_the_others(tmp_path: Path) -> None:
    """Their programs are not here to be asked; their flags are those of their documentation."""
    profile = Profile("flags", state=tmp_path)
    ports: list[str] = []
    for name in ("kustomize", "source", "helm", "notification", "image-reflector", "image-automation"):
        program = flux._controller(profile, f"{name}-controller", "/bin/x", notifies=True)
        addresses = [flag.partition("=") for flag in program.argv if "-addr=" in flag or "Addr=" in flag]
        assert {flag for flag, _, _ in addresses} >= {"--metrics-addr", "--health-addr", "--events-addr"}
        assert all(value.removeprefix("http://").startswith("127.0.0.1:") for _, _, value in addresses)
        assert all(port.startswith("flux.") for port in program.ports)
        assert program.acts
        ports += program.ports
    assert len(ports) == len(set(ports)) == 15
    events = f"127.0.0.1:{profile.port('flux.events')}"
    assert f"--events-addr=http://{events}" in flux._controller(profile, "helm-controller", "/bin/x", True).argv
    assert f"--events-addr={events}" in flux._controller(profile, "notification-controller", "/bin/x", True).argv
    assert "events-addr" not in " ".join(flux._controller(profile, "helm-controller", "/bin/x", False).argv)


BUILT = {"flux-kustomize-controller", "flux-kustomize-crds", "flux-source-crds"}  # the least that there is
IMAGES = {name for name in catalogue() if name.startswith("flux-")} - BUILT


@pytest.mark.parametrize(
    ("here", "runs", "why"),
    [
        (set(), [], {"source": "flux-source-controller is not here", "helm": "flux-helm-controller is not here"}),
        ({"flux-source-controller"}, ["source"], {"helm": "flux-helm-controller is not here"}),
        ({"flux-helm-controller", "flux-helm-crds"}, ["helm"], {"source": "flux-source-controller is not here"}),
        ({"flux-notification-controller"}, [], {"notification": "flux-notification-crds is not here"}),
        (
            {"flux-image-automation-controller", "flux-image-automation-crds"},
            [],
            {"image-automation": "it needs image-reflector-controller"},
        ),
        (IMAGES, ["source", "helm", "notification", "image-reflector", "image-automation"], {}),
    ],
    ids=["none", "source", "helm alone", "no CRDs", "automation alone", "all"],
)
def test_who_runs_and_why_the_others_do_not(here: set[str], runs: list[str], why: dict[str, str]) -> None:
    assert {"flux-source-controller"} | {
        f"flux-{name}-{what}"
        for name in ("helm", "notification", "image-reflector", "image-automation")
        for what in ("controller", "crds")
    } == IMAGES, "the catalogue names them as the service does"
    cast = controllers.cast(lambda name: Path(name) if name in BUILT | here else None)
    assert list(cast.programs) == [f"{name}-controller" for name in ["kustomize", *runs]]
    assert cast.publishes is ("source" not in runs)
    assert {name: cast.absent[f"{name}-controller"] for name in why} == why
    assert len(cast.programs) + len(cast.absent) == 6
    assert {str(path) for path in cast.crds} == {f"flux-{name}-crds" for name in ["kustomize", "source", *runs]}
    title = controllers.title(cast)
    assert ("source publisher" in title) is cast.publishes
    assert ("iaclab doctor" in title) is bool(cast.absent)
