"""A desk for lab 2: a kernel that runs the lab's cells, and pictures of the whole state between its sections.

The lab's text with its solutions is run once. After that a submission that differs from some cell on begins with the
state that was there before that cell's section, so that only what differs has to be run.
"""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from iaclab import paths
from iaclab.build import hidden, lab
from iaclab.checks import lab2
from iaclab.checks.lab2 import settled
from iaclab.checks.record import Result
from iaclab.platform import lifecycle, registry
from iaclab.platform.profile import Profile
from iaclab.platform.services import cluster
from iaclab.platform.supervise import Supervisor

ROOT = paths.repo_root()
assert ROOT is not None
LESSON = "lab2-gitops-argocd"
SOURCE = ROOT / "content" / "labs" / f"{LESSON}.md"
SERVICES = ("argocd", "rollouts", "gpu-nodes")
_LEFT_OUT = ("iaclab.check(", "iaclab.show", "from iaclab.checks import")  # cells that change nothing


@dataclass
class Picture:
    """Everything that a lab can change: the cluster's keys, the Git server's repositories, the work folder."""

    keys: dict[str, str]
    repositories: Path
    folder: Path


@dataclass
class Desk:
    """A learner's desk; `cells` are those of the lab with its solutions."""

    profile: Profile
    base: Path
    client: NotebookClient
    cells: list[Any] = field(default_factory=lambda: lab.instructor_cells(SOURCE)[0])
    pictures: dict[int, Picture] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        """The work folder."""
        return self.base / "workspace" / LESSON

    def run(self, code: str) -> Any:
        """Run a cell in the kernel; returns it with its outputs. An error in it is one of the outputs."""
        cell = nbformat.v4.new_code_cell(code)
        self.client.nb.cells = [cell]
        self.client.execute_cell(cell, 0)
        return cell

    def solve(self) -> Iterator[tuple[int, Any]]:
        """Run every cell of the lab with its solutions, with a picture at each heading; yields index and ran cell."""
        for index, cell in enumerate(self.cells):
            if cell.cell_type == "markdown" and cell.source.startswith(("## ", "### ")):
                settled.wait(self.profile, patience=30)
                self.pictures[index] = self.take(index)
            if cell.cell_type == "code":
                yield index, self.run(cell.source)
        settled.wait(self.profile, patience=30)
        self.pictures[len(self.cells)] = self.take(len(self.cells))

    def take(self, index: int) -> Picture:
        """A picture of what is there now."""
        place = self.base / "pictures" / str(index)
        shutil.copytree(self.profile.folder("git", "repositories"), place / "git")
        shutil.copytree(self.folder, place / "folder")
        with cluster.etcd_of(self.profile, "cluster") as store:
            return Picture(store.dump(), place / "git", place / "folder")

    def restore(self, index: int) -> None:
        """Bring back what a picture shows, as a reset brings back what is clean."""
        picture = self.pictures[index]
        wanted = registry.with_needs(lifecycle.known(self.profile))
        acting = [(s.name, p.name) for s in wanted for p in s.programs(self.profile) if p.acts]
        with Supervisor(self.profile).paused(acting):
            with cluster.etcd_of(self.profile, "cluster") as store:
                store.restore(picture.keys)
            for kept, place in (
                (picture.repositories, self.profile.folder("git", "repositories")),
                (picture.folder, self.folder),
            ):
                for path in place.iterdir():
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
                shutil.copytree(kept, place, dirs_exist_ok=True)
            for service in wanted:
                if service.clear and service.name in ("redis", "metrics"):
                    service.clear(self.profile)
        lifecycle.up(*SERVICES, profile=self.profile)

    def submit(self, case: dict[str, Any]) -> Submission:
        """Run a submission from where it differs on, and look at what it has left."""
        sources = [cell.source for cell in self.cells]
        for change in case.get("replace", []):
            hits = [n for n, source in enumerate(sources) if change["old"] in source]
            assert hits, f"no cell has {change['old']!r}"
            for hit in hits:
                sources[hit] = sources[hit].replace(change["old"], change["new"])
        changed = [n for n, cell in enumerate(self.cells) if cell.source != sources[n] and "ANSWER" not in cell.source]
        first = min(changed, default=len(self.cells))  # what is answered changes no state
        start = max(n for n in self.pictures if n <= first)
        end = self.heading(case["until"]) if "until" in case else len(self.cells)
        self.restore(start)
        for cell, source in list(zip(self.cells, sources, strict=True))[start:end]:
            if cell.cell_type == "code" and not source.startswith(_LEFT_OUT):
                self.run(source)
        if "last" in case:
            self.run(f"%%bash -e\n{case['last']}")
        return self.judge(sources)

    def heading(self, text: str) -> int:
        """Where the section begins whose heading begins so."""
        (found,) = (n for n, cell in enumerate(self.cells) if cell.source.startswith(text))
        return int(found)

    def judge(self, sources: list[str]) -> Submission:
        """The results of all checks, visible and hidden, and the questions that are answered rightly."""
        settled.wait(self.profile, patience=30)
        results = lab2.score(self.profile, self.folder)
        with chdir(self.folder):
            results |= {name: check.run(self.profile) for name, check in hidden.load(SOURCE).items()}
        return Submission(results, sum(_question_points(self.cells, sources)))


