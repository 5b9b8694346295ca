"""The checks look from outside, when a submission is dead: its marks are what it has left, not what it says."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest

from iaclab import paths
from iaclab.build.lab import Graded as Entry
from iaclab.errors import LabError
from iaclab.grading import Graded, Limits, World, grade

LIMITS = Limits(cell=60, notebook=240, look=20)
COMPONENTS = Entry("argocd-components", "check", 1, check="argocd.components")
RIGHT = "open('components.txt', 'w').write('controller repo-server')"
HIDDEN = '''
from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from pathlib import Path

from iaclab.checks.record import Check
from iaclab.grading import confined

SECRET = "only-" + "instructors-know"  # MARKED-BY-THE-TEST


@dataclasses.dataclass
class Thing:
    name: str = "x"


def check(probe, expect=bool, within=0, points=2, needs=()):
    return Check("a title", probe, expect, ("a", "b", "c"), within=within, points=points, needs=needs)


def partly(earned):
    return dataclasses.replace(check(lambda profile: ["a"], lambda seen: seen == []), earned=lambda seen: earned)


def raises(profile):
    raise ValueError("broken")


def leaves(profile):
    raise SystemExit(3)


def dies(profile):
    os._exit(7)


def runs(profile):
    """A learner's script, in a sandbox."""
    script = Path("script").absolute()
    done = confined.run(["/bin/bash", str(script)], folder=Path.cwd(), env={"PATH": "/usr/bin:/bin"}, timeout=60)
    return done.stdout.strip()


def hangs(profile):
    env = {"PATH": "/usr/bin:/bin"}
    confined.run(["/bin/sleep", "60"], folder=Path.cwd(), env=env, timeout=1)


