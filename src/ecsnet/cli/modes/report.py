"""What one run of `ecsnet modes` saw: observations and figures, no words about them."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import msgspec

MODES = ("bridge", "host", "awsvpc")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An address and a port, and whose address that is by DescribeNetworkInterfaces."""

    address: str
    port: int
    owner: str = ""
    """`task`, `instance`, or "" when no network interface has it."""


class Namespaces(msgspec.Struct, frozen=True, kw_only=True):
    """The kernel's names of network namespaces, as /proc/<pid>/ns/net of each process says."""

    server: str
    neighbour: str
    """Of a second container of the server's task."""
    instance: str
    """Of the container instance that the task runs on."""


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which security group decided about probes of two ports, one admitted and one not."""

    admitted_by: str
    """The group's name; "" when no rule said so."""
    rule: str
    denied_by: str
    """The names of the groups of the interface that dropped it; "" when it was not dropped there."""
    interface: str
    owner: str
    """Whose interface that is: `task` or `instance`."""


class Metadata(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a container's request to the instance metadata service, with a token."""

    outcome: str
    """`answered`, or how far it came."""
    instance: str = ""
    """Whose instance id it answered: `own` when it is that of the task's container instance."""
    hop_limit: int
    """How many hops the answer with the token may travel, by the instance's MetadataOptions."""


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One round of measurements between two places."""

    gbit_per_second: float
    p50_us: float
    p99_us: float
    connections_per_second: float


class Density(msgspec.Struct, frozen=True, kw_only=True):
    """Tasks of one definition on one instance until ECS refused the next."""

    tasks: int
    refusal: str


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """Two places, measured in alternating rounds."""

    name: str
    hops: int
    segment: int
    """TCP's largest segment, in bytes, as the server's socket has it."""
    tracking: int
    """Network stacks of the two ends and of their instances that track the connection (the VPC's router is none)."""
    rounds: tuple[Round, ...]

    @property
    def median(self) -> Round:
        """Each figure's median over the rounds."""
        return Round(**{name: statistics.median(self.every(name)) for name in Round.__struct_fields__})

    def every(self, name: str) -> Sequence[float]:
        return [float(getattr(one, name)) for one in self.rounds]


class ModeReport(msgspec.Struct, frozen=True, kw_only=True):
    """One network mode."""

    traffic: Traffic
    namespaces: Namespaces
    localhost: str
    """What became of a connection from the second container to the server's port at 127.0.0.1."""
    asked: Endpoint
    """Where the client connects to."""
    listens: Endpoint
    """Its own address and port, as the server's socket says."""
    client: Endpoint
    """The client's end, as its own socket says."""
    peer: Endpoint
    """The client's end, as the server's socket says."""
    filter: Filter
    metadata: Metadata
    interfaces: int
    """Network interfaces that exist for its two tasks."""
    starts_ms: tuple[float, ...]
    density: Density

    @property
    def mode(self) -> str:
        return self.traffic.name


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    kernel: str
    cores: int
    python: str
    rootless: bool
    load: float
    """Processes that wanted to run when the run began (load average of a minute): what else the machine was doing."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run."""

    version: str
    measured: str
    """The day, ISO 8601."""
    machine: Machine
    instance_type: str
    seconds: float
    """Of each measurement."""
    modes: tuple[ModeReport, ...]
    missing: dict[str, str]
    """Modes that did not run → what was seen of their tasks."""
    bare: tuple[Traffic, ...]
    """A bare veth pair and loopback, in the same rounds."""
