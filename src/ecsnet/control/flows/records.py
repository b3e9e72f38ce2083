"""What one direction of a flow means for the interfaces at its two ends (VPC user guide, "Flow log records"). Pure.

A packet between two interfaces is two records: it leaves one and enters the other. What the sender's filters deny is a
REJECT of the sender and nothing else; what the receiver's deny is an ACCEPT of the sender and a REJECT of the receiver.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, ip_address
from typing import Literal

from ecsnet.hostplan.decisions import Side, side
from ecsnet.hostplan.flows import Part
from ecsnet.model.ec2 import NetworkInterface, Subnet
from ecsnet.model.tables import GROUP_RULES, INTERFACES_BY_ADDRESS, INTERFACES_BY_DIGITS, SUBNETS
from ecsnet.store.snapshot import Snapshot

_LOCAL = IPv4Network("169.254.0.0/16")
"""Amazon DNS, instance metadata, time: never logged."""
_DHCP = frozenset((67, 68))
_UDP = 17


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowRecord:
    """What one interface sent or received of one flow in one interval."""

    interface: NetworkInterface
    egress: bool
    action: Literal["ACCEPT", "REJECT"]
    part: Part
    packets: int
    size: int
    rule: str | None
    """The security group rule, network ACL entry or check that decided; None when it is not known."""
    path: int | None
    """`traffic-path` of what leaves the interface; None when it is not known."""

    @property
    def source(self) -> IPv4Address | IPv6Address:
        return ip_address(self.part.source)

    @property
    def destination(self) -> IPv4Address | IPv6Address:
        return ip_address(self.part.destination)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ends:
    """The interfaces of the router at which packets came in and went out; None where it was no interface's link."""

    sender: NetworkInterface | None
    receiver: NetworkInterface | None


def ends(snapshot: Snapshot, vpc: str, part: Part) -> Ends:
    """By the links that the log named; by address for a flow that began before anybody looked."""
    return Ends(
        sender=_at(snapshot, vpc, part.in_link, part.source),
        receiver=_at(snapshot, vpc, part.out_link, part.destination),
    )


def _at(snapshot: Snapshot, vpc: str, link: str, address: bytes) -> NetworkInterface | None:
    if link:
        found = snapshot.find(INTERFACES_BY_DIGITS, link[1:]) if link[0] == "e" else iter(())
    else:
        found = snapshot.find(INTERFACES_BY_ADDRESS, f"{vpc}/{ip_address(address)}")
    return next(found, None)


def records(snapshot: Snapshot, vpc: str, part: Part) -> Iterator[FlowRecord]:
    """The records of one part of an interval."""
    both = ends(snapshot, vpc, part)
    if is_hidden(snapshot, both, part):
        return
    if part.denied:
        where = side(part.denied)
        at = both.sender if where is Side.SENDER else both.receiver if where is Side.RECEIVER else None
        if at is not None:
            yield FlowRecord(
                interface=at,
                egress=where is Side.SENDER,
                action="REJECT",
                part=part,
                packets=part.packets,
                size=part.size,
                rule=part.denied.partition(" ")[0],
                path=None,
            )
        return
    if both.sender is not None and part.sent_packets > 0:
        yield FlowRecord(
            interface=both.sender,
            egress=True,
            action="ACCEPT",
            part=part,
            packets=part.sent_packets,
            size=part.sent_bytes,
            rule=rule_of(snapshot, part, egress=True),
            path=_path(part, both.receiver),
        )
    if both.receiver is not None and part.packets > 0:
        yield FlowRecord(
            interface=both.receiver,
            egress=False,
            action="ACCEPT",
            part=part,
            packets=part.packets,
            size=part.size,
            rule=rule_of(snapshot, part, egress=False),
            path=None,
        )


def rule_of(snapshot: Snapshot, part: Part, *, egress: bool) -> str | None:
    """The rule that admitted packets at the sender (egress) or the receiver.

    An answer is admitted by the rule that admitted what it answers: at its sender that was an ingress rule.
    """
    wanted = egress != part.reply
    for name in part.rules:
        rule = snapshot.get(GROUP_RULES, name)
        if rule is not None and rule.egress == wanted:
            return name
    return None


def is_hidden(snapshot: Snapshot, both: Ends, part: Part) -> bool:
    """Traffic that flow logs never show (VPC user guide, "Flow log limitations")."""
    if part.denied and side(part.denied) is Side.LOCAL:
        return True
    if part.protocol == _UDP and part.source_port in _DHCP and part.destination_port in _DHCP:
        return True
    subnets = [snapshot.get(SUBNETS, end.subnet) for end in (both.sender, both.receiver) if end is not None]
    return any(_is_local(ip_address(packed), subnets) for packed in (part.source, part.destination))


def _is_local(address: IPv4Address | IPv6Address, subnets: list[Subnet | None]) -> bool:
    """A local service's address, or the router's own in a subnet (base + 1)."""
    if not isinstance(address, IPv4Address):
        return False
    if address in _LOCAL:
        return True
    return any(
        subnet is not None and subnet.cidr is not None and address == subnet.cidr.network_address + 1
        for subnet in subnets
    )


def _path(part: Part, receiver: NetworkInterface | None) -> int | None:
    """`traffic-path`: 1 another resource of the VPC, 4 a peering inside the region, 8 an internet gateway.

    All instances are Nitro ones here, which say 8 where older ones say 2.
    """
    if receiver is not None:
        return 1
    return {"g": 8, "p": 4}.get(part.out_link[:1])
