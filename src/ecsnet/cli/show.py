"""`ecsnet ps` and `ecsnet map`: what runs, and what the network looks like."""

from __future__ import annotations

import json
import os
import sys
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from ecsnet.cli.client import fetch

JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def console() -> Console:
    """Standard output. A file or pipe has no width to fit, so nothing is wrapped there."""
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Console(highlight=False, width=width)


def print_json(value: object) -> None:
    print(json.dumps(value, indent=2))


def ps(
    json_output: JsonOption = False,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also tasks that have stopped.")] = False,
) -> None:
    """List tasks: service, mode, runtime, address, state."""
    tasks: list[dict[str, Any]] = fetch("GET", "/_ecsnet/tasks")
    if not everything:
        tasks = [task for task in tasks if task["status"] != "STOPPED"]
    if json_output:
        print_json(tasks)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("TASK", "SERVICE", "MODE", "RUNTIME", "ADDRESS", "PUBLIC", "STATE", "HEALTH"):
        table.add_column(column, no_wrap=column not in ("SERVICE", "STATE"))
    for task in tasks:
        state = task["status"] if not task["stopped_reason"] else f"{task['status']}: {task['stopped_reason']}"
        table.add_row(
            task["id"][:12],
            task["service"] or task["group"],
            task["mode"],
            task["runtime"] or "-",
            task["address"] or "-",
            task["public_address"] or "-",
            state,
            task["target_health"] or "-",
        )
    if not tasks:
        console().print("No tasks." if everything else "No tasks are running (ecsnet ps --all shows stopped ones).")
        return
    console().print(table)


def network_map(
    json_output: JsonOption = False,
    everything: Annotated[bool, typer.Option("--all", "-a", help="Also VPCs without an interface.")] = False,
) -> None:
    """Show the network as a tree: VPC, subnet, interface."""
    vpcs: list[dict[str, Any]] = fetch("GET", "/_ecsnet/map")
    if not everything:
        vpcs = [vpc for vpc in vpcs if any(subnet["interfaces"] for subnet in vpc["subnets"])]
    if json_output:
        print_json(vpcs)
        return
    if not vpcs:
        console().print("No VPC has an interface yet (ecsnet map --all shows the empty ones).")
    for vpc in vpcs:
        console().print(vpc_tree(vpc))


def vpc_tree(vpc: dict[str, Any]) -> Tree:
    """One VPC as a Rich tree."""
    tree = Tree(_label("VPC", vpc["name"], vpc["id"], vpc["cidrs"], vpc["region"]))
    for gateway in vpc["gateways"]:
        tree.add(f"[cyan]{gateway['kind']}[/] {gateway['id']}  {gateway['detail']}")
    for subnet in vpc["subnets"]:
        branch = tree.add(
            _label("subnet", subnet["name"], subnet["id"], [subnet["cidr"]], subnet["az"], subnet["kind"])
        )
        for interface in subnet["interfaces"]:
            public = f"  public {interface['public_address']}" if interface["public_address"] else ""
            groups = ",".join(interface["groups"])
            seen = "" if interface["in_force"] else "  [yellow]not in force yet[/]"
            branch.add(
                f"[green]{interface['address']}[/]{public}  {interface['used_by']}"
                f"  [dim]{interface['id']} {groups}[/]{seen}"
            )
    return tree


def _label(kind: str, name: str, identifier: str, cidrs: list[str], *more: str) -> str:
    shown = f"[bold]{name}[/] [dim]{identifier}[/]" if name else f"[bold]{identifier}[/]"
    return f"[cyan]{kind}[/] {shown}  {' '.join(cidrs)}  {'  '.join(part for part in more if part)}"
