"""`ecsnet curl`, `exec`, `logs` and `nft`: send a packet, stand inside a task, read its output and its filter."""

from __future__ import annotations

import os
import shutil
import sys
from typing import Annotated, Any

import typer

from ecsnet.agent.runtimes import podman_store
from ecsnet.agent.runtimes.logfile import log_path
from ecsnet.agent.world import World
from ecsnet.cli.client import fetch, require_port
from ecsnet.cli.dial import Place, request
from ecsnet.cli.errors import CliError, Exit
from ecsnet.home import default_home

INTERNET = Place(netns="internet", nameserver="198.19.255.253")


def curl(
    url: Annotated[str, typer.Argument(help="http[s]://name-or-address[:port]/path")],
    source: Annotated[
        str | None, typer.Option("--from", metavar="TASK", help="Send from inside this task, not from the internet.")
    ] = None,
    include: Annotated[bool, typer.Option("-i", "--include", help="Print status line and headers too.")] = False,
    method: Annotated[str, typer.Option("-X", "--request", help="HTTP method.")] = "GET",
    header: Annotated[list[str] | None, typer.Option("-H", "--header", help='Extra header, "Name: value".')] = None,
    data: Annotated[str | None, typer.Option("-d", "--data", help="Request body.")] = None,
    max_time: Annotated[float, typer.Option("-m", "--max-time", help="Give up after this many seconds.")] = 5.0,
) -> None:
    """Send an HTTP request from the internet side of the world (or from a task) and print the answer.

    Exit code 0 for any HTTP answer, 7 when the connection is refused, 28 when nothing answers.
    """
    home = default_home()
    require_port(home)
    headers = {}
    for line in header or []:
        name, colon, value = line.partition(":")
        if not colon:
            raise CliError(f'-H {line!r} is not "Name: value".', code=Exit.USAGE)
        headers[name.strip()] = value.strip()
    place = INTERNET if source is None else place_of(source)
    reply = request(
        home,
        place,
        url,
        method="POST" if data is not None and method == "GET" else method,
        headers=headers,
        body=data.encode() if data is not None else None,
        timeout=max_time,
    )
    if include:
        print(f"HTTP/1.1 {reply.status} {reply.reason}")
        for name, value in reply.headers:
            print(f"{name}: {value}")
        print()
    sys.stdout.flush()
    sys.stdout.buffer.write(reply.body)
    if reply.body and not reply.body.endswith(b"\n") and sys.stdout.isatty():
        print()


def find_task(name: str) -> dict[str, Any]:
    """The task of that id (or its beginning), ARN or service name. Raises CliError when none or several fit."""
    found: dict[str, Any] = fetch("GET", "/_ecsnet/task", name=name)
    return found


def place_of(task: str) -> Place:
    """The namespace of a task and its VPC's resolver."""
    found = find_task(task)
    return Place(netns=found["netns"], nameserver=found["nameserver"])


def execute(
    task: Annotated[str, typer.Argument(help="Task id (or its beginning) or service name.")],
    command: Annotated[list[str], typer.Argument(help="The command, after --.")],
    container: Annotated[str | None, typer.Option("--container", "-c", help="Which container (podman).")] = None,
) -> None:
    """Run a command inside a task: in its network, and for real containers inside the container.

    A stand-in has no file system of its own: there the command is one of this machine, in the task's network.
    """
    found = find_task(task)
    world = World(default_home().path)
    chosen = _container(found, container)
    if chosen["runtime"] == "podman":
        store = podman_store.Store(directory=default_home().path / "podman")
        settings = [f"{name}={value}" for name, value in store.environment().items() if name.startswith("CONTAINERS_")]
        argv = ["env", *settings, *store.command("exec", "-i", chosen["runtime_id"], *command)]
    else:
        argv = ["nsenter", f"--net=/run/netns/{chosen['netns']}", "--", *command]
    full = world.enter_command(argv)
    program = shutil.which(full[0])
    if program is None:
        raise CliError(f"{full[0]} is not installed.", hint="scripts/install.sh run", code=Exit.CANNOT_ENFORCE)
    sys.stdout.flush()
    os.execv(program, full)


def _container(task: dict[str, Any], name: str | None) -> dict[str, Any]:
    containers: list[dict[str, Any]] = task["containers"]
    if name is None:
        return containers[0]
    for container in containers:
        if container["name"] == name:
            return container
    names = ", ".join(container["name"] for container in containers)
    raise CliError(f"the task has no container {name}.", hint=f"It has: {names}", code=Exit.NOT_FOUND)


def logs(
    task: Annotated[str, typer.Argument(help="Task id (or its beginning) or service name.")],
    container: Annotated[str | None, typer.Option("--container", "-c", help="Only this container.")] = None,
) -> None:
    """Print what a task's containers wrote."""
    found = find_task(task)
    directory = default_home().path / "logs"
    wanted = [_container(found, container)] if container else found["containers"]
    for item in wanted:
        path = log_path(directory, found["arn"], item["name"])
        if not path.exists():
            raise CliError(
                f"container {item['name']} has written nothing ({item['runtime'] or 'not started'}).",
                code=Exit.NOT_FOUND,
            )
        prefix = f"{item['name']} | " if len(wanted) > 1 else ""
        for line in path.read_text(errors="replace").splitlines():
            print(f"{prefix}{line}")


def nft(vpc: Annotated[str, typer.Argument(help="VPC id or Name tag.")]) -> None:
    """Print the live packet filter of a VPC, each rule with the AWS id that it enforces."""
    print(fetch("GET", "/_ecsnet/nft", vpc=vpc)["ruleset"], end="")
