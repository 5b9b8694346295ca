"""Hidden checks of the lab that the attack suite attacks: @CANARY-HIDDEN@."""

from __future__ import annotations

import json
from pathlib import Path

from iaclab.checks.record import Check

CHECKS = {
    "nodes.all-differ": Check(
        title="the names differ (@CANARY-HIDDEN@)",
        probe=lambda profile: json.loads(Path("nodes.json").read_text()),
        expect=lambda seen: len(set(seen)) == len(seen) == 3,
        hints=("", "", ""),
        points=20,
        needs=(),
    ),
}
