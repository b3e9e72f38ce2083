"""The addresses of the VPC's own router and services, which groups and network ACLs cannot filter."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network

from ecsnet.model.ec2 import NetworkInterface
from ecsnet.reach.flow import TCP, UDP, IpAddress, Packet
from ecsnet.reach.records import Records, once

RESOLVER = IPv4Address("169.254.169.253")
RESOLVER6 = IPv6Address("fd00:ec2::253")
METADATA = IPv4Address("169.254.170.2")
MACHINE_METADATA = IPv4Address("169.254.169.254")

_LOCAL6 = IPv6Network("fd00:ec2::/32")
"""The block of AWS's own IPv6 services (VPC user guide, "Route table concepts")."""


@once
def is_local(records: Records, vpc: str, address: IpAddress) -> bool:
    """Whether the router itself has the address: a service's or a subnet's gateway.

    Source: VPC user guide, "Amazon DNS server", "Subnet sizing"; ECS developer guide, "Task metadata endpoint".
    """
    return address in (RESOLVER, METADATA, MACHINE_METADATA, RESOLVER6) or is_router(records, vpc, address)


def is_never_routed(address: IpAddress) -> bool:
    return address.is_link_local or address in _LOCAL6


@once
def is_router(records: Records, vpc: str, address: IpAddress) -> bool:
    """The router's addresses within the VPC's blocks, which other VPCs and gateways may try to reach."""
    return address == _resolver(records, vpc) or records.is_subnet_gateway(vpc, address)


def name_of(records: Records, sender: NetworkInterface, packet: Packet) -> str | None:
    """The service that answers this packet of an interface, if there is one."""
    if packet.destination == MACHINE_METADATA:
        http = (packet.protocol, packet.port) == (TCP, 80)
        return "instance metadata" if http and records.machine_of(sender) is not None else None
    if packet.destination == METADATA:
        return "task metadata" if (packet.protocol, packet.port) == (TCP, 80) else None
    return "VPC resolver" if packet.protocol in (TCP, UDP) and packet.port == 53 else None


def _resolver(records: Records, vpc: str) -> IpAddress | None:
    blocks = records.blocks(vpc)
    return blocks[0].network_address + 2 if blocks and blocks[0].version == 4 else None
