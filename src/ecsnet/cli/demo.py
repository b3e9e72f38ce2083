"""`ecsnet demo`: deploys the storefront example and shows its traffic, allowed and refused."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer

from ecsnet.cli.client import fetch
from ecsnet.cli.deploy import deploy_stack
from ecsnet.cli.dial import HttpReply, request
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.lifecycle import start
from ecsnet.cli.show import console, network_map, ps
from ecsnet.cli.traffic import INTERNET, place_of
from ecsnet.home import DEFAULT_PORT, default_home

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "storefront"
REQUESTS = 10
REFUSED_PORT = 5432


def demo(
    port: Annotated[int, typer.Option(help="Port of the AWS API on 127.0.0.1.")] = DEFAULT_PORT,
) -> None:
    """Start ecsnet, deploy examples/storefront, show what answers and what is refused, and leave it running."""
    out = console()
    if not EXAMPLE.is_dir():
        raise CliError(f"the example is not at {EXAMPLE}.", hint="Run the demo from a clone of the repository.")
    began = time.monotonic()
    home = default_home()
    actual = start(home, port=port, speed=1.0)
    out.print(f"[bold]ecsnet[/] is up: http://127.0.0.1:{actual}\n")

    out.print("Deploying examples/storefront: two CloudFormation stacks, the second imports from the first")
    deploy_stack(EXAMPLE / "network.yaml", "storefront-network", {}, quiet=False)
    outputs = deploy_stack(EXAMPLE / "app.yaml", "storefront", {}, quiet=False)
    url = outputs["Url"]
    first = _first_answer(url)
    out.print(f"first answer of {url}: {first.status} after {time.monotonic() - began:.1f} s\n")

    network_map(json_output=False, everything=False)
    out.print()
    ps(json_output=False, everything=False)

    out.print(f"\n{REQUESTS} requests from the internet side to {url}")
    _show_balancing(url)
    out.print(f"\nand to {url}/api/items, which a path rule sends to the api service")
    _show_balancing(f"{url.rstrip('/')}/api/items")
    _show_refusal()

    program = "ecsnet" if shutil.which("ecsnet") else sys.argv[0]
    out.print("\nIt is left running. Try next:")
    out.print(f"  {program} curl --from web {url}/api/   [dim]# out by NAT, in at the front[/]")
    out.print(f"  {program} exec web -- ip route   [dim]# stand inside a task's network[/]")
    out.print(f"  eval $({program} env)   [dim]# then aws, boto3, cdk as they are[/]")
    out.print(f"\nTake everything down again with:  [bold]{program} down[/]")


def _first_answer(url: str) -> HttpReply:
    home = default_home()
    deadline = time.monotonic() + 20
    while True:
        reply = request(home, INTERNET, url)
        if reply.status == 200 or time.monotonic() > deadline:
            return reply
        time.sleep(0.02)


def _show_balancing(url: str) -> None:
    home = default_home()
    answers: Counter[tuple[int, str]] = Counter()
    for _ in range(REQUESTS):
        reply = request(home, INTERNET, url)
        answers[(reply.status, _who(reply))] += 1
    for (status, who), times in sorted(answers.items()):
        console().print(f"  {status} × {times:<2} {who}")


def _who(reply: HttpReply) -> str:
    try:
        body: dict[str, Any] = json.loads(reply.body)
    except json.JSONDecodeError:
        return reply.body.decode(errors="replace").strip()[:80]
    return f"{body.get('service', '?')} task {str(body.get('task', '?'))[:12]} at {body.get('address', '?')}"


def _show_refusal() -> None:
    """Send a packet that no rule admits, and name the filter rule whose counter saw it."""
    out = console()
    tasks = {task["service"]: task for task in fetch("GET", "/_ecsnet/tasks") if task["status"] == "RUNNING"}
    store = tasks["database"]
    target = f"{store['address']}:{REFUSED_PORT}"
    out.print(f"\nthe api service may reach the database at {target}; the web service may not:")
    for source in ("api", "web"):
        before = _drops()
        try:
            reply = request(default_home(), place_of(source), f"http://{target}/", timeout=1.0)
            out.print(f"  {source} → database: [green]{reply.status}[/]")
        except CliError as error:
            if error.code is not Exit.TIMED_OUT:
                raise
            dropped = {
                rule: count - before.get(rule, 0) for rule, count in _drops().items() if count > before.get(rule, 0)
            }
            for rule, packets in dropped.items():
                out.print(f"  {source} → database: [red]dropped[/], {packets} packet{'s'[: packets > 1]}: {rule}")
            if not dropped:
                out.print(f"  {source} → database: [red]no answer[/], and no filter counted a packet")


def _drops() -> dict[str, int]:
    drops: list[dict[str, Any]] = fetch("GET", "/_ecsnet/drops")
    return {drop["text"]: drop["packets"] for drop in drops}
