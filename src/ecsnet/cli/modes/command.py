"""`ecsnet modes`: bridge, host and awsvpc side by side on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.modes import chart, document, text
from ecsnet.cli.modes.run import compare
from ecsnet.cli.show import JsonOption, console


def modes(
    seconds: Annotated[float, typer.Option(min=0.1, help="Length of each measurement.")] = 0.3,
    rounds: Annotated[int, typer.Option(min=1, help="How often each is made; medians are shown.")] = 15,
    starts: Annotated[int, typer.Option(min=1, help="Tasks started per mode to see how long it takes.")] = 10,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw it too.")] = None,
    write_doc: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Write network-modes.md, .svg and .json there.")
    ] = None,
    json_output: JsonOption = False,
) -> None:
    """Run two services in bridge, host and awsvpc mode; show what they share, who filters, what it costs, and why.

    Uses an ecsnet of its own: what runs already is not disturbed, and nothing is left.
    """
    for place in (plot.parent if plot else None, write_doc):
        if place is not None and not place.is_dir():
            raise CliError(f"there is no folder {place}.", code=Exit.USAGE)
    err = Console(stderr=True, highlight=False)
    with err.status("an ecsnet of its own") as status:
        report = compare(seconds=seconds, rounds=rounds, starts=starts, say=status.update)
    try:
        if plot is not None:
            plot.write_text(chart.draw(report))
        if write_doc is not None:
            for path in document.write(report, write_doc):
                err.print(f"wrote {path}")
    except OSError as error:
        raise CliError(f"cannot write {error.filename}: {error.strerror}.", code=Exit.USAGE) from error
    if json_output:
        print(document.encode(report), end="")
    else:
        text.show(report, console())
