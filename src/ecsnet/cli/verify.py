"""`ecsnet verify`: a real packet for every pair and service, compared with what the settings say."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from ecsnet.cli import junit
from ecsnet.cli.client import refusal, require_port
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.show import JsonOption, console, print_json

_SILENCE = 60.0
"""Seconds without a line after which control is given up: a batch takes a few on a busy machine."""
_STYLES = {"reached": "green", "refused": "green", "dropped": "red", "lost": "yellow", "elsewhere": "yellow"}
_SHOWN = 20
"""Disagreements on the screen; all are in the JSON and JUnit answers."""


def verify(
    ports: Annotated[
        str | None, typer.Option("--ports", metavar="tcp/80,udp/53", help="Instead of the declared ones; also icmp.")
    ] = None,
    vpc: Annotated[
        list[str] | None, typer.Option("--vpc", metavar="VPC", help="Only this VPC (id or Name tag); repeat for more.")
    ] = None,
    junit_file: Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Also write JUnit XML.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Send a real packet for every pair of interfaces and every port, and compare each with what the settings say.

    Exit code 0: kernel and settings agree about all of them; 1: they do not, and each difference is named.
    """
    query = [("vpc", name) for name in vpc or ()] + ([("ports", ports)] if ports is not None else [])
    result = _result(query, quiet=json_output)
    if junit_file is not None:
        try:
            junit_file.write_bytes(junit.document(result))
        except OSError as error:
            raise CliError(f"cannot write {junit_file}: {error.strerror}.", code=Exit.USAGE) from error
    if json_output:
        print_json(result)
    else:
        _show(console(), result)
    raise typer.Exit(1 if result["disagreements"] else 0)


def _result(query: list[tuple[str, str]], *, quiet: bool) -> dict[str, Any]:
    """The last line of the answer, with a progress bar until then."""
    columns = (TextColumn("probing"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    screen = Console(stderr=True)
    with Progress(*columns, console=screen, transient=True, disable=quiet or not screen.is_terminal) as progress:
        bar = progress.add_task("", total=None)
        for line in _lines(query):
            if "done" in line:
                progress.update(bar, completed=line["done"], total=line["of"])
            elif "error" in line:
                raise CliError(line["error"], hint=line["hint"])
            else:
                return line
    raise CliError("ecsnet stopped before it had all answers.", hint="See its log: ecsnet status --log")


def _lines(query: list[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", require_port(), timeout=_SILENCE)
    try:
        connection.request("POST", "/_ecsnet/verify?" + urllib.parse.urlencode(query))
        response = connection.getresponse()
        if response.status != 200:
            raise refusal(response.status, response.read())
        while line := response.readline():
            yield json.loads(line)
    except (OSError, http.client.HTTPException) as error:
        raise CliError(f"ecsnet does not answer ({error}).", code=Exit.NOT_RUNNING) from error
    finally:
        connection.close()


# ── on the screen ────────────────────────────────────────────────────────────────────────────────────────────────────


def _show(out: Console, result: dict[str, Any]) -> None:
    for service in result["services"]:
        cells = [cell for cell in result["matrix"] if cell["service"] == service]
        if cells:
            out.print(_matrix(service, cells))
    differences = result["disagreements"]
    for item in differences[:_SHOWN]:
        out.print(Text(f"✗ {junit.both(item)}", style="red"), soft_wrap=True)
    if len(differences) > _SHOWN:
        out.print(f"… and {len(differences) - _SHOWN} more: --json has all of them")
    out.print(Text(summary(result), style="bold red" if differences else "bold green"), soft_wrap=True)


def _matrix(service: str, cells: list[dict[str, Any]]) -> Table:
    """Who (rows) reaches whom (columns) by one service."""
    columns = sorted({cell["to"] for cell in cells})
    found = {(cell["from"], cell["to"]): cell for cell in cells}
    table = Table(title=service, title_justify="left", title_style="bold", header_style="bold", show_lines=True)
    table.add_column("from \\ to")
    for name in columns:
        table.add_column(Text(name))
    for sender in sorted({cell["from"] for cell in cells}):
        row = (found.get((sender, name)) for name in columns)
        table.add_row(Text(sender), *(Text("–", style="dim") if cell is None else told(cell) for cell in row))
    return table


def told(cell: dict[str, Any]) -> Text:
    """What became of the packets of a cell: `reached`, or `dropped` and by whom; counted where that differs."""
    text = Text()
    several = len(cell["outcomes"]) > 1
    for outcome, count in cell["outcomes"].items():
        text.append("\n" if text else "")
        text.append(f"{outcome} ×{count}" if several else outcome, style=_STYLES[outcome])
        if outcome == "dropped":
            for decider in cell["deciders"]:
                text.append(f"\n{decider}", style="dim")
    if cell["disagreements"]:
        text.append(f"\n✗ {cell['disagreements']} differ", style="bold red")
    return text


def summary(result: dict[str, Any]) -> str:
    """One line: how many packets, how fast, and whether all agree."""
    asked, seconds, differences = result["probes"], result["seconds"], len(result["disagreements"])
    rate = f" ({asked / seconds:,.0f} a second)" if seconds else ""
    line = f"{asked:,} packets between {result['interfaces']} interfaces and the internet in {seconds:.1f} s{rate}: "
    line += f"{differences:,} disagreements" if differences else "kernel and settings agree"
    if result["unclaimed"]:
        line += f"; about {result['unclaimed']:,} the settings alone cannot say"
    return line
