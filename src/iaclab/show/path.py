"""The way through the course as a table that lives in JupyterLab and stays readable in a saved notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from rich.table import Table

from iaclab import learning_path
from iaclab.checks import checks
from iaclab.checks import progress as kept
from iaclab.errors import LabError
from iaclab.learning_path import Part, Place, Step

_MARKS = {"in the making": "…", "not started": "○", "running": "◐", "done": "●"}
_ROOT = "../"  # every notebook lies in a folder of the clone
_ROW = "border-top:1px solid rgba(128,128,128,.35)"
_FADED = 'style="opacity:.75"'


class Path:
    """The learner's way; it shows itself as HTML and as text. `open_only` leaves out what is done."""

    def __init__(self, open_only: bool = False) -> None:
        self.parts, self.open_only = learning_path.parts(), open_only
        self.damaged, self.news = kept.damaged(), kept.news()
        try:
            self.place: Place | None = learning_path.next_place()
        except LabError:  # all is done
            self.place = None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.html(), "text/plain": str(self)}

    def __str__(self) -> str:
        lines = [self.remark] if self.damaged else []
        for part, steps in self._shown():
            lines.append(_head(part))
            for step in steps:
                about = [step.state, step.count, _points(step), _time(step.minutes)]
                lines.append(f"  {_MARKS[step.state]} {step.title}: {', '.join(filter(None, about))}")
        return "\n".join(
            [*lines, f"next: {self.place.says}" if self.place else "Every lesson that is written is done."]
        )

    @property
    def remark(self) -> str:
        """What there is to know of a damaged file."""
        return self.news or (
            f"The progress file was damaged. It was set aside as {self.damaged}, and what was whole in it is kept; "
            "`iaclab progress` asks the checks of the rest again."
        )

    def html(self) -> str:
        """The way as HTML in the theme's colours; links lead to the first check that is not passed."""
        titles = {step.lesson.id: step.title for part in self.parts for step in part.steps if step.lesson}
        rows = [_part_rows(part, steps, titles) for part, steps in self._shown()]
        remark = f'<p role="note">{html.escape(self.remark).replace(chr(10), "<br>")}</p>' if self.damaged else ""
        done = "<p>Every lesson that is written is done.</p>"
        go_on = f"<p><b>Go on:</b> {_link(self.place, self.place.says)}</p>" if self.place else done
        head = "".join(
            f'<th scope="col" style="text-align:left;width:{width}">{name}</th>'
            for name, width in (("lesson", "60%"), ("time", "11%"), ("state", "18%"), ("points", "11%"))
        )
        return (
            f'<div class="iaclab-path">{remark}{go_on}'
            '<table style="color:inherit;width:100%;max-width:860px;margin:0">'
            f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
        )

    def _shown(self) -> Iterable[tuple[Part, list[Step]]]:
        for part in self.parts:
            steps = [step for step in part.steps if not (self.open_only and step.state == "done")]
            if steps:
                yield part, steps


def progress() -> None:
    """Show the way through the course; in JupyterLab with buttons to look again and to hide what is done."""
    from IPython.display import display

    handle = display(Path(), display_id=True)
    try:
        import ipywidgets
    except ImportError:  # the table is all that there is
        return
    if handle is None:
        return  # no notebook: the text was printed
    again = ipywidgets.Button(description="Look again", tooltip="Read progress once more")
    open_only = ipywidgets.ToggleButton(description="Only what is left", tooltip="Hide lessons that are done")

    def look(_: object) -> None:
        handle.update(Path(open_only.value))

    again.on_click(look)
    open_only.observe(look, "value")
    display(ipywidgets.HBox([again, open_only]))


def table(parts: list[Part], width: int) -> Table:
    """The way for a terminal of this many columns."""
    from rich import box

    rows: list[tuple[str, ...]] = [("weeks", "lesson", "after", "time", "state", "points")]
    ends = []
    for part in parts:
        for index, step in enumerate(part.steps):
            after = " ".join(name.partition("-")[0] for name in step.lesson.after) if step.lesson else ""
            checked = f" {len(step.passed)}/{len(step.exercises)}" if step.state == "running" and step.exercises else ""
            state = f"{_MARKS[step.state]} {step.state}{checked}"
            rows.append(("" if index else part.weeks, step.title, after, _time(step.minutes), state, _points(step)))
        ends.append(len(rows) - 1)
    found = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    others = sum(widths) - widths[1] + 3 * (len(widths) - 1) + 2  # gaps and edges
    for index, name in enumerate(rows[0]):
        most = max(width - others, 20) if index == 1 else None  # only a lesson's title is ever cut
        found.add_column(name, no_wrap=True, overflow="ellipsis", max_width=most)
    for number, row in enumerate(rows[1:], 1):
        found.add_row(*row, end_section=number in ends)
    return found


