"""A report on a terminal: one table, and what follows from it."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from ecsnet.cli.modes.advice import advice
from ecsnet.cli.modes.report import MODES, Report
from ecsnet.cli.modes.rows import columns, rows


def show(report: Report, out: Console) -> None:
    """Print the comparison, the modes that did not run, and the recommendation."""
    table = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, leading=1, expand=True)
    table.add_column("", style="bold", width=20)
    for name in columns(report):
        table.add_column(name, width=17 if name in MODES else 11)
    table.add_column("why they differ", ratio=1, style="dim")
    for row in rows(report):
        table.add_row(*(escape(text) for text in (row.title, *row.cells, row.why)))
    out.print(table)
    for mode, reason in report.missing.items():
        out.print(f"[yellow]{mode} did not run[/]: {escape(reason)}")
    needs = Table(box=None, show_header=False, pad_edge=False)
    for one in advice(report):
        needs.add_row(f"[bold]{one.need}[/]", " or ".join(one.modes), escape(one.because))
    out.print(needs)
