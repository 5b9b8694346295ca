"""Where things lie: the cache of tools, the state of profiles, the clone of the course."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs


def cache_dir() -> Path:
    """Tools and the Go build cache; outlives a clone. `IACLAB_CACHE` moves it."""
    return Path(os.environ.get("IACLAB_CACHE") or platformdirs.user_cache_dir("iaclab")).absolute()


def state_dir() -> Path:
    """Profiles and progress. `IACLAB_STATE` moves it."""
    return Path(os.environ.get("IACLAB_STATE") or platformdirs.user_state_dir("iaclab"))


def graded_folder() -> Path | None:
    """The work folder, where this process is part of a submission that is being graded; `None` elsewhere."""
    folder = os.environ.get("IACLAB_GRADED")
    return Path(folder) if folder else None


def repo_root() -> Path | None:
    """The clone that this package runs from, `None` where it is installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    return root if (root / "content").is_dir() and (root / "tools").is_dir() else None
