"""Shows a part of a YAML file by its path, such as `spec.syncPolicy` or `spec.containers[0].image`."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iaclab.errors import LabError

_STEP = re.compile(r"""\[(\d+)\]|\["([^"]+)"\]|([^.\[\]"]+)""")


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

    A key with dots is quoted: `metadata.annotations["argocd.argoproj.io/sync-wave"]`.

    Raises:
        LabError: no such file, not YAML, or nothing at that path.
    """
    documents = _documents(name)
    if not 0 <= document < len(documents):
        raise LabError(f"{name} has no document {document}.", why=f"It has {len(documents)}.", mend=f"cat {name}")
    found: Any = documents[document]
    for index, quoted, plain in _STEP.findall(path):
        step = int(index) if index else quoted or plain
        if not (isinstance(found, list) and index and step < len(found)) and not (
            isinstance(found, dict) and step in found
        ):
            raise LabError(
                f"{name} has nothing at {path}.", why=f"Before '{step}' there is {_kind(found)}.", mend=f"cat {name}"
            )
        found = found[step]
    text = found if isinstance(found, str) else yaml.safe_dump(found, sort_keys=False).removesuffix("...\n")
    return Part(f"{name}{f' → {path}' if path else ''}", text.rstrip("\n"))


def _documents(name: str) -> list[Any]:
    try:
        return list(yaml.safe_load_all(Path(name).read_text()))
    except FileNotFoundError as error:
        near = ", ".join(sorted(str(p) for p in Path(name).parent.glob("*.y*ml"))[:8])
        here = f"Here are: {near}." if near else "There is no YAML file beside it."
        raise LabError(f"There is no file {name}.", why=here, mend="ls") from error
    except (OSError, ValueError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())[:200]
        raise LabError(f"{name} cannot be read as YAML.", why=why, mend=f"cat {name}") from error


def _kind(found: Any) -> str:
    if isinstance(found, dict):
        return f"a table with {', '.join(map(str, found)) or 'nothing in it'}"
    if isinstance(found, list):
        return f"a list of {len(found)}"
    return f"the value {found!r}"
