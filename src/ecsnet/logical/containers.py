"""Networks of single containers that a machine keeps behind its own addresses."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network
from typing import Literal

import msgspec

from ecsnet.logical.base import LogicalObject


class ContainerNetwork(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A machine has an address in a network of its own containers and translates what they send to elsewhere."""

    machine: str
    network: IPv4Network
    gateway: IPv4Address


class ContainerPlug(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a container's stack is plugged in: its address in the `ContainerNetwork` of a machine."""

    machine: str
    address: IPv4Address
    network: IPv4Network
    gateway: IPv4Address


class ContainerStack(LogicalObject, frozen=True, kw_only=True, gc=False):
    """The network stack of one container, with a loopback of its own."""

    id: str
    """64 hex digits."""
    owner: str
    """Task ARN."""
    plug: ContainerPlug | None
    """None: nothing but the loopback."""


class PublishedPorts(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Ports of a machine that lead to a container of its network, each to the port as far on."""

    machine: str
    protocol: Literal["tcp", "udp"]
    port: int
    length: int
    address: IPv4Address
    target: int
