"""A picture with a text twin, as SVG that survives in a saved notebook and follows the theme's colours."""

from __future__ import annotations

import hashlib
import html
from dataclasses import dataclass, field
from typing import Any

_EM = {
    False: 0.57,
    True: 0.64,
}  # mean width of a letter by bold, measured in DejaVu Sans, the widest of the usual fonts


@dataclass
class Picture:
    """An SVG drawing; sizes are in pixels.

    Args:
        title: what it is, for screen readers.
        text: the same content as plain text.
    """

    title: str
    text: str
    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(
        self, x: float, y: float, w: float, h: float, *, fill: str = "none", dash: str = "", radius: int = 6
    ) -> None:
        """A rounded rectangle in the text's colour."""
        extra = f' stroke-dasharray="{dash}"' if dash else ""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="{radius}" fill="{fill}" '
            f'fill-opacity="0.18" stroke="currentColor" stroke-opacity="0.55"{extra}/>'
        )

    def words(
        self, x: float, y: float, text: str, *, room: float, size: float = 12, bold: bool = False, fade: bool = False
    ) -> None:
        """Text with its baseline's left end at (x, y); what does not fit into `room` is cut and told on hovering."""
        shown = cut(text, room, size, bold)
        whole = f"<title>{html.escape(text)}</title>" if shown != text else ""
        style = f'font-size="{size:g}"' + (' font-weight="600"' if bold else "") + (' opacity="0.75"' if fade else "")
        self.parts.append(f'<text x="{x:g}" y="{y:g}" {style}>{whole}{html.escape(shown)}</text>')

    def line(self, x1: float, y1: float, x2: float, y2: float) -> None:
        """An elbow from (x1, y1) to (x2, y2)."""
        middle = (x1 + x2) / 2
        self.parts.append(
            f'<path d="M{x1:g} {y1:g}H{middle:g}V{y2:g}H{x2:g}" fill="none" '
            'stroke="currentColor" stroke-opacity="0.4"/>'
        )

    def svg(self) -> str:
        """The drawing as SVG text."""
        digest = hashlib.sha256(f"{self.title}\n{self.text}".encode()).hexdigest()[:8]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="t{digest}" '
            f'aria-describedby="d{digest}" viewBox="0 0 {self.width} {self.height}" '
            f'style="width:100%;max-width:{self.width}px;height:auto;color:inherit" fill="currentColor" '
            'font-family="ui-sans-serif,system-ui,sans-serif">'
            f'<title id="t{digest}">{html.escape(self.title)}</title>'
            f'<desc id="d{digest}">{html.escape(self.text)}</desc>'
            f"{''.join(self.parts)}</svg>"
        )

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        return {"text/html": self.svg(), "text/plain": self.text}

    def __str__(self) -> str:
        return self.text


def width_of(text: str, size: float, bold: bool = False) -> float:
    """About how wide a text is, in pixels; rather too much than too little."""
    return len(text) * size * _EM[bold]


def cut(text: str, room: float, size: float, bold: bool = False) -> str:
    """The text, with … in its middle where it is wider than `room`: what tells two pods apart stands at the end."""
    if width_of(text, size, bold) <= room:
        return text
    keep = max(int(room / (size * _EM[bold])) - 1, 2)
    tail = keep * 2 // 5
    return f"{text[: keep - tail]}…{text[len(text) - tail :]}"
