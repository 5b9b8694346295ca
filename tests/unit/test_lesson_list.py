"""The list of lessons, read from the front matter of their text."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from iaclab import lessons, paths
from iaclab.errors import LabError
from iaclab.platform import registry

TINY = Path(__file__).with_name("lessons")


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one lecture and one page."""
    for folder, name in (("notebooks", "good"), ("lectures", "lecture-breaks-nothing")):
        (tmp_path / "content" / folder).mkdir(parents=True)
        shutil.copy(TINY / f"{name}.md", tmp_path / "content" / folder)
    monkeypatch.setattr(paths, "repo_root", lambda: tmp_path)
    return tmp_path / "content"


def test_a_text_file_is_all_that_a_new_lesson_needs(content: Path) -> None:
    assert [entry.id for entry in lessons.lessons()] == ["good", "lecture-breaks-nothing"]
    shutil.copy(TINY / "no-time.md", content / "lectures" / "09-new.md")
    new = lessons.lesson("09-new")
    assert new.notebook == "lectures/09-new.ipynb"
    assert new.needs == ("cluster",)
    assert new.objectives == ("see one cell run",)


def test_an_unknown_lesson_is_answered_with_the_nearest(content: Path) -> None:
    shutil.copy(TINY / "good.md", content / "lectures" / "04-argocd-deployment.md")
    for wrong in ("04-argo", "04-argocd-deploymnet"):
        with pytest.raises(LabError) as error:
            lessons.lesson(wrong)
        assert error.value.mend == 'iaclab.prepare("04-argocd-deployment")'
        assert "good" in error.value.why


@pytest.mark.parametrize("fault", ["front-matter-is-not-yaml", "front-matter-is-a-list"])
def test_one_broken_lesson_does_not_stop_another(content: Path, fault: str) -> None:
    shutil.copy(TINY / f"{fault}.md", content / "lectures" / "broken.md")
    assert lessons.lesson("good").minutes == 5
    with pytest.raises(LabError) as error:
        lessons.lesson("broken")
    assert "broken.md" in str(error.value)
    assert error.value.mend == "python -m iaclab.build --check"


def test_without_a_clone_the_message_says_where_lessons_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "repo_root", lambda: None)
    with pytest.raises(LabError, match="clone"):
        lessons.lessons()


@pytest.mark.parametrize("entry", lessons.lessons(), ids=lambda entry: entry.id)
def test_the_courses_lessons_name_services_that_exist_and_a_time(entry: lessons.Lesson) -> None:
    assert set(entry.needs) <= set(registry.services())
    assert 0 < entry.minutes <= 360
    assert entry.title
    assert all(not re.search(r"[.:]$", objective) for objective in entry.objectives), "objectives end without a stop"
