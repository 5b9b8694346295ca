"""Checks: polled, patient with errors, three hints, and what they say when the platform is down."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import iaclab
from iaclab import paths
from iaclab.checks import CheckFailed, checks, progress
from iaclab.checks.record import Check, Result
from iaclab.errors import LabError
from iaclab.platform import registry
from iaclab.platform.profile import Profile
from iaclab.platform.supervise import Supervisor

HINTS = ("a nudge", "a pointer", "a command")


def sequence(*answers: object) -> Check:
    """A check that expects "done" and sees one answer after the other, the last one for ever."""
    left = list(answers)

    def probe(profile: Profile) -> object:
        answer = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    return Check("it is done", probe, lambda seen: seen == "done", HINTS, within=20, needs=())


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    """A platform that runs, without any service."""
    running = Supervisor(Profile())
    running.ensure()
    yield running
    running.shutdown()


# --- one look after the other ---------------------------------------------------------------------------


def test_a_check_looks_again_until_what_it_sees_will_do() -> None:
    result = sequence("begun", "half done", "done").run(Profile())
    assert (result.passed, result.seen, result.hint, result.points) == (True, "done", "", 1)


def test_an_exception_means_not_yet() -> None:
    assert sequence(ConnectionError("no"), KeyError("status"), "done").run(Profile()).passed


def test_what_does_not_pass_may_be_worth_a_part_of_the_points() -> None:
    check = Check("it is done", lambda profile: 3, lambda seen: seen == 5, HINTS, points=5, needs=(), earned=int)
    result = check.run(Profile())
    assert (result.passed, result.points, result.hint) == (False, 3, "a nudge")


def test_an_error_is_worth_nothing() -> None:
    check = Check("it is done", lambda profile: 1 / 0, bool, HINTS, points=5, needs=(), earned=lambda seen: 5)
    assert check.run(Profile()).points == 0


def test_an_expectation_that_cannot_be_tested_means_not_yet() -> None:
    check = Check("it is done", lambda profile: None, lambda seen: seen["status"] == 1, HINTS, needs=())
    result = check.run(Profile())
    assert not result.passed
    assert result.hint == "a nudge"


def test_a_check_gives_up_when_its_time_is_over() -> None:
    looks: list[float] = []

    def probe(profile: Profile) -> str:
        looks.append(time.monotonic())
        return "begun"

    started = time.monotonic()
    result = Check("it is done", probe, lambda seen: seen == "done", HINTS, within=1, needs=()).run(Profile())
    assert not result.passed
    assert len(looks) >= 2
    assert 1 <= time.monotonic() - started < 60


def test_a_learner_who_waits_is_told_once_and_one_who_does_not_wait_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iaclab.checks.record._PATIENCE", 0.6)
    said: list[str] = []
    sequence("half done", "done").run(Profile(), tell=said.append)
    assert said == []
    sequence(*["half done"] * 5, "done").run(Profile(), tell=said.append)
    assert said == ["not yet; looking again for up to 20 s …"]


@pytest.mark.parametrize(("attempt", "hint"), [(1, "a nudge"), (2, "a pointer"), (3, "a command"), (9, "a command")])
def test_each_miss_shows_the_next_hint(attempt: int, hint: str) -> None:
    check = Check("it is done", lambda profile: "begun", lambda seen: False, HINTS, needs=())
    assert check.run(Profile(), attempt).hint == hint


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        (None, "nothing"),
        ([], "nothing"),
        ("", "nothing"),
        ({"replicas": 4, "state": "Synced/Healthy"}, "replicas: 4, state: Synced/Healthy"),
        (["controller", "repo-server"], "controller, repo-server"),
        ("two\n  lines", "two lines"),
        (FileNotFoundError(2, "No such file or directory", "components.txt"), "components.txt is not there"),
        (LabError("Argo CD's API cannot be used.", "x", "y"), "Argo CD's API cannot be used."),
        (KeyError("status"), "KeyError: 'status'"),
    ],
)
def test_what_was_seen_reads_well(seen: object, text: str) -> None:
    def probe(profile: Profile) -> object:
        if isinstance(seen, Exception):
            raise seen
        return seen

    assert Check("it is done", probe, lambda seen: False, HINTS, needs=()).run(Profile()).seen == text


def test_what_was_seen_is_cut_where_it_is_long() -> None:
    seen = Check("it is done", lambda profile: "x" * 9999, lambda seen: False, HINTS, needs=()).run(Profile()).seen
    assert len(seen) == 240
    assert seen.endswith("…")


# --- how it shows itself ---------------------------------------------------------------------------------


def test_a_result_has_a_word_beside_its_mark_and_escapes_what_it_saw() -> None:
    passed = Result("it is <done>", True, "done", "", 1)
    missed = Result("it is done", False, "<script>", "use a & b", 0)
    assert str(passed) == "✔ passed: it is <done>"
    assert str(missed).splitlines() == ["✘ not yet: it is done", "  seen: <script>", "  hint: use a & b"]
    assert "✔ passed</b>: it is &lt;done&gt;" in passed._repr_html_()
    assert "✘ not yet</b>" in missed._repr_html_()
    assert "&lt;script&gt;" in missed._repr_html_()
    assert "a &amp; b" in missed._repr_html_()


# --- the platform is down --------------------------------------------------------------------------------


def test_a_notebook_that_has_moved_is_told_the_way_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`%cd envs/dev` in one cell, and the check of the next looks for its files there."""
    lesson = tmp_path / "workspace" / "lab1-terraform-modules"
    (lesson / "envs" / "dev").mkdir(parents=True)
    monkeypatch.setenv("IACLAB_WORKSPACE", str(lesson.parent))
    monkeypatch.chdir(lesson)
    assert "%cd" not in iaclab.check("lab1.compliance").hint
    monkeypatch.chdir(lesson / "envs" / "dev")
    result = iaclab.check("lab1.compliance")
    assert result.seen == "plans/dev.json is not there"
    assert result.hint.startswith(f"This notebook has moved to envs/dev, and the check looks there: %cd {lesson}")
    root = paths.repo_root()
    assert root
    monkeypatch.chdir(root / "labs")  # where a kernel starts
    assert iaclab.check("lab1.compliance").hint.startswith("Run this notebook's first cell again")


