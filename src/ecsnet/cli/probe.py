"""`ecsnet probe` and `ecsnet capture`: send a packet and say who decided; write down the packets of an interface."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from ecsnet.agent.world import World
from ecsnet.cli.client import fetch, require_port
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.show import JsonOption, print_json
from ecsnet.home import default_home

_EXITS = {"reached": 0, "refused": 1, "dropped": 1, "lost": Exit.UNDECIDED}


def probe(
    source: Annotated[
        str, typer.Argument(metavar="SRC", help="Task, service, load balancer, interface, instance, address, internet.")
    ],
    destination: Annotated[str, typer.Argument(metavar="DST", help="The same; also an address that nobody has.")],
    port: Annotated[str, typer.Argument(metavar="PORT/PROTO", help="443/tcp, 53/udp, icmp")],
    source_port: Annotated[int | None, typer.Option("--source-port", help="Instead of a client's port.")] = None,
    json_output: JsonOption = False,
) -> None:
    """Send one real packet and say what became of it, and who decided.

    Exit code 0: it reached something that answers; 1: refused or dropped; 6: nothing was seen of it.
    """
    query = {"from": source, "to": destination, "port": port}
    if source_port is not None:
        query["source_port"] = str(source_port)
    verdict: dict[str, Any] = fetch("POST", "/_ecsnet/probe", **query)
    if json_output:
        print_json(verdict)
    else:
        sent = verdict["probe"]
        print(f"{verdict['verdict']}: {verdict['sentence']}")
        print(f"  {sent['source']} → {sent['destination']}")
        if verdict["accepted"]:
            print(f"  admitted by {', '.join(verdict['accepted'])}")
        if verdict["rule"]:
            print(f"  decided by {verdict['rule']} ({verdict['where']})")
    sys.exit(_EXITS[verdict["verdict"]])


def capture(
    interface: Annotated[str, typer.Argument(metavar="ENI", help="Network interface id, or what `probe` takes.")],
    file: Annotated[Path, typer.Option("--write", "-w", help="Where to write (pcap); - for standard output.")],
    count: Annotated[int | None, typer.Option("--count", "-c", min=1, help="Stop after so many packets.")] = None,
) -> None:
    """Write the packets of an interface to a pcap file, as its VPC's router sees them, until Ctrl-C."""
    require_port()
    where: dict[str, Any] = fetch("GET", "/_ecsnet/capture-point", of=interface)
    program = [sys.executable, "-m", "ecsnet.agent.capture", where["device"], str(count or 0)]
    argv = ["nsenter", f"--net=/run/netns/{where['netns']}", "--", *program]
    try:
        target: BinaryIO = sys.stdout.buffer if str(file) == "-" else file.open("wb")
    except OSError as error:
        raise CliError(f"cannot write {file}: {error.strerror}.", code=Exit.USAGE) from error
    with target:
        # Ctrl-C reaches both processes: the one inside ends its stream with a whole packet, this one waits for that.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        done = subprocess.run(
            World(default_home().path).enter_command(argv), stdout=target, stderr=subprocess.PIPE, check=False
        )
    words = done.stderr.decode(errors="replace").strip()
    if done.returncode != 0:
        raise CliError(
            f"nothing was captured at {where['interface']}: {words.splitlines()[-1] if words else 'no reason'}"
        )
    print(f"{words} packets of {where['interface']} ({where['label']}) in {file}", file=sys.stderr)
