"""The attack suite: a class of attackers and honest learners, handed in, collected and graded together.

Each attack is a file in `attacks/`, with what it tries and what is due to it. None may gain a point that it did not
earn, learn anything, outlive its time, or change another's result. `attacks/stock.toml` is what stock nbgrader made of
the same submissions; `grading/attacks.md` has both side by side (IACLAB_WRITE_ATTACKS=1 writes it anew).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from attacks import batch, reading
from attacks.batch import HONEST, Batch, Outcome, School
from attacks.listening import Host
from attacks.reading import LAB, Attack
from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from town import SEVERAL

from iaclab import paths
from iaclab.build.lab import Graded as Entry
from iaclab.grading import Graded, Limits, World, grade, mounts

FOUND = {attack.name: attack for attack in reading.attacks()}
IN_CLASS = [name for name, attack in FOUND.items() if "platform" not in attack.more]
PAGE = Path(__file__).parents[2] / "grading" / "attacks.md"
STOCK = Path(__file__).parent / "attacks" / "stock.toml"


@pytest.fixture(scope="module")
def school() -> Iterator[School]:
    made = School(reading.canaries())
    with made:
        yield made


@pytest.fixture(scope="module")
def graded(school: School) -> Batch:
    with Host(school.base, school.marks["network"]) as host:
        return batch.run(school, host, [FOUND[name] for name in IN_CLASS])


def outcome(attack: Attack, graded: Batch) -> Outcome:
    """What came of an attack; one in the exchange counts for whom it names."""
    if not attack.inbound:
        return graded.outcomes[attack.name]
    return graded.inbound.get(attack.inbound) or graded.outcomes[attack.inbound.partition("+")[0]]


def possible(name: str) -> Attack:
    attack = FOUND[name]
    if attack.inbound and not SEVERAL:
        pytest.skip("only root can be several users: who handed in what is not tested")
    return attack


@pytest.mark.parametrize("name", IN_CLASS)
def test_an_attack_gets_what_it_has_earned_and_no_more(name: str, graded: Batch) -> None:
    attack = possible(name)
    found = outcome(attack, graded)
    if attack.aside:
        assert re.search(attack.aside, found.aside), f"{found.aside!r}: {found.points} points"
        assert found.points is None
        return
    assert found.points == attack.earns, found.said
    assert re.search(attack.says, found.said), f"it did not run, or met something else:\n{found.said}"
    assert re.search(attack.notes, "\n".join(found.notes)), found.notes
    for kind in attack.trouble:
        assert any(f": {kind}: " in note for note in found.notes), found.notes


def test_nobody_learns_a_secret(school: School, graded: Batch) -> None:
    pages = {name: found.notebook for name, found in graded.outcomes.items()}
    pages |= {f"feedback of {name}": page for name, page in graded.feedback.items()}
    leaks = [
        f"{name}: {place}" for name, page in pages.items() for place, secret in school.marks.items() if secret in page
    ]
    assert leaks == []
    assert len(pages) > len(IN_CLASS) - 15


def test_nothing_outlives_its_result_or_the_grading(graded: Batch) -> None:
    assert graded.outlived == set()
    assert graded.left == []


def test_nothing_reaches_the_hosts_services(graded: Batch) -> None:
    assert graded.calls == []


def test_the_course_is_as_it_was(school: School, graded: Batch) -> None:
    assert graded.changed == []
    with Gradebook(f"sqlite:///{school.inside / 'gradebook.db'}") as gradebook:
        assert gradebook.find_assignment(LAB).max_score == sum(reading.WORTH.values())
        scores = {found.student.id: found.score for found in gradebook.assignment_submissions(LAB)}
    assert set(scores) == {name for name, found in graded.outcomes.items() if found.points is not None}


@pytest.mark.parametrize("name", HONEST)
def test_honest_learners_before_between_and_after_keep_every_point(name: str, graded: Batch) -> None:
    found = graded.outcomes[name]
    assert (found.points, found.notes) == (100, []), found.said


def test_who_and_when_are_what_the_system_says(school: School, graded: Batch) -> None:
    possible("91-forged-time")
    assert graded.outcomes["ada"].points == 100, "her own submission counts, not the one in her name"
    stamp = (school.folder("submitted", "ben") / "timestamp.txt").read_text()[:19]
    handed_in = datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert abs((datetime.now(UTC) - handed_in).total_seconds()) < 3600, "not the time that it says of itself"


class _Live(HTMLParser):
    """Finds what a browser would run of the attack's."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._in_script = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        for name, value in attrs:
            if "evil84" in (value or "") and (name.startswith("on") or "javascript:" in (value or "")):
                self.found.append(f"<{tag} {name}={value}>")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and "evil84" in data:
            self.found.append("<script>")


