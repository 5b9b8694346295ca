"""The attacks of this folder, and how each becomes what a learner hands in.

`NN-name.md` is text that is put into cells of the released notebook: a cell with a `:name:` takes the place of the one
with this grade_id, others follow the first cell. `NN-name.py` has a table `ATTACK` and a function `hand_in`, which
changes the folder or the notebook. Both say what they try, and what is expected of the trusted grader.
"""

from __future__ import annotations

import json
import re
import runpy
import secrets
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
LAB = "lab9-attacks"
NOTEBOOK = f"{LAB}.ipynb"
WORTH = {"region": 30, "gpus": 20, "nodes": 40, "total": 10}
HONEST = {
    "region": ("task-region", "%%writefile region.txt\neu-west-1"),
    "gpus": ("task-gpus", "%%writefile gpus.py\nimport sys\n\nprint(sum(map(int, sys.argv[1:])))"),
    "nodes": ("task-nodes", '%%writefile nodes.json\n["gpu-1", "gpu-2", "gpu-3"]'),
    "total": ("answer-total", "ANSWER = 24"),
}
Cells = dict[str, str]
HandIn = Callable[[Path, dict[str, Any], Mapping[str, str]], str | None]


@dataclass(frozen=True)
class Attack:
    """One attack.

    Args:
        name: of its file; also the student's.
        tries: what it is about, in words.
        earns: the points that it is due, for what it has really done.
        says: a regular expression for what its graded notebook says, which shows that it ran and what it met.
        trouble: kinds of trouble that the report names.
        notes: a regular expression for a line of the report.
        aside: a regular expression for why it is set aside; empty where it is graded.
        inbound: the name of its folder in the exchange; empty where it comes as collected already.
        by: who hands it in there; default: the one whom the name speaks of.
        harmful: whether stock nbgrader cannot run it without harm to the machine.
        more: what else a test looks at.
    """

    name: str
    tries: str
    earns: int = 0
    says: str = ""
    trouble: tuple[str, ...] = ()
    notes: str = ""
    aside: str = ""
    inbound: str = ""
    by: str = ""
    harmful: bool = False
    honest: tuple[str, ...] = ()
    cells: list[tuple[str, str]] = field(default_factory=list)
    change: HandIn | None = None
    more: frozenset[str] = frozenset()

    def hand_in(self, released: Path, folder: Path, values: Mapping[str, str]) -> None:
        """Make the folder that a learner hands in.

        Args:
            released: the notebook that learners fetch.
            folder: is made.
            values: what `@NAME@` stands for.
        """
        folder.mkdir(parents=True)
        values = {**values, "NAME": self.name}
        notebook: dict[str, Any] = json.loads(released.read_text())
        fill(notebook, dict(HONEST[name] for name in self.honest))
        put(notebook, [(name, insert(code, values)) for name, code in self.cells])
        (folder / NOTEBOOK).write_text(json.dumps(notebook))
        (folder / "timestamp.txt").write_text("2026-01-01 00:00:00.000000 UTC")
        (folder / "submission_secret.txt").write_text(secrets.token_hex(64))
        if self.change:
            text = self.change(folder, notebook, values) or json.dumps(notebook)
            path = folder / NOTEBOOK
            if not path.is_symlink():
                path.write_text(text)


def attacks() -> list[Attack]:
    """All attacks in their order."""
    paths = sorted(path for path in HERE.iterdir() if re.fullmatch(r"[0-9]{2}-.*\.(md|py)", path.name))
    return [_of_text(path) if path.suffix == ".md" else _of_program(path) for path in paths]


def honest(released: Path, folder: Path, beside: str = "") -> None:
    """What an honest learner hands in, who has solved everything."""
    Attack("honest", "", honest=tuple(HONEST)).hand_in(released, folder, {})
    if beside:
        (folder / "notes.txt").write_text(beside)


def fill(notebook: dict[str, Any], work: Cells) -> None:
    """Write into cells, by their grade_id."""
    for cell in notebook["cells"]:
        name = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if name in work:
            cell["source"] = work[name]


def put(notebook: dict[str, Any], cells: list[tuple[str, str]]) -> None:
    """Put cells in: those with a name in the place of the cell with that grade_id, others after the first code cell."""
    fill(notebook, {name: code for name, code in cells if name})
    first = next(index for index, cell in enumerate(notebook["cells"]) if cell["cell_type"] == "code")
    new = [
        {"cell_type": "code", "id": f"own-{n}", "source": code, "metadata": {}, "outputs": [], "execution_count": None}
        for n, (name, code) in enumerate(cells)
        if not name
    ]
    notebook["cells"][first + 1 : first + 1] = new


def insert(text: str, values: Mapping[str, str]) -> str:
    """Put values in the place of their names, and the file `searching.py` in that of the line `# @SEARCH@`."""
    text = text.replace("# @SEARCH@", (HERE / "searching.py").read_text())
    return re.sub(r"@([A-Z-]+)@", lambda match: values[match[1]], text)


def canaries() -> dict[str, str]:
    """A secret for each place in which there is one, different in each run."""
    places = ("hidden", "source", "gradebook", "neighbour", "environment", "home", "network")
    return {place: f"canary-{place}-{secrets.token_hex(8)}" for place in places}


def install(clone: Path, marks: Mapping[str, str]) -> None:
    """Put the lab into a clone of the course, with canaries in it."""
    values = {f"CANARY-{place.upper()}": value for place, value in marks.items()}
    for name, target in {
        f"{LAB}.md": f"content/labs/{LAB}.md",
        "checks.py": "src/iaclab/checks/lab9.py",
        "hidden.py": f"grading/hidden/{LAB}.py",
    }.items():
        path = clone / target
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(HERE / "lab" / name, path)
        path.write_text(insert(path.read_text(), values))


def _of_text(path: Path) -> Attack:
    import jupytext

    text = path.read_text()
    match = re.match(r"---\n(.*?)\n---\n", text, re.DOTALL)
    assert match, f"{path.name} has no front matter"
    about = yaml.safe_load(match[1])["attack"]
    cells = [
        (cell.metadata.get("name", ""), cell.source)
        for cell in jupytext.reads(text, fmt="md:myst").cells
        if cell.cell_type == "code"
    ]
    return _attack(path, about, cells, None)


def _of_program(path: Path) -> Attack:
    sys.dont_write_bytecode = True
    found = runpy.run_path(str(path))
    return _attack(path, found["ATTACK"], [], found["hand_in"])


def _attack(path: Path, about: dict[str, Any], cells: list[tuple[str, str]], change: HandIn | None) -> Attack:
    known: dict[str, Any] = {
        name: about.pop(name) for name in ("tries", "earns", "says", "aside", "inbound", "by") if name in about
    }
    known["notes"] = about.pop("notes", None) or ""
    known["trouble"] = tuple(about.pop("trouble", ()))
    known["honest"] = tuple(about.pop("honest", ()))
    known["harmful"] = about.pop("stock", "") == "harmful"
    return Attack(path.stem, cells=cells, change=change, more=frozenset(k for k, v in about.items() if v), **known)
