"""The question and the answer: a flow, the packets that it is made of, and every step of their walk."""

from __future__ import annotations

import enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from typing import Literal, NamedTuple

import msgspec

from ecsnet.decision import Drop

IpAddress = IPv4Address | IPv6Address
Direction = Literal["forward", "return"]
Verdict = Literal["reachable", "blocked", "unknown"]

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58

CLIENTS: tuple[IpAddress, ...] = (IPv4Address("198.19.255.254"), IPv6Address("2001:db8::1"))
"""Who is on the internet side: of blocks for benchmarks (RFC 2544) and documents (RFC 3849), nobody's real address."""

PUBLIC_POOL = IPv4Network("198.18.0.0/15")
"""Public addresses come from this block (RFC 2544), so that one of it that nobody has is nobody's anywhere."""

LINUX_PORT = 40_000
"""A port that a Linux client may choose (32,768 to 60,999)."""

_ECHO_REPLY = {(ICMP, 8): 0, (ICMPV6, 128): 129}


class Service(NamedTuple):
    """What rules may say of a packet beside its addresses."""

    protocol: int
    port: int
    """0 for protocols without ports."""
    icmp: tuple[int, int]


class Flow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One question: does a connection from here to there work?"""

    source: str | None
    """The interface where it starts; None is the internet."""
    destination: IpAddress
    protocol: int
    port: int = 0
    """Destination port of TCP and UDP."""
    icmp: tuple[int, int] = (8, 0)
    """Type and code of ICMP; (128, 0) is the echo of IPv6."""
    source_port: int = LINUX_PORT
    source_address: IpAddress | None = None
    """None: the interface's first address of the destination's family. Another one than its own is spoofing."""


class Packet(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What filters and routes see. Ports are 0 for protocols without ports."""

    source: IpAddress
    destination: IpAddress
    protocol: int
    source_port: int = 0
    port: int = 0
    icmp: tuple[int, int] = (0, 0)

    @property
    def service(self) -> Service:
        return Service(self.protocol, self.port, self.icmp)

    def reply(self) -> Packet | None:
        """The answer to it; None for what nobody answers (ICMP other than echo)."""
        icmp = self.icmp
        if self.protocol in (ICMP, ICMPV6):
            kind = _ECHO_REPLY.get((self.protocol, icmp[0]))
            if kind is None:
                return None
            icmp = (kind, 0)
        return Packet(
            source=self.destination,
            destination=self.source,
            protocol=self.protocol,
            source_port=self.port,
            port=self.source_port,
            icmp=icmp,
        )

    def from_address(self, address: IpAddress, port: int | None = None) -> Packet:
        return msgspec.structs.replace(self, source=address, source_port=self.source_port if port is None else port)

    def to_address(self, address: IpAddress, port: int | None = None) -> Packet:
        return msgspec.structs.replace(self, destination=address, port=self.port if port is None else port)


class Stage(enum.IntEnum):
    """What judges a packet on one crossing of a VPC's router, in the order in which the kernel asks.

    AWS documents no order for the filters; it never matters for the verdict, only for who is named first.
    """

    SOURCE = 0
    """The source check; also an interface that nothing holds, from where no packet starts."""
    SERVICE = 1
    PEERING = 2
    """Both ends have to be in the two peered VPCs."""
    DESTINATION_CHECK = 3
    ACL_OUT = 4
    ACL_IN = 5
    STATE = 6
    """In the middle of a connection whose beginning took another way."""
    SG_OUT = 7
    ROUTE = 8
    """What has no way waits in a link that leads nowhere, so that the sender's filters are asked first."""
    SG_IN = 9
    GATEWAY = 10
    """An internet, egress-only or NAT gateway, beyond the router."""
    INTERNET = 11
    ARRIVAL = 12


class Step(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One thing that judged the packet, or moved it on."""

    direction: Direction
    crossing: int
    """Counts the crossings of routers: an appliance, a gateway or a peering connection begins another one."""
    stage: Stage
    component: str
    """Id of the group's interface, network ACL, route table, gateway …"""
    ok: bool
    packet: Packet
    """As it was when it got here."""
    rules: tuple[str, ...] = ()
    """What decided: `sgr-…` (all that match: groups have no order), the ACL entry's number or `*`, the route."""
    code: str = ""
    """For what blocks: an ExplanationCode of Reachability Analyzer, or ours, which begin with ECSNET_."""
    drop: Drop | None = None
    """The kernel's word for the same; None where no packet filter decides."""
    text: str = ""
    hidden: bool = False
    """The packet has come through an appliance, behind which a rule for a group does not recognise the sender (VPC user
    guide, "Security group rules": through a middlebox a rule must name an address)."""


class Trace(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The whole walk. Every blocker is in it, as far as routes lead; repairing the first one may not be enough."""

    flow: Flow
    revision: int
    verdict: Verdict
    steps: tuple[Step, ...]

    @property
    def blockers(self) -> tuple[Step, ...]:
        return tuple([step for step in self.steps if not step.ok])

    @property
    def first(self) -> Step | None:
        """The blocking step that the packet meets first, in the kernel's order."""
        blockers = self.blockers
        if not blockers:
            return None
        return min(blockers, key=lambda step: (step.direction == "return", step.crossing, step.stage))

    @property
    def deciding(self) -> Drop | None:
        """What the packet filter says when it ends the packet; None for a flow that works."""
        first = self.first
        return None if first is None else first.drop

    @property
    def egress(self) -> frozenset[str]:
        """The rules of senders' groups that can have admitted the request."""
        return self._admitting(Stage.SG_OUT)

    @property
    def ingress(self) -> frozenset[str]:
        """The rules of receivers' groups that can have admitted the request."""
        return self._admitting(Stage.SG_IN)

    def _admitting(self, stage: Stage) -> frozenset[str]:
        return frozenset(
            [rule for step in self.steps if step.stage is stage and step.direction == "forward" for rule in step.rules]
        )


def private_block(address: IpAddress) -> str | None:
    """Which RFC's private block has the address, in the words of Reachability Analyzer's codes."""
    if not isinstance(address, IPv4Address):
        return None
    number = int(address)
    if number >> 24 == 0x0A or number >> 20 == 0xAC1 or number >> 16 == 0xC0A8:
        return "RFC1918"
    return "RFC6598" if number >> 22 == 0x64400000 >> 22 else None
