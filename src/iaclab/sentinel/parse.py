"""From text to a syntax tree, with errors that a writer of policies understands."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken
from lark.lark import PostLex

from iaclab.sentinel.errors import Place, SentinelError, Source

Node = Tree[Token]

# A line end closes a statement only after one of these, and never inside parentheses or brackets.
_ENDS = {"NAME", "FIELD", "INT", "FLOAT", "STRING", "TRUE", "FALSE", "NULL", "UNDEFINED", "IS_STATE"}
_ENDS |= {"RPAR", "RSQB", "RBRACE", "BREAK", "CONTINUE", "RETURN"}
_OPEN, _CLOSE = {"LPAR", "LSQB", "LBRACE"}, {"RPAR", "RSQB", "RBRACE"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v", '"': '"', "\\": "\\"}


class LineEnds(PostLex):
    """Drops the line ends that close nothing; `ends` are the tokens after which one does."""

    always_accept = ("_NL",)

    def __init__(self, ends: set[str]) -> None:
        self.ends = ends

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        open_: list[str] = []
        last = ""
        for token in stream:
            if token.type == "_NL":
                if last in self.ends and (not open_ or open_[-1] == "LBRACE"):
                    last = "_NL"
                    yield token
                continue
            if token.type in _OPEN:
                open_.append(token.type)
            elif token.type in _CLOSE and open_:
                open_.pop()
            last = token.type
            yield token


@functools.cache
def _grammar() -> Lark:
    text = files("iaclab.sentinel").joinpath("grammar.lark").read_text()
    return Lark(text, parser="lalr", postlex=LineEnds(_ENDS), propagate_positions=True, maybe_placeholders=True)


def parse(source: Source) -> Node:
    """The syntax tree of a policy or module.

    Raises:
        SentinelError: it is not in the language.
    """
    try:
        return _grammar().parse(source.text + "\n")
    except UnexpectedInput as error:
        raise _explain(source, error) from None


def place(source: Source, node: Node | Token) -> Place:
    """Where a node begins, and how much of its first line it takes."""
    at: Any = node if isinstance(node, Token) else node.meta
    if getattr(at, "line", None) is None:
        return Place(source, 1, 1)
    one_line = at.end_line == at.line
    width = at.end_column - at.column if one_line else len(source.line(at.line)) - at.column + 1
    return Place(source, at.line, at.column, max(1, width))


def text(source: Source, node: Node) -> str:
    """The source text of a node, on one line."""
    return " ".join(source.text[node.meta.start_pos : node.meta.end_pos].split())


def unquote(source: Source, token: Token) -> str:
    """The value of a string literal.

    Raises:
        SentinelError: an escape that does not exist.
    """

    def one(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xuU":
            return chr(int(code[1:], 16))
        if code[0] in "01234567":
            return chr(int(code, 8))
        if code in _ESCAPES:
            return _ESCAPES[code]
        raise SentinelError(f"there is no escape \\{code}", place(source, token), hint=r"a backslash itself is \\")

    escape = r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U000[0-9a-fA-F]{5}|[0-7]{3}|.)"
    return re.sub(escape, one, token[1:-1])


def _explain(source: Source, error: UnexpectedInput) -> SentinelError:
    line, column = error.line, error.column
    if isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END"):
        return _unclosed(source)
    if isinstance(error, UnexpectedToken):
        found, width, wanted = str(error.token), len(error.token), error.accepts or error.expected
        if error.token.type == "_NL":
            return SentinelError("the line ends too early", Place(source, line, column), _hint("_NL", "", wanted))
        place = Place(source, line, column, width)
        return SentinelError(f"unexpected {found}", place, _hint(error.token.type, found, wanted))
    assert isinstance(error, UnexpectedCharacters)
    at = error.pos_in_stream or 0
    found = source.text[at : at + 1]
    place = Place(source, line, column)
    if found == '"':
        return SentinelError("a string is not closed", place, hint='end it with " on the same line')
    if found == "'":
        return SentinelError("unexpected '", place, hint='strings are written in double quotes: "…"')
    return SentinelError(f"unexpected {found}" if found.strip() else "the text ends too early", place)


def _hint(kind: str, found: str, wanted: set[str]) -> str:
    if kind == "ASSIGN":
        return "compare with `is` or `==`; `=` assigns, and only as a statement of its own"
    if kind == "ELSE":
        return "`else` stands on the line of the closing brace: } else {"
    if "RBRACE" in wanted and kind not in ("RBRACE", "_NL"):
        return "an operator is missing before it, or the closing } is; a rule holds one expression"
    if wanted & {"NAME", "INT"} and kind in ("RBRACE", "RPAR", "RSQB", "_NL", "COMMA"):
        return "an expression is missing before it"
    if wanted & {"RSQB", "RPAR"}:
        return "a comma or a closing bracket is missing before it"
    if wanted & {"ASSIGN", "_NL"}:
        return "one statement a line; is an operator, a comma or a quote missing before it?"
    return "this cannot stand here"


def _unclosed(source: Source) -> SentinelError:
    """The text has ended inside something: point at the last bracket that was opened and not closed."""
    open_: list[Token] = []
    try:
        for token in _grammar().lex(source.text + "\n", dont_ignore=False):
            if token.type in _OPEN:
                open_.append(token)
            elif token.type in _CLOSE and open_:
                open_.pop()
    except UnexpectedInput:
        pass
    if open_:
        return SentinelError(f"{open_[-1]} is never closed", place(source, open_[-1]), hint="close it")
    last = max(1, len(source.text.rstrip().splitlines()))
    where = Place(source, last, max(1, len(source.line(last))))
    return SentinelError("the text ends too early", where, hint="an expression is missing at its end")
