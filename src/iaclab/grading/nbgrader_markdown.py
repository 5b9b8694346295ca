"""A learner's Markdown on the pages of feedback and formgrader."""

from __future__ import annotations

import re

from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

_COVERS = re.compile(r" *<!-- covers: .*?-->")  # of our own text, for the builder


def to_html(source: str) -> str:
    """Markdown as HTML; HTML in it is shown as text, for nbgrader's templates do not sanitise what they render."""
    return str(MarkdownWithMath(renderer=IPythonRenderer(escape=True)).render(_COVERS.sub("", source)))
