"""Ports, credentials and certificates of a profile."""

from __future__ import annotations

import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from iaclab.errors import LabError
from iaclab.platform.profile import Profile, write_private


def test_services_that_start_side_by_side_share_one_authority_and_lose_no_port() -> None:
    profile = Profile("race")
    names = [f"service-{n}" for n in range(12)]

    def set_up(name: str) -> Path:
        profile.port(name)
        return profile.certificate(name, "127.0.0.1")[0]

    with ThreadPoolExecutor(12) as pool:
        certificates = list(pool.map(set_up, names))
    authority = x509.load_pem_x509_certificate(profile.ca.read_bytes())
    for certificate in certificates:
        issued = x509.load_pem_x509_certificate(certificate.read_bytes())
        issued.verify_directly_issued_by(authority)  # raises on another authority's signature
        key = load_pem_private_key(certificate.with_suffix(".key").read_bytes(), None)
        assert key.public_key() == issued.public_key()
    assert len(set(profile.ports.values())) == len(names)


def test_what_is_secret_is_for_the_owner_alone() -> None:
    profile = Profile("private")
    profile.secret("admin")
    profile.certificate("server", "127.0.0.1")
    files = [p for p in profile.root.rglob("*") if p.is_file()]
    assert files
    assert {stat.S_IMODE(p.stat().st_mode) for p in files} == {0o600}


def test_profiles_differ_in_their_credentials() -> None:
    assert Profile("one").secret("admin") != Profile("two").secret("admin")
    assert Profile("one").secret("admin") == Profile("one").secret("admin")


def test_a_profile_keeps_its_state_folder_when_the_environment_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    profile = Profile("kept")
    root = profile.root
    monkeypatch.setenv("IACLAB_STATE", "/elsewhere")
    assert profile.root == root
    assert Profile("kept").root == Path("/elsewhere/profiles/kept")


@pytest.mark.parametrize("name", ["", "../up", "a/b", "Upper", "a b", "-a", "a-", "x" * 33, "a\n"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(LabError, match="is not a profile name"):
        Profile(name)


def test_a_new_port_is_never_one_that_is_kept_for_a_stopped_service() -> None:
    profile = Profile("ports")
    kept = profile.new_ports([f"service-{n}" for n in range(50)])
    for _ in range(50):
        new = profile.new_ports(["moving"])["moving"]
        assert new not in kept.values()
    assert profile.port("service-7") == kept["service-7"]


def test_ports_that_cannot_be_read_are_chosen_anew() -> None:
    profile = Profile("broken")
    profile.port("one")
    (profile.root / "ports.json").write_text('{"one": 12')
    assert profile.port("one") > 0
    assert profile.ports.keys() == {"one"}


def test_a_file_is_replaced_whole_or_not_at_all() -> None:
    profile = Profile("whole")
    path = profile.folder("a") / "file"
    write_private(path, "old")
    (profile.folder("b") / "file").mkdir()
    with pytest.raises(LabError, match="cannot be written"):
        write_private(profile.root / "b" / "file", "new")
    assert [p.name for p in (profile.root / "b").iterdir()] == ["file"], "the half-written file is left"
    assert path.read_text() == "old"


def test_a_file_that_others_could_read_is_closed_when_the_same_is_written_again() -> None:
    path = Profile("closed").folder() / "file"
    write_private(path, "key")
    path.chmod(0o644)
    write_private(path, "key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.chmod(0o700)
    write_private(path, "key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o700, "a script stays one"


def test_looking_at_a_profile_makes_nothing(tmp_path: Path) -> None:
    code = "from iaclab.platform import lifecycle; print({s.state for s in lifecycle.status()}); lifecycle.down()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "{'stopped'}"
    assert not (tmp_path / "state").exists()


def test_sockets_lie_in_a_short_folder_of_the_owner() -> None:
    profile = Profile("a-name-of-some-twenty-characters")
    folder = profile.run_dir
    assert folder == profile.run_dir
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert len(str(folder / "supervisor.sock.1234567")) < 100
    folder.rmdir()
    assert profile.run_dir.is_dir(), "an emptied /tmp"
    profile.run_dir.rmdir()