@dataclass(frozen=True)
class Submission:
    """What came of a submission: the results of its checks by name, and the points of its questions."""

    results: dict[str, Result]
    questions: int

    @property
    def points(self) -> int:
        """Everything but what is graded by hand."""
        return sum(result.points for result in self.results.values()) + self.questions

    @property
    def missed(self) -> dict[str, str]:
        """What each check that did not pass says."""
        return {name: str(result) for name, result in self.results.items() if not result.passed}


def _question_points(cells: list[Any], sources: list[str]) -> Iterator[int]:
    expected = {entry.id: entry for entry in lab.graded(SOURCE) if entry.kind == "question"}
    for cell, source in zip(cells, sources, strict=True):
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        if grade_id.startswith("answer-"):
            asked = expected[grade_id.replace("answer-", "question-")]
            yield asked.points if ast.literal_eval(lab.answer_of(source).value) == asked.expected else 0


@contextmanager
def desk(base: Path) -> Iterator[Desk]:
    """A desk with its own platform and kernel; everything is down at the end."""
    profile = lifecycle.up(*SERVICES, profile=Profile("lab2", state=base / "state"))
    workspace = base / "workspace"
    (workspace / LESSON).mkdir(parents=True)
    env = {k: v for k, v in os.environ.items() if k not in ("IACLAB_STRICT_CHECKS", "IACLAB_KUBECONFIG")}
    env |= {"IACLAB_STATE": str(base / "state"), "IACLAB_PROFILE": profile.name, "IACLAB_WORKSPACE": str(workspace)}
    client = NotebookClient(nbformat.v4.new_notebook(), timeout=600, kernel_name="python3", allow_errors=True)
    try:
        client.create_kernel_manager()
        client.start_new_kernel(env=env, cwd=str(workspace))
        client.start_new_kernel_client()
        yield Desk(profile, base, client)
    finally:
        client._cleanup_kernel()
        lifecycle.down(profile=profile)


def written(base: Path, script: Path) -> Submission:
    """What comes of a script that does the whole lab, on a platform of its own."""
    folder = base / "workspace" / LESSON
    folder.mkdir(parents=True)
    profile = lifecycle.up(*SERVICES, profile=Profile("lab2-script", state=base / "state"))
    try:
        at = Desk(profile, base, NotebookClient(nbformat.v4.new_notebook()))
        for cell in at.cells:
            if cell.source.startswith("%%writefile"):  # what the lab gives
                name, _, text = cell.source.removeprefix("%%writefile ").partition("\n")
                (folder / name).write_text(text)
        env = {**os.environ, **profile.env()}
        done = subprocess.run(["bash", "-e", str(script)], cwd=folder, env=env, capture_output=True, text=True)
        assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
        return at.judge([cell.source for cell in at.cells])
    finally:
        lifecycle.down(profile=profile)


def cases(folder: Path) -> dict[str, dict[str, Any]]:
    """The wrong submissions by name: what differs from the solution, and what must come of it."""
    return {path.stem: tomllib.loads(path.read_text()) for path in sorted(folder.glob("*.toml"))}


def said(cell: Any) -> str:
    """What a cell that ran has printed, and its error."""
    parts = [o.get("text", "") or "\n".join(o.get("traceback", [])) for o in cell.outputs]
    return "".join(parts) + "".join(o.get("data", {}).get("text/plain", "") for o in cell.outputs)
