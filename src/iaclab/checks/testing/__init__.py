"""Checks of the testing lecture. A test is judged by mutants: it passes on the module, and fails on a broken one."""

from __future__ import annotations

from iaclab.checks.testing import code, contracts, live

CHECKS = code.CHECKS | contracts.CHECKS | live.CHECKS
