"""What Terraform starts: `python -m iaclab.terraform_provider`."""

from __future__ import annotations

import os
import threading
import time

from tf.runner import run_provider

from iaclab.terraform_provider import mends
from iaclab.terraform_provider.provider import MlPlatform


def _end_with(parent: int) -> None:
    """End when Terraform is killed: what goes on alone would work against the next apply."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
mends.apply()
run_provider(MlPlatform())
