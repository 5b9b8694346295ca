"""`sentinel test`: the cases beside a policy, each a configuration that says which rule has which value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from iaclab.sentinel import config as configuration
from iaclab.sentinel import policy
from iaclab.sentinel.errors import SentinelError
from iaclab.sentinel.values import equal, passes, show


@dataclass(frozen=True)
class Case:
    """One case that was run; `problems` is empty where all was as expected."""

    name: str
    problems: tuple[str, ...]
    outcome: policy.Outcome | None = None


def cases(path: Path) -> list[Path]:
    """The cases of a policy: test/<policy>/*.hcl and *.json."""
    folder = path.parent / "test" / path.stem
    return sorted(p for p in folder.glob("*") if p.suffix in (".hcl", ".json")) if folder.is_dir() else []


def policies(paths: list[Path]) -> list[Path]:
    """The policies that are named, or lie in the folders that are named.

    Raises:
        SentinelError: a path that is not there.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.glob("*.sentinel"))
        elif path.is_file():
            found.append(path)
        else:
            raise SentinelError(f"{path} is not there")
    return found


def run(path: Path, pattern: str = "") -> Iterator[Case]:
    """Run the cases of a policy; `pattern` is one for policies, after a / one for cases.

    Raises:
        SentinelError: the pattern is no regular expression.
    """
    wanted, _, which = pattern.partition("/")
    try:
        if not re.search(wanted, path.stem):
            return
        chosen = [case for case in cases(path) if re.search(which, case.stem)]
    except re.error as error:
        raise SentinelError(f"-run={pattern} is no regular expression: {error}") from None
    for case in chosen:
        name = str(case.relative_to(path.parent))
        try:
            yield _case(path, case, name)
        except SentinelError as error:
            yield Case(name, (str(error),))


def _case(path: Path, case: Path, name: str) -> Case:
    config = configuration.load(case)
    outcome = policy.run(path, config)
    if outcome.error:
        return Case(name, (str(outcome.error),), outcome)
    if config.rules is None:
        problems = () if outcome.passed else ("expected the policy to pass",)
        return Case(name, problems, outcome)
    found = []
    for rule, expected in config.rules.items():
        value = outcome.main if rule == "main" else outcome.value(rule)
        same = equal(value, expected) or (rule == "main" and isinstance(expected, bool) and _is(value, expected))
        if not same:
            found.append(f'expected "{rule}" to be {show(expected)}, got: {show(value)}')
    return Case(name, tuple(found), outcome)


def _is(value: object, expected: bool) -> bool:
    """A main that is a collection counts as true where it lets pass; undefined is neither true nor false."""
    return isinstance(value, list | dict | str) and passes(value) == expected
