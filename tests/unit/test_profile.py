"""Ports, credentials and certificates of a profile."""

from __future__ import annotations

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from iaclab.platform.profile import Profile


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
