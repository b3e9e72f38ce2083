"""`ecsnet flows`: who reaches whom, as it happens, and by which rule."""

from __future__ import annotations

import http.client
import json
import sys
import time
import urllib.parse
from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from ecsnet.cli.client import refusal, require_port
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.show import console

_WIDTH, _UPPER = 36, 9
"""Columns for an end, and for the port behind the second one; longer names push the rest to the right."""


def flows(
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Go on until Ctrl-C (flows are only seen as they happen).")
    ] = False,
    rejected: Annotated[bool, typer.Option("--rejected", help="Only what was denied.")] = False,
    json_output: Annotated[bool, typer.Option("--json", help="One JSON object per line.")] = False,
    interface: Annotated[str | None, typer.Option("--interface", metavar="ENI", help="Only of this interface.")] = None,
    vpc: Annotated[str | None, typer.Option("--vpc", metavar="VPC", help="Only in this VPC (id or Name tag).")] = None,
    seconds: Annotated[float, typer.Option("--for", metavar="SECONDS", help="Without -f: how long to look.")] = 10.0,
) -> None:
    """Show flows live: who to whom, port, ACCEPT or REJECT, and the rule that decided.

    A flow is shown once, when its first packet is admitted; denied packets are shown at once, repetitions
    once a second.
    """
    query = {"interface": interface, "vpc": vpc, "rejected": "1" if rejected else None}
    end = None if follow else time.monotonic() + seconds
    out = console()
    try:
        for item in _items({name: value for name, value in query.items() if value is not None}, end):
            if json_output:
                print(json.dumps(item), flush=True)
            else:
                _show(out, item, rejected=rejected)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # behind the terminal's ^C


def _items(query: dict[str, str], end: float | None) -> Iterator[dict[str, Any]]:
    """The lines of the live view until `end` (monotonic seconds). Raises CliError."""
    connection = http.client.HTTPConnection("127.0.0.1", require_port(), timeout=10)
    try:
        connection.request("GET", "/_ecsnet/flows?" + urllib.parse.urlencode(query))
        response = connection.getresponse()
        if response.status != 200:
            raise refusal(response.status, response.read())
        while True:
            if connection.sock is not None:
                connection.sock.settimeout(None if end is None else max(0.001, end - time.monotonic()))
            line = response.readline()
            if not line:
                raise CliError("ecsnet has stopped.", code=Exit.NOT_RUNNING)
            yield json.loads(line)
    except TimeoutError:
        return
    except OSError as error:
        raise CliError(f"ecsnet does not answer ({error}).", code=Exit.NOT_RUNNING) from error
    finally:
        connection.close()


def _show(out: Console, item: dict[str, Any], *, rejected: bool) -> None:
    if "watching" in item:
        if not item["watching"]:
            out.print("[yellow]The flow reader is not ready yet; what comes before it is not shown.[/]")
        elif sys.stdout.isatty():
            what = "what is denied" if rejected else "flows as they begin, and what is denied"
            out.print(f"[dim]Watching {what}. Ctrl-C ends.[/]")
    elif "lost" in item:
        out.print(f"[yellow]{item['lost']} lines are missing here: they came faster than they were read.[/]")
    else:
        out.print(_line(item), soft_wrap=True)


def _line(item: dict[str, Any]) -> Text:
    """`12:00:01  ACCEPT  web 1a2b 10.0.1.5 → api 3c4d 10.0.2.6:80/tcp   web out sgr-…, api in sgr-…`."""
    denied = item["action"] == "REJECT"
    style = "bold red" if denied else "green"
    text = Text()
    text.append(time.strftime("%H:%M:%S", time.localtime(item["time"])), style="dim")
    text.append(f"  {item['action']}  ", style=style)
    text.append(f"{_end(item['source']):<{_WIDTH}}")
    text.append(" → ", style=style)
    port = item["destination"]["port"]
    upper = f":{port}/{item['protocol']}" if port else f" {item['protocol']}"
    destination = _end(item["destination"])
    text.append(destination).append(upper, style="bold")
    more = (f" ×{item['packets']}" if denied and item["packets"] > 1 else "") + (" (answer)" if item["reply"] else "")
    text.append(more, style=style)
    text.append(" " * max(0, _WIDTH + _UPPER - len(destination + upper + more)))
    for number, decider in enumerate(item["by"]):
        text.append(", " if number else "  ")
        text.append(decider["text"], style="red" if denied else "")
        if decider["rule"].startswith(("sgr-", "acl-", "pcx-")):
            text.append(f" {decider['rule']}", style="dim")
    return text


def _end(end: dict[str, Any]) -> str:
    """A task by its service and the beginning of its id, anything else by what it is."""
    address = str(end["address"])
    if not end["name"]:
        return address
    kind, _, rest = end["name"].partition(" ")
    if kind == "task" and rest:
        service, _, task = rest.rpartition(" ")
        return f"{service} {task[:8]} {address}"
    return f"{end['name']} {address}"
