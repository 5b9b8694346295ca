"""A proxy in the user's environment is not asked for what listens on this machine."""

from __future__ import annotations

import pytest

from iaclab.platform.loopback import without_proxy
from iaclab.platform.profile import Profile

PROXY = "http://proxy.example:3128"
BOTH = "127.0.0.1,localhost"


@pytest.mark.parametrize(
    ("env", "added"),
    [
        ({}, {}),
        ({"no_proxy": "corp.example"}, {}),
        ({"http_proxy": PROXY}, {"no_proxy": BOTH, "NO_PROXY": BOTH}),
        ({"HTTPS_PROXY": PROXY}, {"no_proxy": BOTH, "NO_PROXY": BOTH}),
        ({"all_proxy": PROXY, "no_proxy": BOTH, "NO_PROXY": BOTH}, {}),
        ({"http_proxy": PROXY, "NO_PROXY": ".corp.example, localhost"}, dict.fromkeys(
            ("no_proxy", "NO_PROXY"), ".corp.example,localhost,127.0.0.1"
        )),
        ({"http_proxy": PROXY, "no_proxy": "*"}, {"NO_PROXY": "*"}),
    ],
)  # fmt: skip
def test_this_machine_is_excepted_beside_what_the_user_excepts(env: dict[str, str], added: dict[str, str]) -> None:
    assert without_proxy(env) == added
    assert without_proxy({**env, **added}) == {}


def test_a_learners_shell_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", PROXY)
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert Profile("proxied").env()["no_proxy"] == BOTH
