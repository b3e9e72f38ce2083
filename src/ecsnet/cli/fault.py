"""`ecsnet fault`: let the network interfaces of tasks be attached late or not at all."""

from __future__ import annotations

from typing import Annotated

import typer

from ecsnet.cli.client import fetch
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.show import JsonOption, console, print_json


def fault(
    delay: Annotated[float | None, typer.Option(min=0.001, help="Attach this many seconds late.")] = None,
    refuse: Annotated[bool, typer.Option("--refuse", help="Do not attach at all.")] = False,
    clear: Annotated[bool, typer.Option("--clear", help="Attach as usual again.")] = False,
    group: Annotated[
        str, typer.Option(metavar="GROUP", help="service:NAME or family:NAME; without it all tasks.")
    ] = "",
    json_output: JsonOption = False,
) -> None:
    """Let interfaces of tasks that start from now on be attached late or never; without an option, list such faults."""
    chosen = [text for text, on in ((str(delay), delay is not None), ("refused", refuse), ("none", clear)) if on]
    if len(chosen) > 1:
        raise CliError("say one of --delay, --refuse and --clear.", code=Exit.USAGE)
    if chosen:
        found = fetch("POST", "/_ecsnet/faults", attach=chosen[0], group=group)
    else:
        found = fetch("GET", "/_ecsnet/faults")
    if json_output:
        print_json(found)
        return
    for one in found:
        what = "refused" if one["attach"] == "refused" else f"{one['attach']:g} s late"
        console().print(f"{'every task' if one['group'] == '*' else one['group']}: interface {what}")
    if not found:
        console().print("no fault is in force")
