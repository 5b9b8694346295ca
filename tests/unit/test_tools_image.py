"""Programs out of container images, from a real registry on loopback: the right one, verified, or nothing."""

from __future__ import annotations

import gzip
import json
import os
import signal
import socket
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import mirror as misbehaviour
import pytest
from gomodules import GO, go_environment, publish, tool_module
from images import MEMBER, OTHER, REGISTRY, Front, Pushed, Registry, digest_of, file, folder, layer, push, special
from mirror import Mirror
from test_tools_release import said
from toolbox import SITE, Toolbox, program, sha256, until

from iaclab import tools
from iaclab.errors import LabError
from iaclab.tools import found, image, install
from iaclab.tools import layer as reader
from iaclab.tools.catalogue import arch, tool

linux = pytest.mark.skipif(sys.platform != "linux", reason="the strategy is for Linux; that macOS says so is tested")
GREETER = '[tools.greeter]\nversion = "1.2.3"\n'
BODY = program("greeter", "1.2.3")
GOOD = [layer(folder("usr"), file("etc/os-release")), layer(file(MEMBER, BODY))]


@pytest.fixture(scope="session")
def server() -> Path:
    """The registry's program."""
    return tools.ensure("oci-registry", quiet=True)["oci-registry"]


@pytest.fixture(scope="module")
def registry(server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    with Registry(server, tmp_path_factory.mktemp("registry")) as registry:
        yield registry


@pytest.fixture
def box(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    """A toolbox whose mirror has the registry behind it."""
    with Mirror() as mirror:
        mirror.files = Front(registry)
        box = Toolbox(tmp_path, monkeypatch, mirror)
        yield box


def get(box: Toolbox, name: str = "greeter") -> Path:
    return tools.ensure(name, quiet=True)[name]


def why(box: Toolbox) -> str:
    """The one reason why `greeter` cannot be installed; nothing is left, nothing is pinned."""
    with pytest.raises(LabError) as error:
        get(box)
    assert error.value.what == "greeter cannot be installed."
    assert len(error.value.why.splitlines()) == 1, "one reason, one line"
    assert not box.leftovers()
    assert not box.notes("tools.lock.json")
    return error.value.why


# --- What comes out of an image -------------------------------------------------------------------------------------


@linux
def test_the_program_for_this_machine_comes_out_of_the_image_and_runs(box: Toolbox, registry: Registry) -> None:
    box.add(GREETER + push(registry, GOOD).entry)
    path = get(box)
    assert said(path) == "greeter version 1.2.3\n"
    assert path.stat().st_mode & 0o777 == 0o755
    installed = tools.find("greeter")
    assert installed and installed.source == "image"
    assert sorted(p.name for p in path.parent.iterdir()) == [".source", "greeter"]
    assert not box.leftovers()


@linux
def test_the_registry_itself_may_be_the_mirror(
    box: Toolbox, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IACLAB_MIRROR", registry.url)
    box.add(GREETER + push(registry, GOOD).entry)
    assert said(get(box)) == "greeter version 1.2.3\n"


@linux
def test_a_mirror_may_have_a_path_which_stands_before_the_reference(
    box: Toolbox, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IACLAB_MIRROR", f"{registry.url}/some/mirror/")
    name = "tools/greeter"
    registry.image(f"some/mirror/{REGISTRY}/{name}", GOOD, tag="v1.2.3")
    box.add(f'{GREETER}image = {{ ref = "{REGISTRY}/{name}", member = "{MEMBER}" }}\n')
    assert said(get(box)) == "greeter version 1.2.3\n"


@linux
def test_only_the_layers_from_the_last_one_down_to_the_program_are_downloaded(box: Toolbox, registry: Registry) -> None:
    pushed = push(registry, [*GOOD, layer(file("etc/motd", b"hello"))])
    box.add(GREETER + pushed.entry)
    get(box)
    asked = [digest for digest in pushed.layers if pushed.path("blobs", digest) in box.mirror.asked]
    assert asked == pushed.layers[1:], "the lowest layer cannot matter"


OLD = file(MEMBER, program("greeter", "0.0.1"))
NEW = file(MEMBER, BODY)
WINS = {
    "the last layer that holds it": [layer(OLD), layer(NEW), layer(file("etc/motd"))],
    "a layer that is not compressed": [layer(OLD), layer(NEW, kind="")],
    "the last of two in one layer": [layer(OLD, NEW)],
    "names that begin with a dot": [layer(folder("./usr"), file(f"./{MEMBER}", BODY))],
    "names that begin with a slash": [layer(file(f"/{MEMBER}", BODY))],
    "made anew after its deletion": [layer(OLD), layer(file("usr/local/bin/.wh.greeter")), layer(NEW)],
    "made anew in an opaque folder": [layer(OLD), layer(NEW, file("usr/local/bin/.wh..wh..opq"))],
    "its neighbour deleted": [layer(NEW), layer(file("usr/local/bin/.wh.greet"), file("usr/.wh.lib"))],
    "another folder opaque": [layer(NEW), layer(file("usr/lib/.wh..wh..opq"), file("opt/usr/.wh.local"))],
}


@linux
@pytest.mark.parametrize("case", WINS)
def test_layers_lie_upon_each_other_as_in_a_container(box: Toolbox, registry: Registry, case: str) -> None:
    box.add(GREETER + push(registry, WINS[case]).entry)
    assert said(get(box)) == "greeter version 1.2.3\n"


GONE = [
    "usr/local/bin/.wh.greeter",
    "usr/local/.wh.bin",
    ".wh.usr",
    "usr/local/bin/.wh..wh..opq",
    "usr/.wh..wh..opq",
    ".wh..wh..opq",
    "./usr/local/bin/.wh.greeter",
]


@linux
@pytest.mark.parametrize("whiteout", GONE)
def test_what_a_later_layer_deletes_is_not_in_the_image(box: Toolbox, registry: Registry, whiteout: str) -> None:
    box.add(GREETER + push(registry, [layer(NEW), layer(file(whiteout)), layer(file("etc/motd"))]).entry)
    assert f"has no {MEMBER}: a layer deletes it" in why(box)


REFUSED = {
    "a symbolic link": ([layer(special(MEMBER, tarfile.SYMTYPE, "/bin/sh"))], "greeter is a link in the image"),
    "a hard link": ([layer(file("a", BODY), special(MEMBER, tarfile.LNKTYPE, "a"))], "greeter is a link in the image"),
    "a folder": ([layer(folder(MEMBER))], "greeter is something else in the image, not a file"),
    "a device": ([layer(special(MEMBER, tarfile.CHRTYPE))], "greeter is something else in the image, not a file"),
    "a link on its way": (
        [layer(NEW), layer(special("usr/local", tarfile.SYMTYPE, "/tmp"))],
        "usr/local is a link in the image, not a folder",
    ),
    "a link on its way in its own layer": (
        [layer(special("usr/local", tarfile.SYMTYPE, "../../tmp"), NEW)],
        "usr/local is a link in the image, not a folder",
    ),
    "a file on its way": ([layer(NEW), layer(file("usr/local"))], "usr/local is something else in the image"),
    "not there at all": ([layer(file("usr/local/bin/other"))], f"has no {MEMBER}"),
}


@linux
@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_plain_file_is_refused(box: Toolbox, registry: Registry, case: str) -> None:
    layers, words = REFUSED[case]
    box.add(GREETER + push(registry, layers).entry)
    assert words in why(box)


@linux
def test_a_layer_writes_nothing_but_the_program(box: Toolbox, registry: Registry, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    evil = [file(f"../../../../../../../../{outside}"), file(str(outside)), file("usr/local/bin/../../../../outside")]
    box.add(GREETER + push(registry, [layer(*evil, NEW, *evil)]).entry)
    path = get(box)
    assert sorted(p.name for p in path.parent.iterdir()) == [".source", "greeter"]
    assert not outside.exists()
    assert not list(tmp_path.rglob("outside"))


# --- For which machine ----------------------------------------------------------------------------------------------


@linux
def test_an_image_of_one_platform_needs_no_index(box: Toolbox, registry: Registry) -> None:
    registry.image(f"{REGISTRY}/single", GOOD, tag="v1.2.3")
    box.add(f'{GREETER}image = {{ ref = "{REGISTRY}/single", member = "{MEMBER}" }}\n')
    assert said(get(box)) == "greeter version 1.2.3\n"


@linux
@pytest.mark.parametrize("indexed", [True, False], ids=["an index", "one platform"])
def test_an_image_for_other_machines_only_says_for_which(box: Toolbox, registry: Registry, indexed: bool) -> None:
    name = f"elsewhere-{indexed}".lower()
    other = registry.image(f"{REGISTRY}/{name}", GOOD, OTHER, tag="" if indexed else "v1.2.3")
    if indexed:
        registry.index(f"{REGISTRY}/{name}", [other])
    box.add(f'{GREETER}image = {{ ref = "{REGISTRY}/{name}", member = "{MEMBER}" }}\n')
    assert f"{name} has no image for linux/{arch()}, only for linux/{OTHER}" in why(box)


def test_macos_is_told_that_the_programs_in_images_are_for_linux(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "system", lambda: "darwin")
    box.add(f'{GREETER}image = {{ ref = "{REGISTRY}/any", member = "{MEMBER}" }}\n')
    assert why(box) == "image: the programs in container images are for Linux"
    assert not box.mirror.asked


# --- Pinned by digest -----------------------------------------------------------------------------------------------


@linux
def test_the_first_download_pins_the_digest_and_says_so(
    box: Toolbox, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    tools.ensure("greeter")
    assert "1.2.3 from the image; no digest in the catalogue: pinned on first download" in capsys.readouterr().err
    ((key, note),) = box.notes("tools.lock.json").items()
    assert key == "greeter 1.2.3 image"
    assert (note["digest"], note["image"]) == (pushed.digest, f"{REGISTRY}/{pushed.repository}")


@linux
def test_from_then_on_that_image_comes_whatever_its_tag_says(box: Toolbox, registry: Registry) -> None:
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    (get(box).parent / ".source").unlink()  # as if it were not here
    moved = push(registry, [layer(file(MEMBER, BODY + b"# another\n"))], pushed.repository)
    assert moved.digest != pushed.digest
    box.mirror.asked.clear()
    assert get(box).read_bytes() == BODY
    assert pushed.path("manifests", "v1.2.3") not in box.mirror.asked, "the tag was asked for, pinned as it is"


@linux
def test_a_pinned_image_that_comes_with_another_content_is_refused(box: Toolbox, registry: Registry) -> None:
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    (get(box).parent / ".source").unlink()
    moved = push(registry, [layer(file(MEMBER, BODY + b"# another\n"))], pushed.repository)
    box.mirror.files[pushed.path("manifests", pushed.digest)] = box.mirror.files.get(moved.path("manifests", "v1.2.3"))
    with pytest.raises(LabError, match="has another content than") as error:
        get(box)
    assert "tools.lock.json (an earlier download) names" in error.value.why, "name the file that holds the pin"


@linux
@pytest.mark.parametrize("key", ["any", f"linux-{arch()}"])
def test_the_catalogue_pins_an_index_or_the_image_of_a_platform(box: Toolbox, registry: Registry, key: str) -> None:
    pushed = push(registry, GOOD)
    push(registry, [layer(file(MEMBER, BODY + b"# another\n"))], pushed.repository)  # the tag has moved
    digest = pushed.digest if key == "any" else pushed.manifest
    box.add(GREETER + pushed.entry.replace(" }", f', digest = {{ {key} = "{digest}" }} }}'))
    assert get(box).read_bytes() == BODY
    said_by_doctor = box.run("doctor").stdout
    assert "no digest in the catalogue" not in said_by_doctor


@linux
def test_what_does_not_say_the_wanted_version_is_neither_kept_nor_pinned(box: Toolbox, registry: Registry) -> None:
    box.add(GREETER + push(registry, [layer(OLD)]).entry)
    assert why(box) == "image: the program says it is 0.0.1, not 1.2.3"


# --- Registries that fail -------------------------------------------------------------------------------------------


def at(kind: str, part: str, behaviour: misbehaviour.Behaviour) -> Callable[[Toolbox, Pushed], None]:
    """The mirror misbehaves at the tag, the manifest for this machine, its configuration or its last layer."""

    def sabotage(box: Toolbox, pushed: Pushed) -> None:
        box.mirror.behaves[pushed.path(kind, digest_in(pushed, part))] = behaviour

    return sabotage


def digest_in(pushed: Pushed, part: str) -> str:
    return {"tag": "v1.2.3", "manifest": pushed.manifest, "layer": pushed.layers[-1]}[part]


def holds(kind: str, part: str, body: bytes | dict[str, Any]) -> Callable[[Toolbox, Pushed], None]:
    """The mirror has something else there."""

    def sabotage(box: Toolbox, pushed: Pushed) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        box.mirror.files[pushed.path(kind, digest_in(pushed, part))] = content

    return sabotage


DOCUMENT = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json"}
HUGE = {"digest": digest_of(b"huge"), "size": 5 << 30, "platform": {"os": "linux", "architecture": arch()}}
PATH = {**HUGE, "digest": "sha256:../../../../etc/passwd", "size": 10}
FAILS = {
    "the tag: 404": (at("manifests", "tag", misbehaviour.missing), "manifests/v1.2.3 answers 404"),
    "the tag: 500": (at("manifests", "tag", misbehaviour.broken), "manifests/v1.2.3 answers 500"),
    "the tag: silent": (at("manifests", "tag", misbehaviour.silent), "does not answer within 2 s"),
    "the tag: truncated": (at("manifests", "tag", misbehaviour.truncated), "the connection ended before the file did"),
    "the tag: no JSON": (holds("manifests", "tag", b"<html>"), "its manifest is damaged"),
    "the tag: a list": (holds("manifests", "tag", b"[]"), "its manifest is damaged"),
    "the tag: a strange list of platforms": (
        holds("manifests", "tag", {"manifests": ["linux/amd64"]}),
        "its manifest is damaged",
    ),
    "the tag: a strange list of layers": (
        holds("manifests", "tag", {"manifests": [{"platform": HUGE["platform"], "digest": 1}]}),
        "its manifest is damaged",
    ),
    "the tag: an old form": (
        holds("manifests", "tag", {"schemaVersion": 1, "mediaType": "application/old"}),
        "is of a form that is not known here (application/old)",
    ),
    "the tag: endless": (holds("manifests", "tag", b" " * (5 << 20)), "has more than the 4194304 bytes"),
    "a digest that is a path": (holds("manifests", "tag", {"manifests": [PATH]}), "which is no SHA-256"),
    "the manifest: 404": (at("manifests", "manifest", misbehaviour.missing), "answers 404"),
    "the manifest: another": (
        holds("manifests", "manifest", {**DOCUMENT, "layers": []}),
        "has another content than sha256:",
    ),
    "a part too large": (holds("manifests", "tag", {"manifests": [HUGE]}), "has 5368709120 bytes"),
    "the layer: 404": (at("blobs", "layer", misbehaviour.missing), "answers 404"),
    "the layer: silent": (at("blobs", "layer", misbehaviour.silent), "does not answer within 2 s"),
    "the layer: stalled": (at("blobs", "layer", misbehaviour.stalled), "does not answer within 2 s"),
    "the layer: truncated": (
        at("blobs", "layer", misbehaviour.truncated),
        "the connection ended before the file did",
    ),
    "the layer: shorter": (holds("blobs", "layer", GOOD[1][:-1]), "has another content than sha256:"),
    "the layer: longer": (holds("blobs", "layer", GOOD[1] + b"!"), "bytes that it may have"),
    "the layer: another": (holds("blobs", "layer", b"x" * len(GOOD[1])), "which its manifest names"),
    "the layer: in a circle": (
        lambda box, pushed: box.mirror.behaves.update(
            {p: misbehaviour.moved_to(p) for p in [pushed.path("blobs", pushed.layers[-1])]}
        ),
        "redirects in a circle",
    ),
}


@linux
@pytest.mark.parametrize("case", FAILS)
def test_a_registry_that_fails_is_one_clear_error_and_leaves_nothing(
    box: Toolbox, registry: Registry, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    sabotage, words = FAILS[case]
    if case.endswith(("silent", "stalled")):
        monkeypatch.setenv("IACLAB_TIMEOUT", "2")
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    sabotage(box, pushed)
    assert words in why(box)
    assert not (box.cache / "bin" / "greeter").exists()


@linux
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"no archive at all", "a layer is damaged"),
        (b"\x1f\x8b no gzip", "a layer is damaged"),
        (GOOD[1][:-20], "a layer is damaged"),
        (b"\x28\xb5\x2f\xfd more", "packed with zstd"),
    ],
    ids=["no archive", "no gzip", "cut off", "zstd"],
)
def test_a_layer_that_cannot_be_read_is_said_so(box: Toolbox, registry: Registry, body: bytes, words: str) -> None:
    box.add(GREETER + push(registry, [body]).entry)
    assert words in why(box)


@linux
def test_a_layer_that_unpacks_to_too_much_is_given_up(
    box: Toolbox, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LARGEST", 1 << 30)
    out = tarfile.TarInfo("zeros")
    out.size = 3 << 30
    bomb = gzip.compress(out.tobuf()) + gzip.compress(bytes(1 << 26), 1) * 48
    box.add(GREETER + push(registry, [bomb]).entry)
    assert "a layer unpacks to more than 1 GB" in why(box)


@linux
def test_a_registry_that_cannot_be_reached_is_named_once_for_all_tools(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = closed.getsockname()[1]
        monkeypatch.setenv("IACLAB_MIRROR", f"http://127.0.0.1:{port}")
        for name in ("one", "two", "three"):
            box.add(f'[tools.{name}]\nversion = "1.0.0"\nimage = {{ ref = "{REGISTRY}/{name}", member = "{name}" }}\n')
        with pytest.raises(LabError) as error:
            tools.ensure("one", "two", "three", quiet=True)
    assert error.value.why == f"image: 127.0.0.1:{port} cannot be reached (3 tools)"


@linux
def test_a_blob_may_lie_elsewhere(box: Toolbox, registry: Registry) -> None:
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    box.mirror.files["/storage/blob"] = GOOD[1]
    box.mirror.behaves[pushed.path("blobs", pushed.layers[-1])] = misbehaviour.moved_to("/storage/blob")
    assert said(get(box)) == "greeter version 1.2.3\n"


@linux
def test_ctrl_c_in_a_download_leaves_nothing_and_says_one_line(box: Toolbox, registry: Registry) -> None:
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    blob = pushed.path("blobs", pushed.layers[-1])
    box.mirror.behaves[blob] = misbehaviour.stalled
    process = box.start("tools", "install", "greeter", IACLAB_TIMEOUT="600")
    until(lambda: blob in box.mirror.asked and box.leftovers(), "the download of the layer has begun")
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)  # far less than the timeout of the dead connection
    assert process.returncode == 130, out + err
    first, last = err.splitlines()
    assert first == f"greeter: image from {urlsplit(box.mirror.url).netloc}"
    assert last == "Stopped. What was finished is kept; run the command again to go on."
    assert not box.leftovers()


# --- Logging in -----------------------------------------------------------------------------------------------------


class Tokens:
    """Hands out tokens for a registry, to whom has no name too; `asked` are the queries, with who asked."""

    def __init__(self, folder: Path) -> None:
        from joserfc.jwk import ECKey, KeySet

        self.key = ECKey.generate_key("P-256", {"kid": "test", "use": "sig", "alg": "ES256"})
        self.asked: list[tuple[dict[str, list[str]], str | None]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        (folder / "keys.json").write_text(json.dumps(KeySet([self.key]).as_dict(private=False)))
        self.settings = {
            "token": {
                "realm": f"http://127.0.0.1:{self._server.server_port}/token",
                "service": "registry.test",
                "issuer": "tokens.test",
                "jwks": str(folder / "keys.json"),
            }
        }

    def __enter__(self) -> Tokens:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _token(self, query: dict[str, list[str]]) -> str:
        from joserfc import jwt

        kind, name, actions = query["scope"][0].split(":")
        access = [{"type": kind, "name": name, "actions": actions.split(",")}]
        now = int(time.time())
        claims = {"iss": "tokens.test", "sub": "", "aud": query["service"][0], "nbf": now, "exp": now + 60}
        return jwt.encode({"alg": "ES256", "kid": "test"}, {**claims, "access": access}, self.key)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tokens = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                query = parse_qs(urlsplit(self.path).query)
                tokens.asked.append((query, self.headers["Authorization"]))
                body = json.dumps({"token": tokens._token(query)}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Nothing: the test reads `asked`."""

        return Handler


@linux
def test_a_registry_that_wants_a_token_gives_one_to_everybody(
    box: Toolbox, registry: Registry, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    with Tokens(tmp_path) as tokens, Registry(server, tmp_path / "r", registry.data, auth=tokens.settings) as closed:
        assert closed.read("/v2/") is None, "the registry is open to all: the test tests nothing"
        monkeypatch.setenv("IACLAB_MIRROR", closed.url)
        assert said(get(box)) == "greeter version 1.2.3\n"
    assert tokens.asked == [
        ({"service": ["registry.test"], "scope": [f"repository:{REGISTRY}/{pushed.repository}:pull"]}, None)
    ]


@linux
def test_a_token_that_expires_between_two_layers_is_asked_for_again(
    box: Toolbox, registry: Registry, tmp_path: Path
) -> None:
    pushed = push(registry, [GOOD[1], layer(file("etc/motd"))])
    box.add(GREETER + pushed.entry)
    valid: list[str] = []

    def with_token(handler: Any, body: bytes) -> None:
        """Each token is good for three answers."""
        token = (handler.headers["Authorization"] or "").removeprefix("Bearer ")
        if token and token == f"token-{len(valid) // 3}":
            valid.append(token)
            handler.start(len(body))
            handler.wfile.write(body)
            return
        realm = f"{box.mirror.url}/token-{len(valid) // 3}"
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", f'Bearer realm="{realm}",service="s",scope="x"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    for number in range(3):
        path = f"/token-{number}?service=s&scope=x"
        box.mirror.files[path] = json.dumps({"token": f"token-{number}"}).encode()
    for kind, reference in [("manifests", "v1.2.3"), ("manifests", pushed.manifest)]:
        box.mirror.behaves[pushed.path(kind, reference)] = with_token
    for digest in pushed.layers:
        box.mirror.behaves[pushed.path("blobs", digest)] = with_token
    assert said(get(box)) == "greeter version 1.2.3\n"
    assert valid == ["token-0"] * 3 + ["token-1"]


@linux
def test_an_image_that_is_not_public_is_said_so(
    box: Toolbox, registry: Registry, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "users").write_text("learner:$2b$04$abcdefghijklmnopqrstuu5V7kq0Dk1sDnbmIe0pXhYtq3oCqgvoK\n")
    auth = {"htpasswd": {"realm": "oci", "path": str(tmp_path / "users")}}
    with Registry(server, tmp_path / "r", registry.data, auth=auth) as closed:
        monkeypatch.setenv("IACLAB_MIRROR", closed.url)
        pushed = push(registry, GOOD)
        box.add(GREETER + pushed.entry)
        site = urlsplit(closed.url).netloc
        assert why(box) == f"image: {site}/{REGISTRY}/{pushed.repository} is not public: {site} wants a login"


@linux
def test_no_password_of_the_user_is_ever_sent(
    box: Toolbox, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker's configuration and .netrc hold passwords for the very registry; they are not for a course to use."""
    seen = []

    def noted(handler: Any, body: bytes) -> None:
        seen.append(handler.headers["Authorization"])
        handler.start(len(body))
        handler.wfile.write(body)

    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry)
    for path in [pushed.path("manifests", "v1.2.3"), *(pushed.path("blobs", digest) for digest in pushed.layers)]:
        box.mirror.behaves[path] = noted
    host = urlsplit(box.mirror.url).netloc
    (tmp_path / ".netrc").write_text(
        f"machine 127.0.0.1 login me password secret\nmachine {host} login me password s\n"
    )
    (tmp_path / ".docker").mkdir()
    (tmp_path / ".docker" / "config.json").write_text(json.dumps({"auths": {host: {"auth": "bWU6c2VjcmV0"}}}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / ".docker"))
    get(box)
    assert seen == [None, None]


@linux
def test_without_a_mirror_the_registry_itself_is_asked_by_tls(
    box: Toolbox, registry: Registry, server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import trustme

    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    issued = authority.issue_cert("localhost")
    issued.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    issued.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    tls = {"certificate": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem")}
    monkeypatch.delenv("IACLAB_MIRROR")
    registry.image("plain/greeter", GOOD, tag="v1.2.3")
    with Registry(server, tmp_path / "r", registry.data, tls=tls) as secure:
        site = urlsplit(secure.url).netloc
        box.add(f'{GREETER}image = {{ ref = "{site}/plain/greeter", member = "{MEMBER}" }}\n')
        assert why(box) == f"image: {site} has a certificate that is not trusted here"
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
        assert said(get(box)) == "greeter version 1.2.3\n"


# --- Among the other sources ----------------------------------------------------------------------------------------


@linux
def test_an_image_is_tried_before_a_go_build_which_stands_in_where_it_fails(
    box: Toolbox, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in go_environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("iaclab.tools.gobuild.TOOLCHAIN", "local")
    source = 'package main\n\nfunc main() { println("greeter version 1.2.3, built") }\n'
    publish(tmp_path, "lab.test/greeter", "v1.2.3", {"main.go": source})
    tool_module(box.clone, "hello", "lab.test/greeter", "v1.2.3", ["lab.test/greeter"])
    pushed = push(registry, GOOD)
    box.add(GREETER + pushed.entry + 'go = { module = "hello", package = "lab.test/greeter" }\n' + GO)
    assert get(box).read_bytes() == BODY
    (box.cache / "tools" / "greeter" / "1.2.3" / ".source").unlink()
    box.mirror.behaves[pushed.path("manifests", pushed.digest)] = misbehaviour.broken
    get(box)
    installed = tools.find("greeter")
    assert installed and installed.source == "go build"
    assert not box.leftovers()


@linux
def test_only_images_where_iaclab_tools_from_says_so(
    box: Toolbox, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    box.serve("/greeter", BODY)
    box.add(GREETER + f'release.any = {{ url = "https://{SITE}/greeter", sha256 = {{ any = "{sha256(BODY)}" }} }}\n')
    box.add(push(registry, GOOD).entry)
    monkeypatch.setenv("IACLAB_TOOLS_FROM", "image")
    get(box)
    installed = tools.find("greeter")
    assert installed and installed.source == "image"
    assert f"/{SITE}/greeter" not in box.mirror.asked


def test_offline_no_registry_is_asked(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_OFFLINE", "1")
    box.add(f'{GREETER}image = {{ ref = "{REGISTRY}/any", member = "{MEMBER}" }}\n')
    assert "IACLAB_OFFLINE" in why(box)
    assert box.mirror.asked == []


OPTIONAL = f"""
[tools.controller]
version = "1.0.0"
version_command = []
optional = true
image = {{ ref = "{REGISTRY}/controller", member = "{MEMBER}" }}
"""


@linux
def test_an_optional_tool_that_cannot_be_had_is_no_fault_and_its_reason_is_told(
    box: Toolbox, registry: Registry
) -> None:
    box.add(GREETER + push(registry, GOOD).entry + OPTIONAL)
    listed = box.run("tools", "list").stdout
    assert "not here  controller: nothing has asked for it yet" in listed
    assert "mend      iaclab tools install\n" in listed, "an optional tool does not have to be mended"
    done = box.run("tools", "install")
    assert done.returncode == 0, done.stderr
    assert "1 tool is in place" in done.stdout
    assert "Optional and not here: controller (`iaclab doctor` says why)." in done.stdout
    report = box.run("doctor")
    assert report.returncode == 0
    assert "optional  iaclab tools install controller" in report.stdout
    assert "not here  controller: image: " in report.stdout and "answers 404" in report.stdout
    assert "mend" not in report.stdout
    assert "note      greeter, controller: no digest in the catalogue: pinned on first download" in report.stdout


@linux
def test_a_program_without_a_version_to_ask_for_is_taken_as_its_digest_vouches(
    box: Toolbox, registry: Registry
) -> None:
    box.add(OPTIONAL)
    assert tools.attempt("controller", quiet=True) == {}
    assert "answers 404" in install.why_not("controller")
    registry.image(f"{REGISTRY}/controller", [layer(file(MEMBER, b"\x7fELF no program"))], tag="v1.0.0")
    assert tools.attempt("controller", quiet=True) == {"controller": box.cache / "tools/controller/1.0.0/controller"}
    assert os.access(box.cache / "bin" / "controller", os.X_OK)


@linux
def test_asked_for_by_name_an_optional_tool_that_cannot_be_had_is_an_error(box: Toolbox) -> None:
    box.add(OPTIONAL.replace(f"{REGISTRY}/controller", f"{REGISTRY}/no-such"))
    done = box.run("tools", "install", "controller")
    assert done.returncode == 1
    assert "Error: controller cannot be installed." in done.stderr


def test_the_digits_of_its_folder_are_not_taken_for_a_programs_version(server: Path, tmp_path: Path) -> None:
    """Distribution's registry prints the path that it was called by before its version."""
    link = tmp_path / "9.9.9" / "oci-registry"
    link.parent.mkdir()
    link.symlink_to(server)
    assert "9.9.9" in said(link)
    assert found.version_of(tool("oci-registry"), link) == tool("oci-registry").version
