"""Version ranges as Flux writes them: `1.x`, `>=1.0.0 <2.0.0`, `~1.2`, `^1.0 || 3.*`.

The rules are those of https://github.com/Masterminds/semver: a pre-release (`1.0.0-rc1`) fits a range only where the
range names one itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

Version = tuple[int, int, int, tuple[tuple[int, int, str], ...]]  # a release sorts after its pre-releases
_RELEASE: tuple[tuple[int, int, str], ...] = ((2, 0, ""),)
_VERSION = re.compile(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")
_OPERATOR = r"(!=|>=|=>|<=|=<|=|>|<|~>|~|\^)?"
_PART = r"(v?[0-9xX*]+(?:\.[0-9xX*]+){0,2}(?:-[0-9A-Za-z.-]+)?)"
_TERM = re.compile(_OPERATOR + r"\s*" + _PART + r"(?:\+\S+)?[\s,]*")
_HYPHEN = re.compile(r"(\S+)\s+-\s+(\S+)")


def newest(names: Iterable[str], wanted: str) -> str | None:
    """The name (a tag, `v1.2.0` or `1.2.0`) of the highest version that fits `wanted`; `None` where none does.

    Raises:
        ValueError: `wanted` is not a range.
    """
    ranges = [_range(text) for text in wanted.split("||")]
    fitting = [
        (version, name) for name in names if (version := parse(name)) and any(_fits(version, terms) for terms in ranges)
    ]
    return max(fitting)[1] if fitting else None


def parse(text: str) -> Version | None:
    """The version that `text` is, `None` where it is none."""
    match = _VERSION.fullmatch(text)
    if not match:
        return None
    major, minor, patch = (int(part or 0) for part in match.groups()[:3])
    return major, minor, patch, _prerelease(match[4])


def _prerelease(text: str | None) -> tuple[tuple[int, int, str], ...]:
    if not text:
        return _RELEASE
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in text.split("."))


def _range(text: str) -> list[tuple[str, str]]:
    """The terms of one range, which must all fit: (operator, version or a part of one)."""
    rest = _HYPHEN.sub(r">=\1 <=\2", text.strip())
    terms = []
    while rest:
        match = _TERM.match(rest)
        if not match:
            raise ValueError(f"'{text.strip()}' is not a range of versions")
        operator = {None: "=", "=>": ">=", "=<": "<=", "~>": "~"}.get(match[1], match[1])
        terms.append((operator, match[2]))
        rest = rest[match.end() :]
    if not terms:
        raise ValueError("an empty range of versions")
    return terms


def _fits(version: Version, terms: list[tuple[str, str]]) -> bool:
    if version[3] != _RELEASE and not any("-" in text for _, text in terms):
        return False
    return all(_term_fits(version, operator, text) for operator, text in terms)


def _term_fits(version: Version, operator: str, text: str) -> bool:
    low, size = _low(text)
    if size == 0:  # `*`
        return operator not in ("!=", "<", ">")
    above = _above(low, size)  # the first version that is no longer what `1.2` means
    if operator in ("=", "!="):
        return (low <= version < above) is (operator == "=")
    if operator == ">":
        return version > low if size == 3 else version >= above
    if operator == "<=":
        return version <= low if size == 3 else version < above
    if operator in (">=", "<"):
        return (version >= low) is (operator == ">=")
    if operator == "~":
        return low <= version < _above(low, min(size, 2))
    left = next((place for place in range(size) if low[place]), size - 1)  # `^`: the leftmost that is not zero stays
    return low <= version < _above(low, left + 1)


def _low(text: str) -> tuple[Version, int]:
    """The lowest version that `text` means, and how many of its three numbers it names."""
    core, _, prerelease = text.removeprefix("v").partition("-")
    numbers = []
    for part in core.split("."):
        if part in ("x", "X", "*"):
            break
        if not part.isdigit():
            raise ValueError(f"'{text}' is not a version")
        numbers.append(int(part))
    size = len(numbers)
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return (major, minor, patch, _prerelease(prerelease) if size == 3 else _RELEASE), size


def _above(low: Version, size: int) -> Version:
    """The lowest version, pre-releases included, above all that share the first `size` numbers of `low`."""
    if size == 3:
        return low[0], low[1], low[2], (*low[3], (0, -1, ""))
    return (low[0] + 1, 0, 0, ()) if size == 1 else (low[0], low[1] + 1, 0, ())
