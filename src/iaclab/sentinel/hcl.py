"""Reads the part of HCL that Sentinel's configuration files use."""

from __future__ import annotations

import functools
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedEOF, UnexpectedInput, VisitError

from iaclab.sentinel.errors import Place, SentinelError, Source
from iaclab.sentinel.parse import LineEnds, unquote

Body = dict[str, Any]


class _Build(Transformer[Token, Body]):
    """Blocks become maps by type and label, as in HCL's JSON form; a block without a label is the map itself."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self.source = source

    def start(self, children: list[Any]) -> Body:
        return dict(children[0])

    def body(self, children: list[Any]) -> Body:
        found: Body = {}
        for path, value in children:
            inner = found
            for key in path[:-1]:
                inner = inner.setdefault(key, {})
            if path[-1] in inner and isinstance(value, dict) and isinstance(inner[path[-1]], dict):
                inner[path[-1]].update(value)
            else:
                inner[path[-1]] = value
        return found

    def attribute(self, children: list[Any]) -> Any:
        return [str(children[0])], children[1]

    def block(self, children: list[Any]) -> Any:
        *names, body = children
        return [self._key(name) for name in names], body

    def string(self, children: list[Any]) -> str:
        return unquote(self.source, children[0])

    def number(self, children: list[Any]) -> int | float:
        text = str(children[0])
        return int(text) if text.lstrip("-").isdigit() else float(text)

    def word(self, children: list[Any]) -> Any:
        token = children[0]
        known: Body = {"true": True, "false": False, "null": None}
        if str(token) not in known:
            place = Place(self.source, token.line, token.column, len(token))
            raise SentinelError(f"{token} is no value here", place, 'text stands in quotes: "…"')
        return known[str(token)]

    def list(self, children: Any) -> Any:
        return children

    def object(self, children: Any) -> Body:
        return dict(children)

    def pair(self, children: Any) -> tuple[str, Any]:
        return self._key(children[0]), children[1]

    def _key(self, token: Token) -> str:
        return unquote(self.source, token) if token.type == "STRING" else str(token)


@functools.cache
def _grammar() -> Lark:
    text = files("iaclab.sentinel").joinpath("hcl.lark").read_text()
    ends = LineEnds({"KEY", "STRING", "NUMBER", "RBRACE", "RSQB"})
    return Lark(text, parser="lalr", postlex=ends, maybe_placeholders=False)


def read(source: Source) -> Body:
    """A configuration file as nested maps, `{block type: {label: {…}}}`.

    Raises:
        SentinelError: it is not HCL, or more of HCL than is read here.
    """
    try:
        return _Build(source).transform(_grammar().parse(source.text + "\n"))
    except VisitError as error:
        if isinstance(error.orig_exc, SentinelError):
            raise error.orig_exc from None
        raise
    except UnexpectedEOF:
        raise SentinelError("the file ends too early", Place(source, source.text.count("\n") + 1, 1)) from None
    except UnexpectedInput as error:
        token = getattr(error, "token", None)
        if token is not None and token.type == "$END":
            last = max(1, len(source.text.splitlines()))
            raise SentinelError("the file ends too early", Place(source, last, 1), "a brace is not closed") from None
        found = (
            "the line end"
            if token is not None and token.type == "_NL"
            else str(token or source.text[error.pos_in_stream or 0])
        )
        place = Place(source, max(1, error.line), max(1, error.column), len(token or "x"))
        hint = "only plain values are read here: strings, numbers, true, false, null, lists and maps"
        raise SentinelError(f"unexpected {found}", place, hint) from None
