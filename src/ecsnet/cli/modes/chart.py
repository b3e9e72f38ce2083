"""The picture of a report: a panel per figure, a bar per place, and a thin line from its worst to its best round."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ecsnet.cli.modes import svg
from ecsnet.cli.modes.figures import FIGURES
from ecsnet.cli.modes.report import Report
from ecsnet.cli.modes.rows import traffic

_COLORS = {"bridge": "#0969da", "host": "#bc4c00", "awsvpc": "#1a7f37"}
_BESIDE = "#8c959f"
_INK, _MUTED, _GRID = "#1f2328", "#59636e", "#d1d9e0"

_WIDTH, _MARGIN, _GAP = 960, 28, 36
_LABEL, _VALUE = 74, 116
_BAR, _STEP, _HEAD = 16, 24, 40
_TOP = 72
_COLUMNS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    name: str
    value: float
    low: float
    high: float
    shown: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    title: str
    note: str
    bars: tuple[Bar, ...]

    @property
    def height(self) -> float:
        return _HEAD + len(self.bars) * _STEP


def panels(report: Report) -> tuple[Panel, ...]:
    """What is drawn: the figures of traffic, and of the modes how fast a task starts and how many fit."""
    figures = (
        Panel(
            title=figure.title,
            note="more is better" if figure.more_is_better else "less is better",
            bars=tuple(
                _bar(one.name, one.every(figure.field), figure.shown(one.median)) for one in traffic(report)
            ),
        )
        for figure in FIGURES
    )  # fmt: skip
    starts = Panel(
        title="RunTask → RUNNING, median",
        note="less is better",
        bars=tuple(
            _bar(one.mode, one.starts_ms, f"{statistics.median(one.starts_ms):.1f} ms") for one in report.modes
        ),
    )  # fmt: skip
    density = Panel(
        title=f"tasks that fit on one {report.instance_type}",
        note="more is better",
        bars=tuple(
            _bar(
                one.mode,
                [one.density.tasks],
                f"{one.density.tasks}, then {one.density.refusal.removeprefix('RESOURCE:')}",
            )
            for one in report.modes
        ),
    )
    return (*figures, starts, density)


def _bar(name: str, values: Sequence[float], shown: str) -> Bar:
    return Bar(name=name, value=statistics.median(values), low=min(values), high=max(values), shown=shown)


def draw(report: Report) -> str:
    """The report as an SVG file."""
    title = "ECS network modes, measured by ecsnet"
    machine = report.machine
    where = f"{report.measured}, Linux {machine.kernel}, {machine.cores} cores; lines: lowest to highest round"
    elements = [
        svg.words(_MARGIN, 34, title, size=18, bold=True),
        svg.words(_MARGIN, 54, where, fill=_MUTED),
    ]
    width = (_WIDTH - 2 * _MARGIN - (_COLUMNS - 1) * _GAP) / _COLUMNS
    top: float = _TOP
    drawn = panels(report)
    for first in range(0, len(drawn), _COLUMNS):
        row = drawn[first : first + _COLUMNS]
        for column, panel in enumerate(row):
            elements += _panel(panel, _MARGIN + column * (width + _GAP), top, width)
        top += max(panel.height for panel in row) + 20
    background = svg.rectangle(0, 0, _WIDTH, top, "#ffffff")
    return svg.picture(_WIDTH, top, title, [background, *elements])


def _panel(panel: Panel, left: float, top: float, width: float) -> Iterator[svg.Element]:
    yield svg.words(left, top + 16, panel.title, size=13, bold=True)
    yield svg.words(left + width, top + 16, panel.note, size=11, fill=_MUTED, anchor="end")
    start, room = left + _LABEL, width - _LABEL - _VALUE
    most = max((bar.high for bar in panel.bars), default=0) or 1
    bottom = top + panel.height - _STEP + _BAR + 4
    yield svg.line(start, top + _HEAD - 10, start, bottom, _GRID)
    for number, bar in enumerate(panel.bars):
        y = top + _HEAD - 6 + number * _STEP
        middle, end = y + _BAR / 2, start + room * bar.high / most
        yield svg.words(start - 8, middle + 4, bar.name, fill=_INK, anchor="end")
        yield svg.rectangle(start, y, room * bar.value / most, _BAR, _COLORS.get(bar.name, _BESIDE), radius=2)
        if bar.low < bar.high:
            yield svg.line(start + room * bar.low / most, middle, end, middle, _INK)
        yield svg.words(max(end, start) + 8, middle + 4, bar.shown, fill=_INK)
