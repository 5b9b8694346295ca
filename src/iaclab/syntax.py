"""`iaclab lint`: syntax errors of policies and of what they judge, with file, line and a hint.

Rego is read by OPA, HCL by Terraform, Sentinel by its interpreter, YAML by PyYAML; what they say is brought
into one form.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from iaclab import tools
from iaclab.errors import LabError

# What OPA, Terraform and PyYAML say (a regular expression), and what to do about it; the first that fits.
_HINTS = {
    ".rego": (
        (r"`if` keyword is required", "Rego v1 has `if` before a body: deny contains message if { … }"),
        (r"`contains` keyword is required", "a rule that collects values is `deny contains message if { … }`"),
        (r"import future\.keywords|var cannot be used for rule name", "a rule needs `contains`, `if`, or both"),
        (r"var (\S+) is unsafe", "nothing gives it a value: is it misspelt, or should it be `some … in …`?"),
        (r"undefined (function|ref)", "there is no such thing in this version of OPA: opa capabilities --current"),
        (r"assigned var \S+ unused|unused argument|import \S+ unused", "it is never used: is another name misspelt?"),
        (r"rego_type_error", "it can never be true: the two sides have different types"),
        (r"rego_recursion_error", "rules must not ask themselves: split the rule"),
        (r"conflicting rules|multiple default", "one name, one kind of rule: give one of them another name"),
        (r"unexpected (\S+) token|unexpected eof|non-terminated", "a brace, a quote or `if` is missing, here or above"),
    ),
    ".tf": (
        (r"Invalid expression", "nothing stands after the ="),
        (r"Unclosed configuration block|Unbalanced|Missing closing", "a brace or a bracket is never closed"),
        (r"Argument or block definition required", "a setting is `name = value`, a block is `name { … }`"),
        (r"Unterminated|Invalid multi-line string", "a quote is never closed"),
        (r"Missing newline", "two settings stand on one line, or a comma is where a line should end"),
    ),
    ".yaml": (
        (r"cannot start any token", "tabs do not indent YAML: use spaces; values that begin with @ or ` need quotes"),
        (r"mapping values are not allowed", "a value with a colon needs quotes, or a line is indented too far"),
        (r"expected <block end>|did not find expected|block mapping", "this line is not indented as those above it"),
        (r"found duplicate key", "the key stands twice: the second would win silently"),
        (r"unexpected end of stream|quoted scalar", "a quote is never closed"),
        (r"flow (mapping|sequence)", "a { or a [ is never closed, or a comma is missing"),
    ),
}  # fmt: skip
_HCL_ERROR = re.compile(
    r"Error: (?P<what>[^\n]+)\n+\s*on (?P<file>.+?) line (?P<line>\d+)[^\n]*\n(?P<rest>.*?)(?=Error: |\Z)", re.S
)
_SKIPPED = {".terraform", ".git", ".venv", "node_modules"}


@dataclass(frozen=True)
class Problem:
    """One error: `line` and `column` count from 1, column 0 is not known."""

    file: Path
    line: int
    column: int
    what: str
    hint: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" + (f":{self.column}" if self.column else "")
        return f"{place}: {self.what}" + (f"\n  hint: {self.hint}" if self.hint else "")


def problems(paths: Iterable[Path | str]) -> list[Problem]:
    """Every syntax error of files, and of the files below folders, by file and line.

    Raises:
        LabError: a path is not there, or a file's name does not say what it is.
    """
    files = [file for path in paths for file in _files(Path(path))]
    rego = [file for file in files if file.suffix == ".rego"]
    found = list(_rego(rego)) if rego else []
    for file in files:
        if reader := _READERS.get(file.suffix):
            found += reader(file)
    return sorted(found, key=lambda problem: (str(problem.file), problem.line, problem.column))


def _files(path: Path) -> list[Path]:
    known = {*_READERS, ".rego"}
    if path.is_dir():
        below = (file for file in sorted(path.rglob("*")) if not _SKIPPED & set(file.relative_to(path).parts))
        return [file for file in below if file.suffix in known and file.is_file()]
    if not path.exists():
        raise LabError(f"{path} is not there.", mend="ls")
    if path.suffix not in known:
        raise LabError(
            f"{path}: nothing reads files of this kind.",
            why=f"Known: {', '.join(sorted(known))}.",
            mend="iaclab lint .",
        )
    return [path]


def _rego(files: list[Path]) -> Iterator[Problem]:
    """OPA reads them together, because a policy may use another's rules; it reports one stage's errors at a time."""
    command = [
        str(tools.ensure("opa")["opa"]),
        "check",
        "--strict",
        "--format=json",
        "--max-errors=0",
        *map(str, files),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return
    try:
        errors = json.loads(done.stderr or done.stdout)["errors"]
    except (ValueError, KeyError):
        raise LabError("OPA could not read the policies.", why=(done.stderr or done.stdout).strip()[:300]) from None
    for error in errors:
        place = error.get("location") or {}
        text = f"{error.get('code', '')} {error['message']}"
        file, row = Path(place.get("file") or files[0]), int(place.get("row", 1))
        row = min(row, max(1, len(file.read_text().splitlines())))  # an open brace is noticed beyond the end
        yield Problem(file, row, int(place.get("col", 0)), error["message"], _hint(".rego", text))


def _hcl(file: Path) -> list[Problem]:
    command = [
        str(tools.ensure("terraform")["terraform"]),
        "fmt",
        "-no-color",
        "-write=false",
        "-list=false",
        str(file),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=_quiet())
    plain = re.sub(r"^[│╷╵] ?", "", re.sub(r"\x1b\[[0-9;]*m", "", done.stderr), flags=re.MULTILINE)
    return [
        Problem(
            file, int(match["line"]), 0, f"{match['what']}: {_sentence(match['rest'])}", _hint(".tf", match["what"])
        )
        for match in _HCL_ERROR.finditer(plain)
    ]


def _sentence(rest: str) -> str:
    """Terraform's explanation, without the lines of the file that it quotes."""
    lines = [line.strip() for line in rest.splitlines() if line.strip() and not re.match(r"\s*\d+:", line)]
    return " ".join(lines)[:200]


