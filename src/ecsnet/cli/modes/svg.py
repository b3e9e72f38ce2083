"""A small writer of SVG: elements as values, text escaped, nothing that a viewer would have to load."""

from __future__ import annotations

from dataclasses import dataclass
from xml.sax.saxutils import escape, quoteattr

FONT = "ui-sans-serif, system-ui, 'DejaVu Sans', sans-serif"


@dataclass(frozen=True, slots=True)
class Element:
    """One element, already written."""

    text: str


def rectangle(x: float, y: float, width: float, height: float, fill: str, *, radius: float = 0) -> Element:
    return _element("rect", x=x, y=y, width=max(width, 0), height=height, fill=fill, rx=radius)


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, *, width: float = 1) -> Element:
    return _element("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=stroke, stroke_width=width)


def words(
    x: float, y: float, content: str, *, size: float = 12, fill: str = "#1f2328", anchor: str = "start",
    bold: bool = False,
) -> Element:  # fmt: skip
    """Text whose baseline starts at (x, y); `anchor` is start, middle or end."""
    weight = {"font_weight": "600"} if bold else {}
    return _element("text", escape(content), x=x, y=y, font_size=size, fill=fill, text_anchor=anchor, **weight)


def picture(width: float, height: float, title: str, elements: list[Element]) -> str:
    """The whole file. The title is what a screen reader says."""
    body = "\n".join(element.text for element in elements)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_number(width)}" height="{_number(height)}" '
        f'viewBox="0 0 {_number(width)} {_number(height)}" font-family={quoteattr(FONT)} role="img">\n'
        f"<title>{escape(title)}</title>\n{body}\n</svg>\n"
    )


def _element(name: str, content: str = "", **attributes: float | str) -> Element:
    written = "".join(
        f" {key.replace('_', '-')}={quoteattr(value if isinstance(value, str) else _number(value))}"
        for key, value in attributes.items()
    )
    return Element(f"<{name}{written}>{content}</{name}>" if content else f"<{name}{written}/>")


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