def test_a_platform_that_is_down_is_named_at_once_and_counts_as_no_attempt() -> None:
    started = time.monotonic()
    result = iaclab.check("argocd.root-vision")  # would look for 60 seconds
    assert time.monotonic() - started < 50
    assert not result.passed
    assert result.seen == "the platform is not running"
    assert "first cell" in result.hint
    assert "iaclab up argocd" in result.hint
    assert progress.attempts("argocd.root-vision") == 0


def test_a_service_that_is_down_is_named(supervisor: Supervisor) -> None:
    check = Check("it is done", lambda profile: 1 / 0, lambda seen: True, HINTS, needs=("redis",))
    result = check.run(supervisor.profile)
    assert result.seen == "redis is not ready: it does not answer (Connection refused)"
    assert result.hint.endswith("iaclab up redis")
    assert result.away


def test_a_check_that_passes_asks_nothing_of_the_platform() -> None:
    assert Check("it is done", lambda profile: "done", lambda seen: True, HINTS).run(Profile()).passed


# --- by name ---------------------------------------------------------------------------------------------


def test_an_unknown_check_is_answered_with_near_ones() -> None:
    with pytest.raises(LabError) as error:
        iaclab.check("argocd.rollback")
    assert error.value.mend == 'iaclab.check("argocd.rolled-back")'
    assert "argocd.rolled-back" in error.value.why
    with pytest.raises(LabError) as error:
        iaclab.check("argocd.nope")
    assert "argocd." in error.value.mend


def test_misses_are_counted_and_a_pass_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("iaclab.checks.record._POLL", 0.01)
    hints = checks()["argocd.components"].hints
    (tmp_path / "components.txt").write_text("redis")
    seen = [iaclab.check("argocd.components").hint for _ in range(4)]
    assert seen == [*hints, hints[2]]
    (tmp_path / "components.txt").write_text("controller\nrepo-server")
    assert iaclab.check("argocd.components").passed
    assert progress.load()["argocd.components"]["points"] == 1
    (tmp_path / "components.txt").unlink()
    assert iaclab.check("argocd.components").hint == hints[0]


def test_strict_mode_raises_what_the_learner_would_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("IACLAB_STRICT_CHECKS", "1")
    with pytest.raises(CheckFailed, match="not yet"):
        iaclab.check("argocd.components")


@pytest.mark.parametrize("name", checks())
def test_every_check_has_a_title_three_hints_and_services_that_exist(name: str) -> None:
    record = checks()[name]
    assert record.title.strip()
    assert len(record.hints) == 3
    assert all(hint.strip() for hint in record.hints), f"{name} has an empty hint"
    assert len(set(record.hints)) == 3, f"{name} gives the same hint twice"
    assert set(record.needs) <= set(registry.services())
    assert 0 <= record.within <= 120
    assert record.points > 0