def _quiet() -> dict[str, str]:
    return {**os.environ, "CHECKPOINT_DISABLE": "1", "TF_CLI_ARGS": "", "NO_COLOR": "1"}


class _Strict(yaml.SafeLoader):
    """Knows every tag's shape, and refuses a key that stands twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            name = str(key.value)
            if name in seen and name != "<<":
                raise yaml.constructor.ConstructorError(None, None, f"found duplicate key {name!r}", key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


_Strict.add_multi_constructor("", lambda loader, suffix, node: None)  # a tag of somebody's own is no error of syntax


def _yaml(file: Path) -> list[Problem]:
    try:
        for _ in yaml.load_all(file.read_text(), Loader=_Strict):
            pass
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.problem, error.context and f"({error.context})")))
        return [Problem(file, mark.line + 1 if mark else 1, mark.column + 1 if mark else 0, what, _hint(".yaml", what))]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        return [Problem(file, 1, 0, " ".join(str(error).split())[:200], "is it text in UTF-8?")]
    return []


def _sentinel(file: Path) -> list[Problem]:
    from iaclab.sentinel.errors import SentinelError, Source
    from iaclab.sentinel.parse import parse

    try:
        parse(Source(str(file), file.read_text()))
    except SentinelError as error:
        line, column = (error.place.line, error.place.column) if error.place else (1, 0)
        return [Problem(file, line, column, error.what, error.hint)]
    return []


def _hint(kind: str, text: str) -> str:
    return next((hint for pattern, hint in _HINTS[kind] if re.search(pattern, text)), "")


_READERS: dict[str, Callable[[Path], list[Problem]]] = {
    ".tf": _hcl,
    ".tfvars": _hcl,
    ".yaml": _yaml,
    ".yml": _yaml,
    ".sentinel": _sentinel,
}
