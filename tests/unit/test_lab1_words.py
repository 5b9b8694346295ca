"""What lab 1 says to outputs of another type than it asks for: words, not the error of a program."""

from __future__ import annotations

from typing import Any

import pytest

from iaclab.checks.lab1 import judge, look
from iaclab.checks.lab1.look import State
from iaclab.checks.lab1.spec import ENVIRONMENTS
from iaclab.errors import LabError
from iaclab.platform.profile import Profile

DEV = ENVIRONMENTS["dev"]


def with_output(name: str, value: Any) -> State:
    return State("dev.tfstate", {"outputs": {name: {"value": value}}, "resources": []})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"eu-west-1a": {"id": "1", "input": "10.10.0.0/20"}}, 'no range like 10.10.0.0/20, but {"id'),
        ({"eu-west-1a": None}, "but null"),
        (["10.10.0.0/20", "10.10.16.0/20"], "a map of zones to ranges"),
    ],
    ids=["whole resources", "nothing", "a list"],
)
def test_subnets_that_are_no_map_of_ranges(value: Any, words: str) -> None:
    state = with_output("subnets", value)
    (problem,) = judge.network(state, DEV)
    assert words in problem
    assert "no module makes the network" in list(judge.structure(state))


@pytest.mark.parametrize("value", ["/home/me/kubeconfig", "", {"users": []}, "users: []", "a: b: c"])
def test_a_kubeconfig_that_is_none(value: Any) -> None:
    with pytest.raises(LabError, match="is not the text of a kubeconfig"):
        look.may(Profile(), value, "/api/v1/nodes")
