"""A class from release to feedback with nbgrader's own commands: teacher, good, average and cheating learner.

The steps build on each other, in their order. Each person is a Unix user of its own where the tests run as root.
"""

from __future__ import annotations

import csv
import json
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import handed_in
import httpx
import psutil
import pytest
from clone import LAB
from nbgrader.api import Gradebook  # type: ignore[import-untyped]
from town import AVERAGE, CHEAT, GOOD, SEVERAL, TEACHER, Town

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sandbox, bubblewrap, needs Linux")
LEARNERS = (GOOD, AVERAGE, CHEAT)
NOTEBOOK = f"{LAB}.ipynb"
BY_MACHINE = {GOOD: 80, AVERAGE: 20, CHEAT: 0}
SECRETS = ("secret-of-the-hidden-check", "In Git: the model answer", "a place with a history")
alone = pytest.mark.skipif(not SEVERAL, reason="only root can be several users: who handed in what is not tested")


@pytest.fixture(scope="module")
def town() -> Iterator[Town]:
    with Town() as town:
        yield town


def fetched(town: Town, who: str) -> Path:
    return town.home(who) / LAB / NOTEBOOK


def gradebook(town: Town) -> Any:
    return Gradebook(f"sqlite:///{town.inside / 'gradebook.db'}")


def scores(town: Town) -> dict[str, float]:
    with gradebook(town) as book:
        return {found.student.id: found.score for found in book.assignment_submissions(LAB)}


def report(town: Town) -> dict[str, Any]:
    return dict(json.loads((town.inside / "reports" / f"{LAB}.json").read_text()))


def test_the_teacher_releases_the_lab_without_its_secrets(town: Town) -> None:
    town.run(TEACHER, "python", "iaclab.build", "--instructor")
    town.run(TEACHER, "nbgrader", "generate_assignment", LAB)
    town.run(TEACHER, "nbgrader", "release_assignment", LAB)
    released = (town.exchange / "iaclab" / "outbound" / LAB / NOTEBOOK).read_text()
    assert not [secret for secret in (*SECRETS, "eu-west-1\\n", "ANSWER = 24") if secret in released]
    assert "ANSWER = None" in released


@pytest.mark.parametrize("who", LEARNERS)
def test_a_learner_sees_and_fetches_it(town: Town, who: str) -> None:
    assert f"iaclab {LAB}" in town.run(who, "nbgrader", "list")
    town.run(who, "nbgrader", "fetch_assignment", LAB)
    handed_in.fill(fetched(town, who), {GOOD: handed_in.GOOD, AVERAGE: handed_in.AVERAGE}.get(who, {}))
    if who == CHEAT:
        handed_in.cheat(fetched(town, who))


def test_validating_tells_what_does_not_pass_yet(town: Town) -> None:
    assert "Success!" in town.run(GOOD, "nbgrader", "validate", f"{LAB}/{NOTEBOOK}")
    said = town.run(AVERAGE, "nbgrader", "validate", f"{LAB}/{NOTEBOOK}")
    assert "VALIDATION FAILED ON 1 CELL(S)" in said
    assert "region.txt names the region" in said
    assert "✘ not yet: nodes.json" not in said, "what passes is no failure, though a hidden check will not"


def test_all_hand_in(town: Town) -> None:
    for who in LEARNERS:
        extra = [] if SEVERAL else [f"--student={who}"]
        town.run(who, "nbgrader", "submit", LAB, *extra)
        assert LAB in town.run(who, "nbgrader", "list", "--cached")
    if not SEVERAL:  # all of one user: what the exchange says of them is not to be trusted, so the teacher copies them
        for path in (town.exchange / "iaclab" / "inbound").iterdir():
            shutil.copytree(path, town.inside / "submitted" / path.name.split("+")[0] / LAB)


