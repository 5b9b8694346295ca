"""`iaclab lint`: a wrong file of each kind gives its line and a hint, a right one nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from iaclab import syntax, tools
from iaclab.cli import app
from iaclab.errors import LabError

GOOD = {
    "good.rego": 'package a\n\ndeny contains message if {\n\tinput.gpus > 8\n\tmessage := "too many"\n}\n',
    "good.tf": 'resource "a" "b" {\n  x = 1\n}\n',
    "good.tfvars": "x = 1\n",
    "good.yaml": "a: 1\n---\nb: !mine [1, 2]\n",
    "good.sentinel": "main = rule { 1 is 1 }\n",
}
BAD = [
    ("v0.rego", "package a\n\ndeny[message] {\n\tmessage := 1\n}\n", 3, "`if` keyword is required", "Rego v1 has `if`"),
    ("unsafe.rego", "package a\n\nallow if input.gpus > lmit\n", 3, "var lmit is unsafe", "misspelt"),
    ("brace.rego", "package a\n\nallow if {\n\tinput.x\n", 4, "unexpected eof token", "a brace, a quote or"),
    ("type.rego", 'package a\n\nallow if {\n\tx := 1\n\tx == "1"\n}\n', 5, "match error", "never be true"),
    ("unused.rego", "package a\n\nallow if {\n\tx := 1\n\tinput.y\n}\n", 4, "assigned var x unused", "never used"),
    ("value.tf", 'resource "a" "b" {\n  x = \n}\n', 2, "Invalid expression", "after the ="),
    ("open.tf", 'resource "a" "b" {\n  x = 1\n', 1, "Unclosed configuration block", "never closed"),
    ("quote.tfvars", 'a = "x\n', 1, "Unterminated", "a quote"),
    ("indent.yaml", "a:\n  - b\n c: d\n", 3, "expected <block end>", "not indented"),
    ("tab.yml", "a:\n\tb: 2\n", 2, "cannot start any token", "tabs do not indent"),
    ("twice.yaml", "a: 1\nb: 1\na: 2\n", 3, "found duplicate key 'a'", "stands twice"),
    ("colon.yaml", "a: b: c\n", 1, "mapping values are not allowed", "needs quotes"),
    ("operand.sentinel", "main = rule {\n  1 is\n}\n", 3, "unexpected }", "expression is missing"),
]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    missing = [name for name in ("opa", "terraform") if tools.find(name) is None]
    if missing:
        pytest.skip(f"not installed: iaclab tools install {' '.join(missing)}")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("name", "text", "line", "what", "hint"), BAD, ids=lambda v: v if isinstance(v, str) else None)
def test_a_wrong_file_gives_its_line_and_a_hint(name: str, text: str, line: int, what: str, hint: str) -> None:
    Path(name).write_text(text)
    found = [problem for problem in syntax.problems([name]) if what in problem.what]
    assert found, syntax.problems([name])
    assert (str(found[0].file), found[0].line) == (name, line)
    assert hint in found[0].hint
    assert str(found[0]).startswith(f"{name}:{line}")


def test_right_files_give_nothing() -> None:
    for name, text in GOOD.items():
        Path(name).write_text(text)
    assert syntax.problems(["."]) == []


def test_a_folder_is_searched_and_other_peoples_folders_are_not() -> None:
    for folder in ("deep/er", ".terraform"):
        Path(folder).mkdir(parents=True)
        Path(folder, "x.yaml").write_text("a: b: c\n")
        Path(folder, "notes.txt").write_text("a: b: c\n")
    assert [str(problem.file) for problem in syntax.problems(["."])] == ["deep/er/x.yaml"]


@pytest.mark.parametrize(("path", "words"), [("none.tf", "is not there"), ("notes.txt", "nothing reads files")])
def test_what_cannot_be_read_is_one_clear_error(path: str, words: str) -> None:
    Path("notes.txt").write_text("x")
    with pytest.raises(LabError, match=words):
        syntax.problems([path])


def test_the_command_ends_with_1_where_something_is_wrong() -> None:
    Path("x.yaml").write_text("a: b: c\n")
    Path("y.yaml").write_text("a: 1\n")
    wrong = CliRunner().invoke(app, ["lint", "x.yaml", "y.yaml"])
    assert wrong.exit_code == 1 and wrong.output.startswith("x.yaml:1:5: mapping values")
    assert CliRunner().invoke(app, ["lint", "y.yaml"]).exit_code == 0
