"""The processes of tasks and the documents about them, in network words."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Literal

import msgspec

from ecsnet.logical.base import LogicalObject


class ContainerPort(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    port: int
    protocol: Literal["tcp", "udp"]


class LogTarget(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The log stream that a container's output goes to."""

    group: str
    stream: str
    region: str


class Process(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One container of a task, on the network stack that owns the port `port` of `router`."""

    task: str
    """Task ARN."""
    router: str
    port: str
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
    hostname: str
    hosts: tuple[tuple[IPv4Address, str], ...]
    """Names known without the resolver."""
    log: LogTarget | None
    stop_timeout: int
    """Seconds between the polite and the forced end."""


class DocumentPage(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    paths: tuple[str, ...]
    body: bytes


class Documents(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Documents that the router serves to one address of one task."""

    task: str
    router: str
    reader: IPv4Address
    pages: tuple[DocumentPage, ...]
