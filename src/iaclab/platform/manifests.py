"""The tools' own manifests, parsed once: megabytes of YAML take a second, the same as JSON some milliseconds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import yaml

from iaclab import paths
from iaclab.platform.profile import write_private

Manifest = dict[str, Any]


def documents(text: str) -> list[Manifest]:
    """The objects in a YAML file, by the fastest reader that is here."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [document for document in yaml.load_all(text, Loader=loader) if document]


def kept(name: str, read: Callable[[], list[Manifest]]) -> list[Manifest]:
    """What `read` returned the first time, from the tools' cache; `name` says of what and of which version."""
    path = paths.cache_dir() / "parsed" / f"{name}.json"
    if path.exists():
        return list(json.loads(path.read_text()))
    found = read()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_private(path, json.dumps(found))
    return found
