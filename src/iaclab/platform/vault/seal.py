"""Initialise and unseal: five shares, three of them open the vault, each in a file of its own.

The files stand for five people. `iaclab up` unseals with them; in production nobody holds them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from iaclab.errors import LabError
from iaclab.platform.profile import Profile, write_private
from iaclab.platform.vault import api
from iaclab.platform.vault.nodes import NODES, folder

T = TypeVar("T")

SHARES, THRESHOLD = 5, 3
_POLL = 0.05
_WITHIN = 90.0  # seconds for a node to answer, to join, or to have a leader


def share(profile: Profile, number: int) -> Path:
    """The file of one share, from 1 on."""
    return folder(profile) / f"share-{number}"


def root_token(profile: Profile) -> Path:
    """The first root token; only there until the set-up is done."""
    return folder(profile) / "root-token"


def initialise(profile: Profile) -> None:
    """Make the vault's keys on the first node, where it has none yet; the shares and the root token go into files."""
    status = _answers(profile, NODES[0])
    if status["initialized"]:
        return
    body = {"secret_shares": SHARES, "secret_threshold": THRESHOLD}
    answer = api.write(profile, "sys/init", body, node=NODES[0])
    for number, key in enumerate(answer["keys_base64"], 1):
        write_private(share(profile, number), key)
    write_private(root_token(profile), answer["root_token"])


def unseal(profile: Profile) -> None:
    """Open every sealed node with the shares; returns when all three follow one leader.

    Raises:
        LabError: too few shares, shares that do not open it, or no leader.
    """
    keys = _keys(profile)
    _unseal(profile, NODES[0], keys)  # the first alone: on a new vault the others join it
    with ThreadPoolExecutor(len(NODES)) as pool:
        list(pool.map(lambda node: _unseal(profile, node, keys), NODES[1:]))
    why = "Two of its three nodes must run."
    _until(lambda: all(api.leader(profile, node) for node in NODES), lambda: "The vault has no leader.", why)


def wait_for_votes(profile: Profile, token: str) -> None:
    """Until all nodes vote: before that the loss of one can leave no quorum.

    The vault's autopilot lets a node vote once it has been healthy for a while.

    Raises:
        LabError: one has no vote in time.
    """
    api.write(profile, "sys/storage/raft/autopilot/configuration", {"server_stabilization_time": "1s"}, token=token)

    def voters() -> int:
        answer = api.ask(profile, "GET", "sys/storage/raft/configuration", token=token)
        servers = answer.json()["data"]["config"]["servers"] if answer.status_code == 200 else []
        return sum(server["voter"] for server in servers)

    _until(lambda: voters() == len(NODES), lambda: f"{voters()} of the vault's {len(NODES)} nodes vote.")


def _keys(profile: Profile) -> list[str]:
    there = [path.read_text().strip() for n in range(1, SHARES + 1) if (path := share(profile, n)).exists()]
    there = [key for key in there if key]
    if len(there) < THRESHOLD:
        raise LabError(
            f"The vault stays sealed: {len(there)} of its shares are in {folder(profile)}.",
            why=f"Any {THRESHOLD} of the {SHARES} files share-1 … share-{SHARES} open it.",
            mend="iaclab reset --hard   # a new vault, if the shares are lost",
        )
    return there


def _unseal(profile: Profile, node: str, keys: list[str]) -> None:
    status = _answers(profile, node, joined=True)
    if not status["sealed"]:
        return
    api.write(profile, "sys/unseal", {"reset": True}, node=node)  # shares that somebody has given before
    for key in keys[: max(int(status["t"]), 1)]:
        answer = api.ask(profile, "POST", "sys/unseal", {"key": key}, node=node)
        if answer.status_code >= 300:
            raise LabError(
                f"The vault stays sealed: the shares in {folder(profile)} do not open its {node}.",
                why=f"{api.words(answer)}. The files share-1 … share-{SHARES} are not those of its present key.",
                mend=f"ls -l {folder(profile)}/share-*   # or, for a new vault: iaclab reset --hard",
            )

    def is_open() -> bool:  # a node that has just joined opens once the leader has answered it
        return not (api.seal_status(profile, node) or {"sealed": True})["sealed"]

    _until(is_open, lambda: f"The vault's {node} stays sealed.")


def _answers(profile: Profile, node: str, joined: bool = False) -> api.Answer:
    """The seal status of a node, waited for; `joined`: until it is part of an initialised vault."""

    def answer() -> api.Answer | None:
        status = api.seal_status(profile, node)
        return status if status and (status["initialized"] or not joined) else None

    def what() -> str:
        there = api.seal_status(profile, node) is not None
        return f"The vault's {node} {'has not joined the others' if there else 'does not answer'}."

    return _until(answer, what)


def _until(look: Callable[[], T | None], what: Callable[[], str], why: str = "") -> T:
    """Look until there is something.

    Raises:
        LabError: there is nothing in time; `what` says so.
    """
    deadline = time.monotonic() + _WITHIN
    while not (found := look()):
        if time.monotonic() > deadline:
            raise LabError(what(), why=why, mend="iaclab logs vault")
        time.sleep(_POLL)
    return found