@alone
def test_a_submission_in_anothers_name_is_set_aside_and_all_others_are_collected(town: Town) -> None:
    forged = f"{GOOD}+{LAB}+2031-01-01 00:00:00.000000 UTC+AAAAAAAAAAAA"
    inbound = town.exchange / "iaclab" / "inbound"
    town.run(CHEAT, "sh", "-c", f"cp -r {LAB} '{inbound}/{forged}' && chmod -R a+rX '{inbound}/{forged}'")
    broken = f"{CHEAT}+{LAB}+2032-01-01 00:00:00.000000 UTC+BBBBBBBBBBBB"
    town.run(CHEAT, "sh", "-c", f"mkdir '{inbound}/{broken}' && ln -s /etc/passwd '{inbound}/{broken}/{NOTEBOOK}'")
    before = time.time()
    said = town.run(TEACHER, "nbgrader", "collect", LAB)
    assert f"it claims to be of {GOOD}, and {CHEAT} handed it in" in said
    assert f"'{NOTEBOOK}' is a symbolic link" in said
    assert sorted(path.name for path in (town.inside / "submitted").iterdir()) == sorted(LEARNERS)
    for who in LEARNERS:
        stamp = (town.inside / "submitted" / who / LAB / "timestamp.txt").read_text()
        at = time.mktime(time.strptime(stamp[:19], "%Y-%m-%d %H:%M:%S")) - time.timezone
        assert abs(before - at) < 600, f"the time is that of the files: {stamp}"
    listed = town.run(TEACHER, "nbgrader", "list", "--inbound")
    assert "Passed over" in listed
    assert f"{GOOD} {LAB}" in listed


def test_the_lab_is_graded_by_the_state_that_was_left(town: Town) -> None:
    said = town.run(TEACHER, "iaclab", "grade", "lab0", "--workers", "1")
    assert scores(town) == BY_MACHINE, said
    assert "to be graded by hand" in said
    kept = report(town)
    assert "the locked cell lab0-region was changed" in kept["graded"][CHEAT]["notes"]
    if SEVERAL:
        assert f"it claims to be of {GOOD}" in said, "the summary repeats what was set aside"


def test_what_has_not_changed_is_not_graded_again(town: Town) -> None:
    before = report(town)["graded"]
    said = town.run(TEACHER, "iaclab", "grade", LAB)
    assert said.count("unchanged") == len(LEARNERS)
    assert report(town)["graded"] == before


def test_nbgraders_own_autograde_uses_the_trusted_grader_and_comes_to_the_same(town: Town) -> None:
    notebooks = {who: town.inside / "autograded" / who / LAB / NOTEBOOK for who in LEARNERS}
    first = {who: marks(path.read_text()) for who, path in notebooks.items()}
    town.run(TEACHER, "nbgrader", "autograde", LAB, "--force")
    assert {who: marks(path.read_text()) for who, path in notebooks.items()} == first
    assert scores(town) == BY_MACHINE
    assert "unchanged" in town.run(TEACHER, "iaclab", "grade", LAB, "--student", AVERAGE)


def marks(text: str) -> list[tuple[str, Any]]:
    """What stands below the graded cells of a notebook."""
    cells = json.loads(text)["cells"]
    graded = [cell for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade")]
    return [(cell["metadata"]["nbgrader"]["grade_id"], cell.get("outputs")) for cell in graded]


def test_the_essay_is_graded_by_hand_in_formgrader(town: Town) -> None:
    port, token = free_port(), secrets.token_hex()
    server = town.start(TEACHER, *SERVER, f"--ServerApp.port={port}", f"--IdentityProvider.token={token}")
    try:
        page = httpx.Client(
            base_url=f"http://127.0.0.1:{port}/formgrader", headers={"Authorization": f"token {token}"}, timeout=300
        )
        wait_for(page, town)
        shown = page.get(f"/submissions/{submission(town, GOOD)}/").text
        assert "a place with a history" in shown, "the rubric is beside the essay"
        for who, points in {GOOD: 15, AVERAGE: 5}.items():
            by_id = page.get("/api/grades", params={"submission_id": submission(town, who)}).json()
            essay = next(entry for entry in by_id if entry["name"] == "essay-where")
            assert essay["needs_manual_grade"]
            answer = page.put(f"/api/grade/{essay['id']}", json={"manual_score": points, "extra_credit": None})
            assert answer.json()["manual_score"] == points
        button = page.post(f"/api/submission/{LAB}/{CHEAT}/autograde").json()
        assert button["success"], button
    finally:
        town.kill(server)
    wait_for_an_end_of(town)
    assert scores(town) == {GOOD: 95, AVERAGE: 25, CHEAT: 0}


SERVER = (
    sys.executable,
    "-m",
    "jupyter_server",
    "--ServerApp.ip=127.0.0.1",
    "--ServerApp.port_retries=0",
    "--ServerApp.disable_check_xsrf=True",
    "--ServerApp.open_browser=False",
)


def wait_for_an_end_of(town: Town) -> None:
    """The process that graded for formgrader ends with its server, though that one could not tell it."""
    deadline = time.monotonic() + 120
    left = ["?"]
    while left and time.monotonic() < deadline:
        time.sleep(0.3)
        left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline", "environ"]) if graded_here(p, town)]
    assert not left


def graded_here(process: psutil.Process, town: Town) -> bool:
    words, env = process.info["cmdline"] or [], process.info["environ"] or {}
    return "multiprocessing" in " ".join(words) and env.get("HOME") == str(town.home(TEACHER))


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def wait_for(page: httpx.Client, town: Town) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        try:
            if page.get("/api/status").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.3)
    raise AssertionError((town.base / "started.log").read_text()[-3000:])


