"""All lessons of a run: the book's first page, a table for the terminal, and JSON for programs."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

from rich import box
from rich.table import Table

from iaclab.course.page import COLOURS, WORDS
from iaclab.course.record import Run

SLOW = 1.5  # times what the front matter promises
_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70em;margin:0 auto;padding:1em;color:%(ink)s;background:%(paper)s}
a{color:%(link)s} a:focus-visible{outline:3px solid %(link)s;outline-offset:2px}
table{border-collapse:collapse;width:100%%} tr{border-top:1px solid} th,td{text-align:left;padding:.35em .7em}
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums} caption{text-align:left;padding-bottom:.5em}
.passed{color:%(good)s} .failed{color:%(bad)s} pre{white-space:pre-wrap;overflow-wrap:anywhere}
"""


def index(runs: list[Run], on: str) -> str:
    """The first page; `on` says when."""
    style = _STYLE % COLOURS["light"] + f"@media (prefers-color-scheme:dark){{{_STYLE % COLOURS['dark']}}}"
    head = "".join(
        f'<th scope="col"{" class=n" * number}>{name}</th>'
        for name, number in (
            ("lesson", False),
            ("minutes with reading", True),
            ("seconds promised", True),
            ("seconds now", True),
            ("cells", True),
            ("state", False),
        )
    )
    rows = "".join(map(_row, runs))
    failures = "".join(_failure(run) for run in runs if run.state == "failed")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>IaC Lab: the course, executed</title><style>{style}</style></head><body><main>"
        f"<h1>IaC Lab: the course, executed</h1><p>{html.escape(in_words(runs))}</p>"
        f"<table><caption>Every lesson with its time. Last written {html.escape(on)}.</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
        f"{f'<h2>What failed</h2>{failures}' if failures else ''}</main></body></html>\n"
    )


def table(runs: Iterable[Run]) -> Table:
    """The same for a terminal: what each lesson promises, and how long it took."""
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    found.add_column("lesson", overflow="ellipsis", no_wrap=True)
    for name in ("minutes", "promised", "now", "cells"):
        found.add_column(name, justify="right")
    found.add_column("state")
    for run in runs:
        promised = f"{run.promised} s" if run.promised else "–"
        now = "–" if run.state == "yours" else f"{run.seconds:.0f} s"
        found.add_row(run.title, str(run.minutes), promised, now, str(run.cells), _state(run))
    return found


def as_json(runs: list[Run], on: str) -> str:
    """The same for programs."""
    entries = [{**asdict(run), "slow": is_slow(run)} for run in runs]
    return json.dumps({"on": on, "lessons": entries}, indent=1, ensure_ascii=False)


def is_slow(run: Run) -> bool:
    """Whether it took much longer than its front matter says, where that says something.

    What is promised was measured on a machine with nothing else to do; a busier one may take that much longer.
    """
    return run.state == "passed" and bool(run.promised) and run.seconds > SLOW * run.promised * run.busy


def in_words(runs: list[Run]) -> str:
    """How many lessons ran, how long that took, and with what."""
    ran = [run for run in runs if run.state != "yours"]
    failed = [run for run in ran if run.state == "failed"]
    seconds = sum(run.seconds for run in ran)
    given = {name: value for run in runs for name, value in run.parameters.items()}
    text = f"{len(ran) - len(failed)} of {len(ran)} lessons ran to their end, in {seconds:.0f} s of execution."
    if slow := [run.lesson for run in ran if is_slow(run)]:
        text += f" Over {SLOW:g} times as long as promised: {', '.join(slow)}."
    if (busy := max((run.busy for run in ran), default=1)) > SLOW:
        text += f" The machine had other work: up to {busy:g} for each core."
    return text + (f" Parameters: {', '.join(f'{k} {v}' for k, v in given.items())}." if given else "")


def write(folder: Path, runs: list[Run], on: str) -> None:
    """Write `index.html` and `summary.json`."""
    (folder / "index.html").write_text(index(runs, on))
    (folder / "summary.json").write_text(as_json(runs, on))


def _state(run: Run) -> str:
    if run.state == "failed":
        return f"✘ cell {run.number} failed" if run.number else "✘ did not run"
    return WORDS[run.state] + (", slow" if is_slow(run) else "")


def _row(run: Run) -> str:
    now = "–" if run.state == "yours" else f"{run.seconds:.1f}"
    numbers = (str(run.minutes), str(run.promised or "–"), now, str(run.cells))
    cells = "".join(f"<td class=n>{text}</td>" for text in numbers)
    link = f'<a href="{run.lesson}.html">{html.escape(run.title)}</a>'
    return f'<tr><th scope="row">{link}</th>{cells}<td class={run.state}>{html.escape(_state(run))}</td></tr>'


def _failure(run: Run) -> str:
    return (
        f'<h3><a href="{run.lesson}.html">{html.escape(run.title)}</a>, cell {run.number}</h3>'
        f"<pre>{html.escape(run.cell)}</pre><p>It said:</p><pre>{html.escape(run.error)}</pre>"
    )
