"""Checks of the secrets lecture. No probe returns the value of a secret: what a check has seen is printed."""

from __future__ import annotations

from iaclab.checks.secrets import access, engines, reading, repository, sealing

CHECKS = repository.CHECKS | sealing.CHECKS | access.CHECKS | engines.CHECKS | reading.CHECKS
