"""Places that traffic can start from: network namespaces of processes and of the bare comparison."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from ecsnet.agent.world import World
from ecsnet.cli.errors import CliError
from ecsnet.home import Home

_CLIENTS = 2
"""Processes that open connections: as many as accept them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A network namespace of the world, by a file that leads to it."""

    home: Home
    file: str

    def command(self, argv: Sequence[str]) -> list[str]:
        return World(self.home.path).enter_command(["nsenter", f"--net={self.file}", "--", *argv])

    @property
    def namespace(self) -> str:
        """The kernel's name of it: `net:[4026532281]`."""
        return _run(self.command(["readlink", "/proc/self/ns/net"])).strip()

    def load(self, what: str, address: str, port: int, *more: str) -> dict[str, Any]:
        """One measurement of `load` from here. Raises CliError when it fails."""
        found: dict[str, Any] = json.loads(_run(self.command(_load(what, address, port, *more))))
        return found

    def tracks(self, port: int, sources: Sequence[int]) -> bool:
        """Whether a connection to a port from one of these source ports is tracked here."""
        program = [sys.executable, "-m", "ecsnet.cli.modes.tracked", str(port), *map(str, sources)]
        return int(_run(self.command(program))) > 0

    def connections(self, address: str, port: int, seconds: float) -> float:
        """New connections a second, from several processes at once."""
        command = self.command(_load("connect", address, port, str(seconds)))
        clients = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(_CLIENTS)]
        said = [client.communicate()[0] for client in clients]
        if any(client.returncode for client in clients):
            raise CliError(f"connections to {address}:{port} could not be measured.")
        return sum(float(json.loads(text)["per_second"]) for text in said)


def place_of(home: Home, pid: int) -> Place:
    return Place(home=home, file=f"/proc/{pid}/ns/net")


def pinned(home: Home, name: str) -> Place:
    return Place(home=home, file=f"/run/netns/{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A client's place, and where it finds the server's ports."""

    name: str
    client: Place
    address: str
    ports: dict[tuple[str, int], int] = field(default_factory=dict)
    """Those that others reach under another number."""
    stacks: tuple[Place, ...] = ()
    """Whose packets these may be: of the two ends and of their instances."""

    def port(self, own: int, protocol: str = "tcp") -> int:
        return self.ports.get((protocol, own), own)


@contextmanager
def bare(home: Home) -> Iterator[tuple[Pair, Pair]]:
    """Two namespaces joined by a veth pair, with the MTU of VPC interfaces and no rule; and the loopback of one."""
    client, server = "bare-client", "bare-server"
    both = (pinned(home, client), pinned(home, server))
    for command in (
        ["ip", "netns", "add", client],
        ["ip", "netns", "add", server],
        ["ip", "link", "add", "eth0", "mtu", "9001", "netns", client, "type", "veth",
         "peer", "name", "eth0", "mtu", "9001", "netns", server],
        ["ip", "-n", client, "addr", "add", "192.0.2.1/30", "dev", "eth0"],
        ["ip", "-n", server, "addr", "add", "192.0.2.2/30", "dev", "eth0"],
        *(["ip", "-n", name, "link", "set", device, "up"] for name in (client, server) for device in ("lo", "eth0")),
    ):  # fmt: skip
        _run(World(home.path).enter_command(command))
    serve = [sys.executable, "-m", "ecsnet.cli.modes.service"]
    with subprocess.Popen(pinned(home, server).command(serve), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            if not process.stdout.readline():
                raise CliError("the server beside the bare veth pair did not start.")
            yield (
                Pair(name="bare veth", client=pinned(home, client), address="192.0.2.2", stacks=both),
                Pair(name="loopback", client=pinned(home, server), address="127.0.0.1", stacks=both[1:]),
            )
        finally:
            process.terminate()


def _load(what: str, address: str, port: int, *more: str) -> list[str]:
    return [sys.executable, "-m", "ecsnet.cli.modes.load", what, address, str(port), *more]


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        words = done.stderr.strip().splitlines()
        raise CliError(f"{' '.join(command[-4:])} failed: {words[-1] if words else done.returncode}.")
    return done.stdout
