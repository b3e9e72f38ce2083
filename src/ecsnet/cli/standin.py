"""`ecsnet stand-in`: make a stand-in ill, well, or end, to see what the network does about it."""

from __future__ import annotations

from typing import Annotated

import typer

from ecsnet.cli.client import fetch
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.show import console


def stand_in(
    task: Annotated[str, typer.Argument(help="Task id (or its beginning) or service name.")],
    container: Annotated[str | None, typer.Option("--container", "-c", help="Default: the first.")] = None,
    healthy: Annotated[
        bool | None, typer.Option("--healthy/--unhealthy", help="Answer requests with 200, or with 503.")
    ] = None,
    exit_code: Annotated[int | None, typer.Option("--exit", metavar="CODE", help="End as if by itself.")] = None,
) -> None:
    """Make a stand-in container ill or well, or let it end."""
    if (healthy is None) == (exit_code is None):
        raise CliError("say one of --healthy, --unhealthy and --exit CODE.", code=Exit.USAGE)
    query = {"task": task}
    if container is not None:
        query["container"] = container
    if exit_code is not None:
        query["exit"] = str(exit_code)
        done = f"ends with {exit_code}"
    else:
        query["healthy"] = "1" if healthy else "0"
        done = "answers 200" if healthy else "answers 503"
    found = fetch("POST", "/_ecsnet/stand-in", **query)
    console().print(f"{found['container']} of {found['task']} {done}")
