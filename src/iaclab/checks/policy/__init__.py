"""Checks of the policy lecture: what the learner's rules decide about inputs of the check's own."""

from __future__ import annotations

from iaclab.checks.policy import admission, files, gates, rules

CHECKS = rules.CHECKS | files.CHECKS | admission.CHECKS | gates.CHECKS