CHECKS = {
    "components.exact": check(lambda profile: Path("components.txt").read_text(), lambda seen: "\\n" not in seen),
    "components.raises": check(raises),
    "components.leaves": check(leaves),
    "components.dies": check(dies, points=3),
    "components.reads": check(lambda profile: Path("link").read_text()[:200]),
    "components.sees": check(lambda profile: [str(p) for p in (Path("/work/main/content"), Path("/root/.ssh"),
        Path("/hidden.py")) if p.exists()], lambda seen: seen == []),
    "components.environ": check(lambda profile: sorted(os.environ), lambda seen: "SECRET_OF_THE_GRADER" not in seen),
    "components.later": check(lambda profile: time.monotonic() - BEGAN, lambda seen: seen > 1, within=30),
    "components.never": check(lambda profile: 0, within=1),
    "components.prints": check(lambda profile: print("{}") or print(Thing()) or 1),
    "components.runs": check(runs, lambda seen: seen == "ran"),
    "components.hangs": check(hangs),
    "components.partly": partly(1),
    "components.overdone": partly(9),
    "components.wrongly": partly(-3),
}
BEGAN = time.monotonic()
'''


def entry(*hidden: str) -> Entry:
    return Entry("argocd-components", "check", 0, check="argocd.components", hidden=hidden)


def hand_in(folder: Path, *sources: Any) -> Path:
    """A submission's notebook; a pair is a cell with its grade_id."""
    cells = []
    for source in sources:
        code, name = source if isinstance(source, tuple) else (source, "")
        marks = {"nbgrader": {"grade_id": name, "grade": True, "locked": True, "points": 1000}} if name else {}
        cells.append(nbformat.v4.new_code_cell(code, metadata=marks))
    path = folder / "tiny.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return path


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World.open("tiny", needs=()) as made:
        yield made


@pytest.fixture
def hidden(tmp_path: Path) -> Path:
    path = tmp_path / "hidden.py"
    path.write_text(HIDDEN)
    return path


def judged(world: World, folder: Path, hidden: Path, names: list[str], *sources: Any) -> Graded:
    table = [entry(*(f"components.{name}" for name in names))]
    return grade(hand_in(folder, *sources), "tiny", world=world, limits=LIMITS, hidden=hidden, table=table)


def test_marks_are_what_is_there(world: World, tmp_path: Path) -> None:
    result = grade(hand_in(tmp_path, RIGHT), "tiny", world=world, table=[COMPONENTS])
    assert result.marks([COMPONENTS])["argocd-components"].points == 1
    result = grade(hand_in(tmp_path, "print('✔ passed')"), "tiny", world=world, table=[COMPONENTS])
    mark = result.marks([COMPONENTS])["argocd-components"]
    assert (mark.points, mark.of) == (0, 1) and "components.txt is not there" in mark.comment


def test_a_submission_cannot_judge_itself(world: World, tmp_path: Path) -> None:
    tricks = [
        "get_ipython().input_transformers_cleanup.append(lambda lines: ['pass\\n'])",
        "import iaclab\niaclab.check = lambda name: print('✔ passed')",
        "from iaclab.checks.record import Check, Result\nCheck.run = lambda *a, **k: Result('x', True, '', '', 1000)",
        "import iaclab.checks.argocd as a\na.CHECKS.clear()",
        "import sys\nsys.modules['iaclab.grading.judge'] = None",
    ]
    path = hand_in(tmp_path, *tricks, ('iaclab.check("argocd.components")', "argocd-components"))
    result = grade(path, "tiny", world=world, table=[COMPONENTS])
    assert result.marks([COMPONENTS])["argocd-components"].points == 0
    assert "✘ not yet" in result.notebook.cells[-1].outputs[0].text, "the grader's word stands below the graded cell"
    assert result.marks([COMPONENTS]).keys() == {"argocd-components"}


def test_points_and_checks_are_the_instructors(world: World, tmp_path: Path) -> None:
    path = hand_in(tmp_path, RIGHT, ('iaclab.check("start.cell-ran")', "argocd-components"), ("1", "forged"))
    marks = grade(path, "tiny", world=world, table=[COMPONENTS]).marks([COMPONENTS])
    assert {name: mark.points for name, mark in marks.items()} == {"argocd-components": 1}


def test_dead_kernels_cost_what_depends_on_them(world: World, tmp_path: Path) -> None:
    path = hand_in(tmp_path, "import os\nos._exit(1)", "raise ValueError", RIGHT, "import os\nos._exit(1)")
    result = grade(path, "tiny", world=world, table=[COMPONENTS])
    assert result.verdicts["argocd.components"].passed
    assert [(cell.index, cell.what) for cell in result.report.cells] == [(0, "killed"), (1, "error"), (3, "killed")]


def test_hidden_checks_count_and_stay_hidden(world: World, tmp_path: Path, hidden: Path) -> None:
    search = "!grep -rsl MARKED-BY-THE-TES. /workspace /home /tmp /state /sockets /etc /dev/shm /work/main/src"
    result = judged(world, tmp_path, hidden, ["exact", "environ"], RIGHT, search)
    assert result.verdicts["hidden:components.exact"].points == 2
    table = [Entry("argocd-components", "check", 5, "argocd.components", ("components.exact", "components.environ"))]
    mark = result.marks(table)["argocd-components"]
    assert (mark.points, mark.of) == (5, 5)
    assert "2 of 2" in mark.comment and "a title" not in mark.comment
    assert result.notebook.cells[1].outputs == []
    assert "a title" not in nbformat.writes(result.notebook)


def test_what_a_check_raises_costs_its_own_points(world: World, tmp_path: Path, hidden: Path) -> None:
    names = ["raises", "exact", "leaves", "dies", "prints", "hangs"]
    result = judged(world, tmp_path, hidden, names, RIGHT)
    earned = {name: result.verdicts[f"hidden:components.{name}"].points for name in names}
    assert earned == {"raises": 0, "exact": 2, "leaves": 0, "dies": 0, "prints": 2, "hangs": 0}
    assert result.verdicts["hidden:components.dies"].of == 3
    assert "ValueError: broken" in result.verdicts["hidden:components.raises"].seen
    assert result.verdicts["argocd.components"].passed


def test_a_check_gives_a_part_of_its_points(world: World, tmp_path: Path, hidden: Path) -> None:
    names = ["partly", "overdone", "wrongly"]
    result = judged(world, tmp_path, hidden, names, RIGHT)
    found = [result.verdicts[f"hidden:components.{name}"] for name in names]
    assert [(verdict.passed, verdict.points, verdict.of) for verdict in found] == [
        (False, 1, 2),
        (False, 2, 2),
        (False, 0, 2),
    ]


def test_times_to_wait_run_side_by_side(world: World, tmp_path: Path, hidden: Path) -> None:
    started = time.monotonic()
    result = judged(world, tmp_path, hidden, ["never", "later", "exact"], RIGHT)
    assert result.verdicts["hidden:components.later"].passed
    assert not result.verdicts["hidden:components.never"].passed
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "trap",
    [
        "import os\nos.symlink('/etc/shadow', 'link')",
        "import os\nos.symlink('/proc/self/environ', 'link')",
        "import os\nos.symlink('{hidden}', 'link')",
        "import os\nos.symlink('/dev/zero', 'link')",
        "open('link', 'wb').truncate(400 << 20)",
        "import os\nos.mkdir('d')\nos.symlink('../../../../..', 'd/up')\nos.symlink('d/up/{hidden}', 'link')",
    ],
)
def test_links_and_huge_files_lead_nowhere(world: World, tmp_path: Path, hidden: Path, trap: str) -> None:
    result = judged(world, tmp_path, hidden, ["reads", "sees"], RIGHT, trap.replace("{hidden}", str(hidden)))
    seen = result.verdicts["hidden:components.reads"]
    assert "instructors" not in seen.seen and "root:" not in seen.seen
    assert result.verdicts["hidden:components.sees"].passed, result.verdicts["hidden:components.sees"].seen
    assert result.verdicts["argocd.components"].passed


def test_a_pipe_does_not_stop_the_judge(world: World, tmp_path: Path, hidden: Path) -> None:
    result = judged(world, tmp_path, hidden, ["reads", "exact"], RIGHT, "import os\nos.mkfifo('link')")
    assert not result.verdicts["hidden:components.reads"].passed
    assert result.verdicts["hidden:components.exact"].passed


def test_learners_code_runs_in_a_sandbox(world: World, tmp_path: Path, hidden: Path) -> None:
    good = "open('script', 'w').write('echo ran')"
    assert judged(world, tmp_path, hidden, ["runs"], good).verdicts["hidden:components.runs"].passed
    bad = "open('script', 'w').write('ls /state /tmp; touch here; cat /proc/net/dev | wc -l; id -u')"
    seen = judged(world, tmp_path, hidden, ["runs"], bad).verdicts["hidden:components.runs"].seen
    assert "profiles" not in seen and seen.endswith("3 1000"), "no profile, and loopback alone"


def test_answers_are_read_not_asked(world: World, tmp_path: Path) -> None:
    table = [Entry("question-wave", "question", 3, expected="b"), Entry("question-sync", "question", 2, expected=True)]
    path = hand_in(tmp_path, ('ANSWER = "b"', "answer-wave"), ("ANSWER = 1 == 1", "answer-sync"))
    marks = grade(path, "tiny", world=world, table=table).marks(table)
    assert {name: (mark.points, mark.of) for name, mark in marks.items()} == {
        "question-wave": (3, 3),
        "question-sync": (0, 2),
    }


def test_files_beside_are_there(world: World, tmp_path: Path) -> None:
    beside = tmp_path / "beside"
    (beside / "modules").mkdir(parents=True)
    (beside / "modules" / "main.tf").write_text("# mine")
    (beside / "shadow").symlink_to("/etc/shadow")
    path = hand_in(tmp_path, "import os\nprint(open('modules/main.tf').read(), os.path.lexists('shadow'))")
    result = grade(path, "tiny", world=world, table=[], files=beside)
    assert result.notebook.cells[0].outputs[0].text.split() == ["#", "mine", "False"]


def test_the_instructors_mistakes_are_errors(world: World, tmp_path: Path, hidden: Path) -> None:
    path = hand_in(tmp_path, "1")
    with pytest.raises(LabError, match="cannot be used"):
        grade(path, "tiny", world=world, table=[Entry("x", "check", 1, check="no.such")])
    hidden.write_text("1 / 0")
    with pytest.raises(LabError, match="cannot be used"):
        grade(path, "tiny", world=world, table=[entry("components.exact")], hidden=hidden)
    with pytest.raises(LabError, match="is for tiny"):
        grade(path, "another", world=world, table=[])


# --- with services ----------------------------------------------------------------------------------------

STATE = """
from iaclab.checks.record import Check
from iaclab.platform.services import cluster, git


def check(probe, expect=bool, needs=("cluster",), within=5):
    return Check("a title", probe, expect, ("a", "b", "c"), within=within, points=2, needs=needs)


CHECKS = {
    "components.namespace": check(lambda profile: cluster.kube(profile).get("/api/v1/namespaces/demo")),
    "components.pushed": check(lambda profile: git.head(profile, "demo"), needs=("git",)),
    "components.clean": check(
        lambda profile: [n["metadata"]["name"] for n in cluster.kube(profile).get("/api/v1/namespaces")["items"]],
        lambda seen: "demo" not in seen,
    ),
}
"""
WORK = (
    "%%bash -e\nkubectl create namespace demo\ngit init -q repo\ncd repo\necho text > file\ngit add file\n"
    "git commit -qm first\ngit push -q $GIT_URL/demo.git HEAD:main"
)


@pytest.mark.platform
def test_state_of_the_services_earns_points_and_is_gone_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_GRADER", "x")
    hidden = tmp_path / "hidden.py"
    hidden.write_text(STATE)
    table = [entry("components.namespace", "components.pushed", "components.clean")]

    def earned(*sources: str) -> dict[str, bool]:
        result = grade(hand_in(tmp_path, *sources), "tiny", world=world, limits=LIMITS, hidden=hidden, table=table)
        return {name.rpartition(".")[2]: verdict.passed for name, verdict in result.verdicts.items()}

    with World.open("tiny", needs=("cluster", "git")) as world:
        assert earned('import iaclab\niaclab.prepare("tiny")', WORK) == {
            "components": False,
            "namespace": True,
            "pushed": True,
            "clean": False,
        }
        assert earned("1") == {"components": False, "namespace": False, "pushed": False, "clean": True}
        result = grade(
            hand_in(
                tmp_path,
                "import glob, os\nprint(sorted(os.listdir('/state/profiles/graded')), glob.glob('/state/profiles/*'))",
                "import json, os, socket\nprint([os.path.exists('/state/profiles/graded/' + name) for name in "
                "('pki/ca.key', 'cluster/etcd', 'ports.json', 'supervisord.conf')])",
                "%%bash\nsetsid sh -c 'sleep 1; kubectl create namespace late' > /dev/null 2>&1 &",
            ),
            "tiny",
            world=world,
            table=table,
            hidden=hidden,
        )
        assert "'pki'" in result.notebook.cells[0].outputs[0].text
        assert json.loads(result.notebook.cells[1].outputs[0].text.lower()) == [False] * 4
        _services_see_nothing_of_the_host(world)
        _services_that_were_killed_are_made_anew(world, earned)
        assert world.services
        below = psutil.Process(world.services.pid).children(recursive=True)
        assert "etcd" in {process.name() for process in below}
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == [], "a world that is closed leaves no process"


def _services_see_nothing_of_the_host(world: World) -> None:
    """An Application's `file:///course`, a chart's `..`: what the services would read for a submission is not there."""
    assert world.services
    inside = [p for p in psutil.Process(world.services.pid).children(recursive=True) if p.name() == "etcd"]
    root = Path(f"/proc/{inside[0].pid}/root")
    clone = paths.repo_root()
    assert clone and (root / "usr/bin").is_dir()
    for path in (clone / "content", clone / "tests", clone / ".git", world.base, Path("/var/log"), Path("/etc/shadow")):
        assert not (root / path.relative_to("/")).exists(), path
    assert "SECRET_OF_THE_GRADER" not in inside[0].environ()


def _services_that_were_killed_are_made_anew(world: World, earned: Any) -> None:
    assert world.services
    below = psutil.Process(world.services.pid).children(recursive=True)
    world.services.close()
    _, alive = psutil.wait_procs(below, timeout=60)
    assert alive == []
    assert earned("%%bash\nkubectl create namespace demo")["namespace"] is True
