"""Checks of the GitOps lecture: what the Git server's repositories say, and what the cluster holds."""

from __future__ import annotations

from iaclab.checks.gitops import brake, delivery, reconciling, repository

CHECKS = reconciling.CHECKS | repository.CHECKS | delivery.CHECKS | brake.CHECKS
