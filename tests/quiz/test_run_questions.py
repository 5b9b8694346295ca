"""Each question of kind `run` is run: what its tools say decides which option is right, not what the bank says.

An option is true where every code span of it stands in the output. Exactly one may be, and it must be the bank's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from iaclab import paths, tools
from iaclab.quiz import bank
from iaclab.quiz.bank import Question

ROOT = paths.repo_root()
assert ROOT is not None
RUN = [one for one in bank.folder(ROOT / "content" / "quiz") if one.kind == "run"]
SPAN = re.compile(r"`([^`]+)`")


def says(option: str, output: str) -> bool:
    """Whether every code span of an option stands in the output, as words and not as a part of longer ones."""
    spans = SPAN.findall(option)
    assert spans, f"an option of a run question has a code span: {option}"
    return all(re.search(rf"(?<![\w.$-]){re.escape(span.strip())}(?![\w$-]|\.\w)", output) for span in spans)


def search_path(names: tuple[str, ...]) -> str:
    """The PATH of a lesson: the course's tools, then this environment's."""
    folders = dict.fromkeys(str(path.parent) for path in tools.ensure(*names, quiet=True).values())
    return os.pathsep.join([*folders, str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.mark.platform
@pytest.mark.parametrize("question", RUN, ids=lambda one: one.id)
def test_what_it_says_is_the_right_option_and_no_other(question: Question, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": search_path(question.needs), "TMPDIR": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        ["bash", "-e", "-c", question.code],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    said = " ".join(done.stdout.split())
    assert done.returncode == 0, f"it ends with {done.returncode}: {said}"
    true = [option for option in question.options if says(option, said)]
    assert true == [question.right], f"it says: {said}"