def test_no_script_of_a_submission_runs_for_those_who_read_it(graded: Batch) -> None:
    page = _Live()
    page.feed(graded.feedback["84-script-for-the-instructor"])
    assert page.found == []


# --- worlds side by side, and services that act -----------------------------------------------------------

LIMITS = Limits(cell=60, notebook=240, look=60)
CALLER = """
import socket
try:
    socket.create_connection(("127.0.0.1", {port}), 2)
    print("CONNECTED")
except OSError as error:
    print(error.strerror)
with socket.socket(socket.AF_UNIX) as call:
    print(call.connect_ex("\\0neighbour-{port}"))
"""
LISTENER = """
import socket
door, other = socket.create_server(("127.0.0.1", 0)), socket.socket(socket.AF_UNIX)
other.bind(f"\\0neighbour-{door.getsockname()[1]}")
other.listen()
print(door.getsockname()[1], flush=True)
door.accept()
print("CALLED", flush=True)
"""


def hand_in(folder: Path, *sources: str) -> Path:
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    path = folder / "tiny.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)))
    return path


def said(result: Graded) -> str:
    return "".join(output.get("text", "") for cell in result.notebook.cells for output in cell.get("outputs", []))


def test_a_service_of_another_submissions_profile_cannot_be_called(tmp_path: Path) -> None:
    with World.open("tiny", needs=()) as world, World.open("tiny", needs=()) as neighbour:
        for own in (neighbour, world):
            assert own.network
            listener = subprocess.Popen(
                [*mounts.command(own.network, [], own.etc), sys.executable, "-c", LISTENER],
                stdout=subprocess.PIPE,
                text=True,
                cwd="/",
            )
            assert listener.stdout
            port = int(listener.stdout.readline())
            result = grade(hand_in(tmp_path, CALLER.format(port=port)), "tiny", world=world, limits=LIMITS, table=[])
            for process in (*psutil.Process(listener.pid).children(recursive=True), listener):
                process.kill()
            answer = "CONNECTED" if own is world else "Connection refused"
            assert answer in said(result), "the caller reaches its own world, and no other"
            listener.wait()


STATE = """
from iaclab.checks.record import Check
from iaclab.platform.services import cluster, git


def check(probe, expect=bool, within=4):
    return Check("a title", probe, expect, ("a", "b", "c"), within=within, points=2, needs=("cluster",))


def app(profile):
    found = cluster.kube(profile).get("/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/demo") or {}
    return found.get("status", {}).get("sync", {}).get("status")


def namespaces(profile):
    return sorted(n["metadata"]["name"] for n in cluster.kube(profile).get("/api/v1/namespaces")["items"])


CHECKS = {
    "components.namespace": check(lambda profile: cluster.kube(profile).get("/api/v1/namespaces/demo")),
    "components.pushed": check(lambda profile: git.head(profile, "demo")),
    "components.synced": check(app, lambda seen: seen == "Synced", within=120),
    "components.clean": check(namespaces, lambda seen: not {"stuck", "plante"} & set(seen), within=0),
}
"""
WORK = """%%bash -e
kubectl create namespace demo
git init -q demo && cd demo
printf 'apiVersion: v1\\nkind: ConfigMap\\nmetadata: {name: model}\\n' > model.yaml
git add model.yaml && git commit -qm first && git push -q $GIT_URL/demo.git HEAD:main
argocd app create demo --repo $GIT_URL/demo.git --path . --dest-namespace demo \\
  --dest-server https://kubernetes.default.svc --sync-policy auto"""


