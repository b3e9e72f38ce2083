"""`ecsnet up`, `down`, `status` and `env`: starting, stopping and looking at one ecsnet."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ecsnet.agent.world import World, WorldError
from ecsnet.cli.client import ACCOUNT, REGION, fetch, require_port, running
from ecsnet.cli.errors import CliError, Exit
from ecsnet.cli.show import JsonOption, console, print_json
from ecsnet.home import DEFAULT_PORT, Home, default_home

START_TIMEOUT = 120.0
"""Seconds; a start that fails is told at once, so this is for machines that are slow."""


def start(home: Home, *, port: int, speed: float, quotas: Sequence[str] = ()) -> int:
    """Start control (and with it the world) unless it runs already; returns its port.

    Raises CliError when this machine cannot enforce, or control does not come up.
    """
    found = running(home)
    if found is not None:
        return found[1]
    existed = home.path.exists()
    world = World(home.path)
    alive = world.alive()
    try:
        world.start()
        home.ensure()
        world.start_agent()  # beside control, which takes as long to start; a second agent sees the first's lock
        _start_control(home, port, speed, quotas)
    except (WorldError, CliError) as error:
        if not alive:
            world.down()
        if not existed:
            shutil.rmtree(home.path, ignore_errors=True)
        if isinstance(error, CliError):
            raise
        raise CliError(f"this machine cannot run real networks: {error}", code=Exit.CANNOT_ENFORCE) from error
    return require_port(home)


def _start_control(home: Home, port: int, speed: float, quotas: Sequence[str]) -> None:
    """Start control, detached, and wait until its agent has everything in force. Raises CliError when it ends."""
    command = [sys.executable, "-m", "ecsnet.daemon", "--home", str(home.path), "--port", str(port)]
    command += ["--speed", str(speed), *(word for quota in quotas for word in ("--quota", quota))]
    with home.control_log.open("ab") as log:
        mark = log.tell()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            with home.control_log.open("rb") as log_file:
                log_file.seek(mark)
                last = log_file.read().decode(errors="replace").strip().splitlines()
            raise CliError(f"ecsnet did not start: {last[-1] if last else f'exit code {process.returncode}'}")
        if running(home) is not None and fetch("GET", "/_ecsnet/status")["ready"]:
            return
        time.sleep(0.02)
    process.kill()
    raise CliError(f"ecsnet did not become ready in {START_TIMEOUT:.0f} s.", hint="Try again: ecsnet up")


def up(
    port: Annotated[int, typer.Option(help="Port of the AWS API on 127.0.0.1.")] = DEFAULT_PORT,
    speed: Annotated[
        float, typer.Option(min=0.01, help="Divide every control-plane timer (health intervals, delays) by this.")
    ] = 1.0,
    quota: Annotated[
        list[str] | None, typer.Option(metavar="NAME=NUMBER", help="Another quota than AWS's default; may be repeated.")
    ] = None,
) -> None:
    """Start ecsnet: the AWS API on 127.0.0.1 and, behind it, a world of real networks."""
    home = default_home()
    already = running(home)
    actual = start(home, port=port, speed=speed, quotas=quota or ())
    if already and actual != port:
        console().print(f"ecsnet already runs, on port {actual}.")
        return
    console().print(f"ecsnet {'already runs' if already else 'is up'}: http://127.0.0.1:{actual}")
    console().print("Point your tools at it with:  [bold]eval $(ecsnet env)[/]")


def down(
    keep_state: Annotated[
        bool, typer.Option("--keep-state", help="Keep the resources: the next `up` builds the same network again.")
    ] = False,
) -> None:
    """Stop ecsnet and take its world down: no process, namespace or file of it is left."""
    home = default_home()
    stop(home)
    if keep_state:
        console().print("ecsnet is down. Its resources are kept; `ecsnet up` builds the network again.")
        return
    try:
        World(home.path).remove_state()
    except OSError as error:
        raise CliError(f"ecsnet is down, but {home.path} could not be removed: {error}") from error
    console().print("ecsnet is down; nothing of it is left.")


def stop(home: Home) -> None:
    """End control and everything in the world; the files stay."""
    found = running(home)
    if found is not None:
        os.kill(found[0], signal.SIGTERM)
        _wait_gone(home, found[0])
    World(home.path).down()


def _wait_gone(home: Home, pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not _alive(pid):
            return
        time.sleep(0.02)
    os.kill(pid, signal.SIGKILL)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def status(
    json_output: JsonOption = False,
    log: Annotated[bool, typer.Option("--log", help="Print the end of control's log.")] = False,
) -> None:
    """Say whether everything asked for is in force, and what this machine does not enforce."""
    home = default_home()
    if log:
        lines = home.control_log.read_text(errors="replace").splitlines() if home.control_log.exists() else []
        print("\n".join(lines[-50:]))
        return
    if running(home) is None:
        if json_output:
            print_json({"running": False})
        else:
            console().print("ecsnet is not running. Start it with: ecsnet up")
        raise typer.Exit(Exit.NOT_RUNNING)
    state: dict[str, Any] = fetch("GET", "/_ecsnet/status")
    if json_output:
        print_json({"running": True, **state})
        return
    out = console()
    out.print(f"ecsnet {state['version']}  http://127.0.0.1:{state['port']}  (control {state['pid']})")
    agent = state["agent"]
    if agent["connected"]:
        where = "as an ordinary user, in user namespaces" if agent["rootless"] else "as root"
        out.print(f"agent {agent['pid']}, {where}")
    else:
        out.print("[red]the agent is not connected[/]: packets, names and load balancers go on; changes wait")
    lag = state["planned"] - state["applied"]
    in_force = "everything is in force" if lag <= 0 and not state["failures"] else "[yellow]changes are pending[/]"
    out.print(f"revision {state['revision']}: {in_force}   speed {state['speed']:g}")
    counts = ", ".join(f"{name}: {number}" for name, number in state["counts"].items())
    out.print(counts)
    for item in state["published"]:
        out.print(f"{item['name']}:{item['port']} is published on http://127.0.0.1:{item['local_port']}")
    for fault in state["faults"]:
        console().print(f"[yellow]fault: interfaces of {fault['group']} attach: {fault['attach']}[/]  (ecsnet fault)")
    for failure in state["failures"]:
        out.print(f"[red]not in force[/] {failure['key']}: {failure['text']}")
    for note in agent["notes"]:
        out.print(f"[dim]note: {note}[/]")


def env() -> None:
    """Print the environment that points AWS tools at ecsnet, for `eval $(ecsnet env)`."""
    for name, value in environment().items():
        print(f"export {name}={value}")


def environment() -> dict[str, str]:
    """The environment variables for SDKs, the AWS CLI and the CDK."""
    return {
        "AWS_ENDPOINT_URL": f"http://localhost:{require_port()}",
        "AWS_ACCESS_KEY_ID": ACCOUNT,
        "AWS_SECRET_ACCESS_KEY": "ecsnet",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        # DiscoverInstances and a few others put a prefix before the host name, which no 127.0.0.1 has.
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
