"""Shows a part of a YAML file by its path, such as `spec.syncPolicy` or `spec.containers[0].image`."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iaclab.errors import LabError

_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


@dataclass(frozen=True)
class Part:
    """A part of a file, for display."""

    heading: str
    text: str

    def __str__(self) -> str:
        return f"{self.heading}\n{self.text}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<b><code>{html.escape(self.heading)}</code></b><pre>{html.escape(self.text)}</pre>"


def file(name: str, path: str = "", document: int = 0) -> Part:
    """The part of a YAML file at `path`; `document` counts from 0 in a file with several.

    Raises:
        LabError: no such file, not YAML, or nothing at that path.
    """
    try:
        loaded = list(yaml.safe_load_all(Path(name).read_text()))[document]
    except (OSError, yaml.YAMLError, IndexError) as error:
        raise LabError(f"{name} cannot be shown.", why=str(error).splitlines()[0], mend="ls") from error
    found: Any = loaded
    for key, index in _STEP.findall(path):
        try:
            found = found[int(index)] if index else found[key]
        except (KeyError, IndexError, TypeError) as error:
            here = ", ".join(map(str, found)) if isinstance(found, dict) else type(found).__name__
            raise LabError(
                f"{name} has nothing at {path}.", why=f"Before '{key or index}' there is: {here}.", mend=f"cat {name}"
            ) from error
    text = yaml.safe_dump(found, sort_keys=False) if isinstance(found, dict | list) else str(found)
    return Part(f"{name}{f' → {path}' if path else ''}", text.rstrip("\n"))