def offer(missing: list[Step]) -> None:
    """Say which lessons come before this one, and offer them: links in a notebook, a command elsewhere."""
    from IPython.display import display

    display(_Offer(missing))


class _Offer:
    def __init__(self, missing: list[Step]) -> None:
        self.missing = missing

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        links = ", ".join(
            f"{_link(learning_path.place_of(step), step.title)} ({html.escape(step.count or step.state)})"
            for step in self.missing
        )
        return {
            "text/html": f"<b>Before this lesson:</b> {links}. Nothing keeps you from going on.",
            "text/plain": str(self),
        }

    def __str__(self) -> str:
        names = [
            f"{step.title} ({step.count or step.state})   iaclab resume {step.lesson.id if step.lesson else ''}"
            for step in self.missing
        ]
        return "\n          ".join([f"before    {names[0]}", *names[1:], "Nothing keeps you from going on."])

    __repr__ = __str__


def _part_rows(part: Part, steps: list[Step], titles: dict[str, str]) -> str:
    head = f'<tr><th colspan="4" scope="rowgroup" style="text-align:left;{_ROW}">{html.escape(_head(part))}</th></tr>'
    return head + "".join(_step_row(step, titles) for step in steps)


def _step_row(step: Step, titles: dict[str, str]) -> str:
    before = [titles.get(name, name).split(":")[0] for name in step.lesson.after] if step.lesson else []
    about = [f"days {step.days}" if step.days else "", f"after {', '.join(before)}" if before else ""]
    small = f" <small {_FADED}>{html.escape(' · '.join(filter(None, about)))}</small>" if any(about) else ""
    place = learning_path.place_of(step) if step.lesson else None
    name = _link(place, step.title) if place else f"<span {_FADED}>{html.escape(step.title)}</span>"
    cells = [
        f"{name}{small}{_exercises(step)}",
        _time(step.minutes),
        f"{_MARKS[step.state]}&nbsp;{step.state.replace(' ', '&nbsp;')}{_bar(step)}",
        _points(step),
    ]
    return "<tr>" + "".join(f'<td style="text-align:left;vertical-align:top">{cell}</td>' for cell in cells) + "</tr>"


def _exercises(step: Step) -> str:
    """What a lesson's checks are, folded."""
    if not step.exercises:
        return ""
    known = checks()
    items = []
    for one in step.exercises:
        title = known[one.check].title if one.check in known else one.check
        mark, word = ("✔", "passed") if one.check in step.passed else ("✘", "not yet")
        items.append(
            f"<li>{mark} {word}: {html.escape(title)} <small {_FADED}>({html.escape(one.heading)})</small></li>"
        )
    inner = f'<ul style="list-style:none;padding-left:1em;margin:0">{"".join(items)}</ul>'
    return f'<details style="margin:0"><summary>{step.count}</summary>{inner}</details>'


def _bar(step: Step) -> str:
    """How far it is, as a bar beside the words that say it."""
    if not step.exercises:
        return ""
    share = 100 * len(step.passed) / len(step.exercises)
    return (
        '<svg aria-hidden="true" width="96" height="6" style="display:block;margin-top:4px;color:inherit">'
        '<rect width="96" height="6" rx="3" fill="currentColor" fill-opacity=".18"/>'
        f'<rect width="{share * 0.96:g}" height="6" rx="3" fill="#3fb950"/></svg>'
    )


def _link(place: Place, text: str) -> str:
    target = html.escape(f"{_ROOT}{place.notebook}{place.fragment}", quote=True)
    return f'<a href="{target}">{html.escape(text)}</a>'


def _head(part: Part) -> str:
    if not part.weeks:
        return part.title
    return f"Week{'s' * ('–' in part.weeks)} {part.weeks}: {part.title}"


def _points(step: Step) -> str:
    return f"{step.points}/{step.worth}" if step.worth else ""


def _time(minutes: int) -> str:
    hours, rest = divmod(minutes, 60)
    return (
        " ".join(filter(None, [f"{hours} h" if hours else "", f"{rest:02d}" if hours and rest else ""]))
        or f"{rest} min"
    )
