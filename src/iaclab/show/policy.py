"""Which policies stand for which control, and how each is: a row for each control, a box for each policy."""

from __future__ import annotations

from iaclab.compliance import MET, NOT_MET, UNKNOWN, Report
from iaclab.show.picture import Picture, width_of

_SHADE = {MET: "#3fb950", NOT_MET: "#f85149", UNKNOWN: "#d29922"}
_MARK = {MET: "✔", NOT_MET: "✘", UNKNOWN: "?"}
_ROW, _GAP = 46, 12  # pixels


def policy_controls(report: Report) -> Picture:
    """The controls of a compliance report (`iaclab.compliance.report`) with the policies behind them."""
    picture = Picture(f"Controls and policies: {report.framework}", "", 10, 10)
    left = max([width_of(control.title, 11) for control in report.controls] or [0]) + 24
    boxes = [width_of(e.name, 11, True) for control in report.controls for e in control.evidence]
    box = max([130.0, *boxes]) + 30
    lines, widest = [], 0
    for row, control in enumerate(report.controls):
        y = 8 + row * _ROW
        picture.words(10, y + 16, f"{_MARK[control.state]} {control.id}: {control.state}", bold=True, room=left)
        picture.words(10, y + 32, control.title, size=11, fade=True, room=left)
        said = []
        for number, evidence in enumerate(control.evidence):
            x = 10 + left + number * (box + _GAP)
            dash = "4 3" if evidence.state == UNKNOWN else ""
            picture.box(x, y, box, _ROW - 10, fill=_SHADE[evidence.state], dash=dash, radius=4)
            picture.words(x + 8, y + 15, evidence.name, size=11, bold=True, room=box - 14)
            words = f"{_MARK[evidence.state]} {evidence.kind}: {evidence.state}"
            picture.words(x + 8, y + 29, words, size=10, room=box - 14)
            said.append(f"{evidence.name} ({evidence.kind}) {evidence.state}: {evidence.said}")
        widest = max(widest, len(control.evidence))
        lines.append(f"{control.id} {control.state}: {'; '.join(said) or 'no evidence is named'}")
    picture.width = int(20 + left + widest * (box + _GAP))
    picture.height = 14 + len(report.controls) * _ROW
    picture.text = "\n".join(lines) or "no controls"
    return picture
