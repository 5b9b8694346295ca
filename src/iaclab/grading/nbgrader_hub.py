"""Who owns a file on a JupyterHub, where no machine knows all users: a user id is made from the hub's name.

`grading/jupyterhub/values.yaml` starts each pod with this id.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from iaclab.grading.nbgrader_inbound import SetAside, names

_FIRST, _COUNT = 100_000, 2_000_000_000  # beyond the users of any image


def user_id(name: str) -> int:
    """The user id of a hub's user."""
    return _FIRST + int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") % _COUNT


def owner(exchange: str, course_id: str) -> Callable[[int], str | None]:
    """What `c.TrustedCollect.owner` is on a hub: of the names in the inbound folder, the one whose id it is.

    An id leads to no name, but each name to its id: a name that somebody else took for a submission has another id.
    """

    def find(uid: int) -> str | None:
        claimed = set()
        for path in Path(exchange, course_id, "inbound").iterdir():
            try:
                claimed.add(names(path.name)[0])
            except SetAside:
                continue
        return next((name for name in sorted(claimed) if user_id(name) == uid), None)

    return find