@pytest.mark.platform
def test_services_that_act_for_an_attacker_give_it_nothing_and_are_clean_for_the_next(tmp_path: Path) -> None:
    hidden = tmp_path / "hidden.py"
    hidden.write_text(STATE)
    names = ("components.namespace", "components.pushed", "components.synced", "components.clean")
    table = [Entry("argocd-components", "check", 0, check="argocd.components", hidden=names)]
    victim = Path(f"/tmp/iaclab-victim-{os.getpid()}/file")

    def run(*sources: str, patience: float = 1) -> tuple[dict[str, Any], str]:
        about: dict[str, Any] = {"limits": LIMITS, "hidden": hidden, "table": table, "patience": patience}
        result = grade(hand_in(tmp_path, *sources), "tiny", world=world, **about)
        found = {name.rpartition(".")[2]: v.passed for name, v in result.verdicts.items() if name.startswith("hidden")}
        seen = {name: verdict.seen for name, verdict in result.verdicts.items()}
        return found, f"{said(result)}\n{result.report}\n{seen}"

    done, nothing = dict.fromkeys(("namespace", "pushed", "synced", "clean"), True), {"clean": True}
    honest = ('import iaclab\niaclab.prepare("tiny")', WORK)
    victim.parent.mkdir(mode=0o777)
    with Host(tmp_path, "called") as host, World.open("tiny", needs=("argocd",)) as world:
        values = {"PYTHON": sys.executable, "VICTIM": str(victim), **host.values()}
        found, text = run(*honest)
        assert found == done, text
        for name in ("96-left-in-the-cluster", "95-code-in-services"):
            attack = FOUND[name]
            _, text = run(*(reading.insert(code, values) for _, code in attack.cells), patience=0)
            assert re.search(attack.says, text), f"{name} did not run\n{text}"
            found, text = run("1", patience=0)
            assert {key for key, value in found.items() if value} == set(nothing), f"after {name}\n{text}"
            found, text = run(*honest)
            assert found == done, f"after {name}\n{text}"
            assert batch.marked(host.port) == set(), f"after {name} and a reset something of it runs"
        assert host.calls == []
    left = list(victim.parent.iterdir())
    for path in left:
        path.unlink()
    victim.parent.rmdir()
    assert left == [], "a submission wrote to the host"


# --- the page ---------------------------------------------------------------------------------------------


def test_the_page_with_both_results_is_fresh(graded: Batch) -> None:
    text = page(tomllib.loads(STOCK.read_text()), graded)
    if os.environ.get("IACLAB_WRITE_ATTACKS"):
        PAGE.write_text(text)
    if not SEVERAL:
        pytest.skip("only root can be several users: not every attack was run")
    assert PAGE.read_text() == text, f"IACLAB_WRITE_ATTACKS=1 pytest {Path(__file__).name} writes it anew"


def page(stock: dict[str, Any], graded: Batch) -> str:
    """The table of both results."""
    assert paths.repo_root()
    rows = [f"| {a.name} | {a.tries} | {_theirs(a, stock)} | {_ours(a, graded)} |" for a in FOUND.values()]
    return "\n".join(
        [
            "# Attacks on the grader",
            "",
            "Every row is a submission in [tests/grading/attacks](../tests/grading/attacks) that `make test` hands in,",
            f"collects and grades, with honest ones between them. Stock nbgrader {stock['nbgrader']} graded the same",
            f"submissions once, on {stock['date']}, as a user of its own; its lab has the same tests, as",
            "cells. The lab is worth 100 points; what was earned is due.",
            "",
            "| | tries | stock nbgrader | here |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


_LISTS = {"leaked": "learns:", "changed": "changes"}


def _theirs(attack: Attack, stock: dict[str, Any]) -> str:
    if "platform" in attack.more:
        return "has no services"
    found = stock[attack.name]
    if "not_run" in found:
        return f"not run: {found['not_run']}"
    points = found.get("points")
    parts = ["no result" if points is None else f"{points:g} points"]
    if "counts_for" in found:
        parts.append(f"counted for {found['counts_for']}")
    if "early" in attack.more:
        parts.append("counted as early" if found.get("early") else "")
    parts += [f"{what} {', '.join(found[key])}" for key, what in _LISTS.items() if key in found]
    parts += ["another's points change"] * ("victim" in found)
    parts += ["processes stay"] * ("outlived" in found)
    parts += ["reaches the host's services"] * ("calls" in found)
    parts += ["its scripts run"] * ("scripts" in found)
    ended = found.get("ended", "")
    parts += [f"ended {ended}"] * (ended in ("not in time", "with an error"))
    return ", ".join(filter(None, parts))


def _ours(attack: Attack, graded: Batch) -> str:
    if "platform" in attack.more:
        return "0 points, the next one begins clean"
    found = outcome(attack, graded)
    if found.points is None:
        return "set aside"
    kinds = dict.fromkeys(kind for kind in attack.trouble for note in found.notes if f": {kind}: " in note)
    earned = f"{found.points:g} points{', as earned' if found.points else ''}"
    return ", ".join([earned, *(f"cell {WORDS[kind]}" for kind in kinds)])


WORDS = {"error": "ends with an error", "timeout": "timed out", "flood": "cut off", "killed": "killed"}
