"""The processes of tasks and the documents about them, in network words."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Literal

import msgspec

from ecsnet.logical.base import LogicalObject
from ecsnet.logical.containers import PublishedPorts


class ContainerPort(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    port: int
    protocol: Literal["tcp", "udp"]


class Check(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A command that says by its exit code whether a process is healthy. Times are seconds."""

    arguments: tuple[str, ...]
    interval: int
    timeout: int
    retries: int
    start_period: int


class LogTarget(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The log stream that a container's output goes to."""

    group: str
    stream: str
    region: str


class OnPort(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """The network stack that owns the port `port` of `router`: shared by the containers of one task."""

    router: str
    port: str
    address: IPv4Address


class OnMachine(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """The network stack of a machine: shared by everything that runs there."""

    machine: str


class OnStack(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag=True):
    """A `ContainerStack`: shared by nobody."""

    stack: str
    machine: str
    address: IPv4Address | None
    published: tuple[PublishedPorts, ...] = ()


Seat = OnPort | OnMachine | OnStack
"""Whose network stack a process uses."""


class Restart(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A process that ends is started again if it has run for `period` seconds, unless its exit code is ignored."""

    period: int
    ignored_codes: tuple[int, ...]


class Process(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One container of a task."""

    task: str
    """Task ARN."""
    seat: Seat
    name: str
    runtime: Literal["auto", "stand-in", "podman", "process"]
    image: str
    entry_point: tuple[str, ...]
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    working_directory: str | None
    user: str | None
    ports: tuple[ContainerPort, ...]
    identity: tuple[tuple[str, str], ...]
    """What a stand-in says about itself: ((name, value), …)."""
    resolver: IPv4Address | None
    search: tuple[str, ...]
    hostname: str | None
    hosts: tuple[tuple[IPv4Address, str], ...]
    """Names known without the resolver."""
    log: LogTarget | None
    stop_timeout: int
    """Seconds between the polite and the forced end."""
    restart: Restart | None = None
    check: Check | None = None


class DocumentPage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    paths: tuple[str, ...]
    body: bytes


class MachineDocuments(LogicalObject, frozen=True, kw_only=True, gc=False):
    """What a machine is told about itself by the router of its network."""

    machine: str
    router: str
    leaves: tuple[tuple[str, str], ...]
    """((path, text), …)."""
    blob: bytes | None
    """What its user gave it on its way."""
    enabled: bool
    token_required: bool
    hop_limit: int
    """How many hops the answer to a request for a token travels."""


class MachineReader(LogicalObject, frozen=True, kw_only=True, gc=False):
    """An address of a port may read the documents of a machine."""

    router: str
    port: str
    address: IPv4Address
    machine: str


class Documents(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Documents of a task that are served to one address: by a router to the task's own, by a machine to one of its
    containers or to itself (`reader` None)."""

    task: str
    server: Literal["router", "machine"]
    place: str
    reader: IPv4Address | None
    pages: tuple[DocumentPage, ...]