def submission(town: Town, who: str) -> str:
    with gradebook(town) as book:
        return str(book.find_submission_notebook(LAB, LAB, who).id)


def test_feedback_reaches_each_learner_and_shows_no_secret(town: Town) -> None:
    town.run(TEACHER, "nbgrader", "generate_feedback", LAB)
    (town.inside / "feedback" / CHEAT / LAB / "submission_secret.txt").unlink()
    said = town.run(TEACHER, "nbgrader", "release_feedback", LAB)
    assert f"{CHEAT}: feedback was not released: submission_secret.txt is missing" in said
    for who in (GOOD, AVERAGE):
        town.run(who, "nbgrader", "fetch_feedback", LAB)
        (page,) = town.home(who).rglob("feedback/*/*.html")
        text = page.read_text()
        assert not [secret for secret in SECRETS if secret in text]
        assert "region.txt names the region" in text, "the visible checks say what they saw"
    assert "0 of 1 passed" in text, "the learner is told that something more was looked at"


def test_grades_are_exported_for_people_and_for_systems(town: Town) -> None:
    town.run(TEACHER, "nbgrader", "export")
    rows = list(csv.DictReader((town.inside / "grades.csv").open()))
    assert {row["student_id"]: float(row["score"]) for row in rows} == {GOOD: 95, AVERAGE: 25, CHEAT: 0}
    for name, column, login in (("Moodle", f"Assignment: {LAB}", "Username"), ("Canvas", LAB, "SIS Login ID")):
        town.run(TEACHER, "nbgrader", "export", f"--exporter=iaclab.grading.export.{name}")
        found = list(csv.DictReader((town.inside / f"grades-{name.lower()}.csv").open()))
        assert {row[login]: float(row[column]) for row in found if row[login]}[GOOD] == 95
    assert found[0]["Student"].strip() == "Points Possible"
    assert float(found[0][LAB]) == 100


@alone
def test_one_who_hands_in_again_is_graded_again_and_nobody_else_and_pays_for_being_late(town: Town) -> None:
    before = report(town)["graded"]
    with gradebook(town) as book:
        book.update_or_create_assignment(LAB, duedate="2026-01-01 00:00:00 UTC")
    config = town.inside / "nbgrader_config.py"
    config.write_text(f"{config.read_text()}\nc.LateSubmissionPlugin.penalty_method = 'zero'\n")
    handed_in.fill(fetched(town, AVERAGE), {**handed_in.AVERAGE, "answer-gpus": "ANSWER = 24"})
    town.run(AVERAGE, "nbgrader", "submit", LAB)
    town.run(TEACHER, "nbgrader", "collect", LAB, "--update")
    said = town.run(TEACHER, "iaclab", "grade", LAB, "--workers", "1")
    assert scores(town)[AVERAGE] == 35, said
    with gradebook(town) as book:
        assert book.find_submission(LAB, AVERAGE).late_submission_penalty == 35
        assert book.find_submission(LAB, GOOD).late_submission_penalty == 0
    after = report(town)["graded"]
    assert {who for who in after if after[who] != before[who]} == {AVERAGE}
