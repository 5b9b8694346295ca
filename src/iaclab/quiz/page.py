"""Questions as a page: Markdown for a sheet, HTML that opens and closes by keyboard for practice, text everywhere."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from iaclab.quiz.bank import LETTERS, Question
from iaclab.quiz.draw import Asked, Sheet

_SPAN = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Page:
    """Something to read; it shows itself in a notebook, in a saved one, and in a terminal."""

    markdown: str
    html: str = ""

    def __repr__(self) -> str:
        return self.markdown

    def _repr_markdown_(self) -> str | None:
        return None if self.html else self.markdown

    def _repr_html_(self) -> str | None:
        return self.html or None


def sheet_page(sheet: Sheet, lecture: int) -> Page:
    """The questions of a sheet about one lecture."""
    asked = sheet.about(lecture)
    head = f"Sheet `{sheet.code}` of {sheet.learner}, {asked[0].name} to {asked[-1].name}"
    return Page("\n\n".join([head, *map(_asked, asked)]))


def practice_page(questions: Sequence[Question]) -> Page:
    """Questions whose options, opened, say whether they are right."""
    text = "\n\n".join(_practised(one) for one in questions)
    return Page(text, "\n".join(_opening(one) for one in questions))


def script(one: Question) -> str:
    """The script of a question, with the command that brings what it calls."""
    brings = f"# where something is missing: iaclab tools install {' '.join(one.needs)}\n" if one.needs else ""
    return brings + one.code


def _asked(one: Asked) -> str:
    blocks = [f"**{one.name}.** {one.question.question}"]
    if one.question.code:
        blocks.append(f"```bash\n{script(one.question)}\n```")
    blocks.append("\n".join(_listed(one.options)))
    return "\n\n".join(blocks)


def _listed(options: Iterable[str]) -> list[str]:
    return [f"- **{letter})** {option}" for letter, option in zip(LETTERS, options, strict=True)]


def _practised(one: Question) -> str:
    """The text twin: the answer stands at its end."""
    blocks = [f"**Lecture {one.lecture}.** {one.question}"]
    if one.code:
        blocks.append(f"```bash\n{script(one)}\n```")
    right = LETTERS[one.options.index(one.right)]
    blocks += ["\n".join(_listed(one.options)), f"{right}) is right. {one.explanation} {_where(one)}"]
    return "\n\n".join(blocks)


def _opening(one: Question) -> str:
    parts = [f"<p><b>Lecture {one.lecture}.</b> {_inline(one.question)}</p>"]
    if one.code:
        parts.append(f"<pre><code>{html.escape(script(one))}</code></pre>")
    for letter, option in zip(LETTERS, one.options, strict=True):
        says = "✔ Right. " + one.explanation if option == one.right else "✘ Not this one."
        where = " " + _where(one) if option == one.right else ""
        parts.append(
            f"<details><summary><b>{letter})</b> {_inline(option)}</summary>"
            f"<p>{_inline(says)}{_inline(where)}</p></details>"
        )
    return f"<section>{''.join(parts)}</section><hr>"


def _where(one: Question) -> str:
    return f"See lecture {one.lecture}, “{one.cell}”."


def _inline(text: str) -> str:
    return _SPAN.sub(r"<code>\1</code>", html.escape(text))
