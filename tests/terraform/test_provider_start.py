"""Terraform starts the provider up to three times a command: its start must load nothing that it does not need."""

from __future__ import annotations

import subprocess
import sys


def test_the_start_loads_no_client() -> None:
    code = "import sys, iaclab.terraform_provider.provider, iaclab.terraform_provider.mends; print(*sys.modules)"
    loaded = set(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    )
    assert not loaded & {"boto3", "botocore", "httpx", "kubernetes", "yaml", "iaclab.platform"}
