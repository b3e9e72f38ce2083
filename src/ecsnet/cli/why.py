"""`ecsnet why`: print the walk of a flow. The verdict comes first; no colour is needed to understand it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ecsnet.cli.client import fetch
from ecsnet.cli.errors import Exit
from ecsnet.cli.show import JsonOption, console, print_json

_EXITS = {"reachable": 0, "blocked": 1, "unknown": Exit.UNDECIDED}

_STAGES = {
    "source": "from",
    "service": "service",
    "peering": "peering",
    "destination_check": "check",
    "acl_out": "acl out",
    "acl_in": "acl in",
    "sg_out": "out",
    "sg_in": "in",
    "route": "route",
    "gateway": "gateway",
    "internet": "internet",
    "arrival": "arrival",
}


def why(
    source: Annotated[str, typer.Argument(help="Task, service, load balancer, interface, address or internet.")],
    destination: Annotated[str, typer.Argument(help="The same, for where it shall arrive.")],
    service: Annotated[str, typer.Argument(metavar="PORT/PROTOCOL", help="443/tcp, 53/udp, icmp.")] = "80/tcp",
    vpc: Annotated[str | None, typer.Option("--vpc", help="Which VPC, for a private address of several.")] = None,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="Only what stands in the way.")] = False,
    json_output: JsonOption = False,
) -> None:
    """Say from the settings alone whether a connection works, and everything that stands in its way.

    No packet is sent. Exit code 0: reachable, 1: blocked, 6: it cannot be known.
    """
    more = {} if vpc is None else {"vpc": vpc}
    answer: dict[str, Any] = fetch(
        "POST", "/_ecsnet/why", **{"from": source, "to": destination, "service": service}, **more
    )
    if json_output:
        print_json(answer)
    else:
        for line in lines(answer, quiet=quiet):
            console().print(line, markup=False)
    raise typer.Exit(_EXITS[answer["verdict"]])


def lines(answer: dict[str, Any], *, quiet: bool = False) -> list[str]:
    """The walk as text, one line per step and one more per blocker where something was near."""
    blockers = sum(not step["ok"] for step in answer["steps"])
    amount = {0: "", 1: "  1 thing is in the way"}.get(blockers, f"  {blockers} things are in the way")
    target = f"{answer['destination']}"
    if answer["address"] not in target:
        target += f" ({answer['address']})"
    shown = [
        f"{answer['source']} → {target} {answer['service']}  {answer['verdict'].upper()}{amount}"
        f"  revision {answer['revision']}"
    ]
    steps = [step for step in answer["steps"] if not (quiet and step["ok"])]
    width = min(44, max((len(_who(step)) for step in steps), default=0))
    direction = "forward"
    for step in steps:
        if step["direction"] != direction:
            direction = step["direction"]
            shown.append("  reply")
        mark = "✓" if step["ok"] else "✗"
        groups = f"{', '.join(step['groups'])}: " if step["groups"] else ""
        shown.append(f"  {mark} {_who(step):{width}}  {_STAGES[step['stage']]:8}  {groups}{step['text']}".rstrip())
        if step["nearest"]:
            shown.append(f"        {step['nearest']}")
    return shown


def _who(step: dict[str, Any]) -> str:
    """The name before the id."""
    name = step["name"]
    return step["component"] if not name or step["component"] in name else f"{name} {step['component']}"
