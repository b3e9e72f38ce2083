"""The VPC in network words: routers, segments, ports, filters, routes and gateways.

Ids are those of the AWS resources for which the objects exist. `router` always is the VPC's id: a VPC is one routed
network, and its router decides about every packet, also inside one segment.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Literal

from ecsnet.logical.base import LogicalObject
from ecsnet.model.base import IpNetwork

IpAddress = IPv4Address | IPv6Address
Direction = Literal["in", "out"]


class Router(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A routed network that knows nothing outside `networks`. `resolver` is where its name server listens."""

    id: str
    networks: tuple[IpNetwork, ...]
    resolver: IPv4Address
    resolver6: bool = False
    """It listens at the fixed IPv6 address too."""
    borderless: bool = False
    """What its ports' groups admitted is stopped by nothing else between two ports: every segment's stateless filter
    admits everything, and no route leads packets for one port to another one."""


class Segment(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A part of a router's network with a gateway address, a route table and a stateless filter."""

    router: str
    id: str
    number: int
    """Marks the packets that come from this segment; unique in the router."""
    network: IPv4Network | None
    """None for a segment of IPv6 alone."""
    network6: IPv6Network | None = None
    gateway: IPv4Address | None
    table: int | None
    """Number of the route table for what leaves the router's network; None: nothing does."""
    inside_routes: bool
    """The table also has routes for parts of the router's network; they do not apply inside the segment itself."""
    acl: str | None
    """The stateless filter at its border; None lets nothing pass."""


class Host(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A network stack of its own that owns ports: a task, a load balancer or a machine."""

    id: str
    kind: Literal["task", "balancer", "instance"]


class OpenPort(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One direction of a port is wholly open (every port, every address) for a protocol and IP version.

    Flows that an any-address rule of the *other* direction admits are not tracked then (EC2 user guide, "Untracked
    connections").
    """

    router: str
    port: str
    direction: Direction
    protocol: Literal["tcp", "udp"]
    version: Literal[4, 6]


class Port(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A network interface that connects a host to its segment."""

    router: str
    id: str
    segment: str
    segment_number: int
    mac: str
    addresses: tuple[IpAddress, ...]
    """The primary address first, IPv4 before IPv6."""
    prefixes: tuple[IpNetwork, ...] = ()
    """Whole blocks that belong to the port beside its addresses."""
    network: IPv4Network | None
    """With `gateway`: None for a port of IPv6 alone."""
    gateway: IPv4Address | None
    host: str
    host_kind: Literal["task", "balancer", "nat", "instance"]
    index: int
    """Which of the host's ports this is, counted from 0."""
    checked: bool
    """Drop packets that the port does not own (source/destination check)."""
    group_set: int | None
    """Number of the `GroupSet` that decides about it; None for gateways: nothing does."""


class FilterRule(LogicalObject, frozen=True, kw_only=True, gc=False, cache_hash=True):
    """Admits packets of a protocol from (or to) one network, the members of one group or the blocks of one list."""

    id: str
    protocol: int | None
    """IP protocol number; None for all."""
    ports: tuple[int, int] | None = None
    """First and last port of TCP or UDP; None for all."""
    icmp: tuple[int, int | None] | None = None
    """Type and code (None: every code); None for all."""
    network: IpNetwork | None = None
    group: str | None = None
    peering: str | None = None
    """The peering at whose far end the group is; its members are meant only there, not others of the same address."""
    prefixes: bool = False
    """The group has members with prefixes (`MemberPrefix`)."""
    address_list: tuple[str, Literal[4, 6]] | None = None
    """Id and IP version of an `AddressList` of the router."""


class FilterGroup(LogicalObject, frozen=True, kw_only=True, gc=False, cache_hash=True):
    """A stateful filter shared by its member ports; what no rule admits is dropped. Rules have no order."""

    router: str
    id: str
    ingress: tuple[FilterRule, ...]
    egress: tuple[FilterRule, ...]
    versions: tuple[Literal[4, 6], ...] = (4,)
    """The IP versions of the router's networks: the members that rules need to name."""
    prefixes: bool = False
    """There are `MemberPrefix`es of it."""


class Member(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One private address of one port belongs to a group."""

    router: str
    group: str
    address: IpAddress


class MemberPrefix(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One prefix of one port belongs to a group."""

    router: str
    group: str
    prefix: IpNetwork


class PeerGroup(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A group of another router that rules of this one name; its members are this router's `Member`s too."""

    router: str
    id: str
    prefixes: bool = False
    """There are `MemberPrefix`es of it."""


class GroupSet(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Filter groups that ports have together, sorted. Ports with the same groups have one, however many they are."""

    router: str
    number: int
    """Unique in the router, from 1; another set never gets it."""
    groups: tuple[str, ...]


class AddressList(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Address blocks of one IP version that filter rules name together."""

    router: str
    id: str
    version: Literal[4, 6]


class AddressListEntry(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One block of a list. Blocks of a list do not overlap."""

    router: str
    list: str
    network: IpNetwork


class AclRule(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One entry of a stateless filter; the first that matches decides. `network` is the far end."""

    number: int
    allow: bool
    protocol: int | None
    network: IpNetwork
    ports: tuple[int, int] | None = None
    icmp: tuple[int, int | None] | None = None


class Acl(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A stateless filter for the border of segments. Rules are in the order of their numbers; the rest is denied."""

    router: str
    id: str
    inbound: tuple[AclRule, ...]
    outbound: tuple[AclRule, ...]


class TableRoute(LogicalObject, frozen=True, kw_only=True, gc=False):
    """One route of a table: to a gateway, to a port, or into nothing."""

    router: str
    table: int
    destination: IpNetwork
    kind: Literal["gateway", "port", "peering", "blackhole"]
    """A gateway is a `Gateway` or an `EgressGateway`."""
    target: str = ""
    far: str = ""
    """The router at the other end (kind peering)."""
    next_hop: IpAddress | None = None
    """The port's address (kind port)."""
    inside: bool = False
    """The destination is a part of the router's network; the route then comes before the router's own ones."""


class PeeringEnd(LogicalObject, frozen=True, kw_only=True, gc=False):
    router: str
    networks: tuple[IpNetwork, ...]


class Peering(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A link between two routers for packets between their own networks, and for no others."""

    id: str
    ends: tuple[PeeringEnd, PeeringEnd]
    """Sorted by router."""
    mtu: int
    """Bytes of the longest packet."""


class PeeringGuard(LogicalObject, frozen=True, kw_only=True, gc=False):
    """The place where a router with peerings turns away what is not between the two networks of one."""

    router: str


class Gateway(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Connects a router to the internet: IPv4 by one-to-one translation of public addresses, IPv6 as it is."""

    router: str
    id: str
    networks: tuple[IpNetwork, ...]
    table: int | None = None
    """Number of the route table whose inside routes apply to what comes in through the gateway."""


class EgressGateway(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Lets a router's IPv6 hosts begin connections to the internet, and nobody there begin one to them."""

    router: str
    id: str
    networks: tuple[IPv6Network, ...]


class PublicNetwork(LogicalObject, frozen=True, kw_only=True, gc=False):
    """An IPv6 segment as the internet sees it: behind which gateway it is."""

    gateway: str
    network: IPv6Network


class PublicAddress(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A public address that a gateway translates to a private one and back."""

    gateway: str
    public: IPv4Address
    private: IPv4Address


class Nat(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A many-to-one translator for connections that start in its router's network. It owns one port."""

    id: str
    addresses: tuple[IPv4Address, ...]
    """New connections take them in turn."""
    networks: tuple[IPv4Network, ...]
    ports: tuple[int, int] = (1024, 65535)
    """The source ports that it gives out, once per address, protocol and destination."""
    idle: int = 350
    """Seconds without a packet after which it forgets a connection."""


INTERNET_CLIENT = IPv4Address("198.19.255.254")
"""The source of every connection that begins on the internet side, whatever other addresses it has."""


INTERNET_CLIENT6 = IPv6Address("2001:db8::1")
"""The same for IPv6 (RFC 3849, documentation)."""


class ExternalMachine(LogicalObject, frozen=True, kw_only=True, gc=False):
    """A machine outside every router, with a public address of its own on the internet. Its `Host` has the same id."""

    id: str
    address: IPv4Address


class Internet(LogicalObject, frozen=True, kw_only=True, gc=False):
    """Where all gateways meet, with one client of its own."""

    client: IPv4Address
    client6: IPv6Address
