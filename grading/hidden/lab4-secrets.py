"""What is looked at after lab 4 was handed in: the loss of a node, and a rotation in the order of an emergency."""

from __future__ import annotations

from iaclab.checks.lab4 import record, rotation

_NONE = ("", "", "")

CHECKS = {
    "cluster.failover": record(
        3, "the active node is lost, another takes over, and other shares open it again", rotation.failover, _NONE
    ),
    "rotation.cut": record(
        3,
        "the old user is gone before the new one arrives, and no request fails",
        rotation.cut,
        _NONE,
        needs=("new-vault", "postgres", "cluster", "external-secrets"),
    ),
}
