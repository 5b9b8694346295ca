"""Serve until stopped: `python -m iaclab.tfe ROOT PORT`, run by the supervisor.

The environment says the rest: IACLAB_TFE_TOKEN, IACLAB_TFE_ORGANIZATION, IACLAB_TFE_TERRAFORM (the binary) and, for
remote runs, TF_CLI_CONFIG_FILE.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import waitress

from iaclab.tfe.runs import Runner
from iaclab.tfe.server import create_app
from iaclab.tfe.store import Store


def main() -> None:
    """Take up what was left half done, then answer requests."""
    token, organization, terraform = (
        os.environ.pop(f"IACLAB_TFE_{name}") for name in ("TOKEN", "ORGANIZATION", "TERRAFORM")
    )
    runner = Runner(Store(Path(sys.argv[1])), organization, terraform)
    runner.recover()
    waitress.serve(create_app(runner, token), host="127.0.0.1", port=int(sys.argv[2]), threads=8, ident="iaclab tfe")


if __name__ == "__main__":
    main()
