"""What is known of one lesson's run: kept as JSON beside its executed copy."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from iaclab.lessons import Lesson

State = Literal["passed", "failed", "yours"]  # a lab is the learner's own work: it is shown, not run


@dataclass(frozen=True)
class Run:
    """One lesson's run.

    `minutes` and `promised` (seconds) are what its front matter says; `seconds` is how long every cell took now,
    `cells` how many code cells it has, `busy` how much work the machine had for each of its cores at the end, at
    least 1. Of a failure: `number` is that of the cell among the code cells, from 1, `cell` its source, `error` what it
    said. `source` is the fingerprint of the notebook and the parameters that it was given.
    """

    lesson: str
    title: str
    minutes: int
    promised: int
    state: State
    cells: int
    source: str
    seconds: float = 0
    parameters: dict[str, str | int] = field(default_factory=dict)
    busy: float = 1
    number: int = 0
    cell: str = ""
    error: str = ""

    @property
    def reason(self) -> str:
        """The line of the error that says most: what a problem in words begins with, else the last."""
        lines = self.error.splitlines() or [""]
        return next((line for line in lines if line.startswith("LabError: ")), lines[-1])

    def write(self, folder: Path) -> None:
        """Keep it, in one step."""
        aside = folder / f".{self.lesson}.json"
        aside.write_text(json.dumps(asdict(self), indent=1, ensure_ascii=False))
        aside.replace(folder / f"{self.lesson}.json")


def read(folder: Path, lesson: str) -> Run | None:
    """The run that was kept, `None` where there is none or it is of another form."""
    try:
        return Run(**json.loads((folder / f"{lesson}.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def fingerprint(notebook: Path, parameters: dict[str, str | int]) -> str:
    """Changes with the notebook or with a parameter that it takes."""
    text = notebook.read_bytes() + json.dumps(parameters, sort_keys=True).encode()
    return hashlib.sha256(text).hexdigest()[:16]


def is_lab(lesson: Lesson) -> bool:
    """Whether its cells are the learner's to fill."""
    return lesson.source.parent.name == "labs"
