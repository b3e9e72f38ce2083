"""Small shared answers that many fragments ask, so that widely read rows do not make everything run again."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Network
from typing import Literal

from ecsnet.compile.view import Query, View
from ecsnet.model.base import IpNetwork, Record
from ecsnet.model.ec2 import NatGateway, NetworkInterface, SecurityGroupRule, VpcPeeringConnection, holds_stack
from ecsnet.model.ecs import Task, holds_interface
from ecsnet.model.tables import (
    EGRESS_ONLY_GATEWAYS_BY_VPC,
    GROUP_ASSOCIATIONS_BY_GROUP,
    GROUPS,
    INSTANCES,
    INTERFACES,
    INTERFACES_BY_OWNER,
    INTERFACES_BY_VPC,
    INTERNET_GATEWAYS_BY_VPC,
    LOAD_BALANCERS,
    NAT_GATEWAYS,
    PEERINGS,
    PEERINGS_BY_PAIR,
    ROUTE_TABLES,
    RULES_BY_GROUP,
    RULES_BY_REMOTE_GROUP,
    SUBNETS,
    TASKS,
    VPCS,
    vpc_pair,
)


class Place(Record, frozen=True, kw_only=True, gc=False):
    """Where an interface is: in which segment, whose network stack holds it, and as which of its interfaces."""

    kind: Literal["task", "balancer", "nat", "instance"]
    host: str
    index: int
    number: int
    """The segment's number."""
    network: IPv4Network | None
    """The segment's network; None for one of IPv6 alone."""


def networks(view: View, vpc: str) -> tuple[IpNetwork, ...]:
    """The VPC's address blocks, IPv4 first; empty when there is no such VPC."""

    def read(view: View, vpc: str) -> tuple[IpNetwork, ...]:
        row = view.get(VPCS, vpc)
        if row is None:
            return ()
        return tuple(block.cidr for block in (*row.cidrs, *row.ipv6_cidrs) if block.state == "associated")

    return view.ask(Query(name="networks", run=read), vpc)


def ipv4_networks(view: View, vpc: str) -> tuple[IPv4Network, ...]:
    return tuple(network for network in networks(view, vpc) if isinstance(network, IPv4Network))


def ipv6_networks(view: View, vpc: str) -> tuple[IPv6Network, ...]:
    return tuple(network for network in networks(view, vpc) if isinstance(network, IPv6Network))


def versions(view: View, vpc: str) -> tuple[Literal[4, 6], ...]:
    """The IP versions in a VPC. Another block of one that it has already changes nobody who asks this."""

    def read(view: View, vpc: str) -> tuple[Literal[4, 6], ...]:
        return (4, 6) if ipv6_networks(view, vpc) else (4,)

    return view.ask(Query(name="versions", run=read), vpc)


def has_router(view: View, vpc: str) -> bool:
    """A VPC's router exists while the VPC has an interface: a default VPC that nobody uses costs nothing."""
    return bool(ipv4_networks(view, vpc)) and view.exists(INTERFACES_BY_VPC, vpc)


def is_inside(destination: IpNetwork, blocks: tuple[IpNetwork, ...]) -> bool:
    """Whether a route's destination is (a part of) one of the VPC's own blocks."""
    return any(
        destination.version == block.version
        and destination.prefixlen >= block.prefixlen
        and destination.network_address in block
        for block in blocks
    )


def _find_inside_routes(view: View, route_table: str) -> bool:
    table = view.get(ROUTE_TABLES, route_table)
    if table is None:
        return False
    blocks = networks(view, table.vpc)
    return any(
        route.target.kind != "local" and route.destination is not None and is_inside(route.destination, blocks)
        for route in table.routes
    )


INSIDE_ROUTES = Query(name="inside_routes", run=_find_inside_routes)
"""Whether a route table sends packets for parts of its own VPC somewhere (to an appliance)."""


def gateway_of(view: View, vpc: str) -> str | None:
    """The internet gateway of a VPC with a router; AWS allows one per VPC (EC2 API, AttachInternetGateway)."""
    return min(view.keys(INTERNET_GATEWAYS_BY_VPC, vpc), default=None) if has_router(view, vpc) else None


def egress_gateway_of(view: View, vpc: str) -> str | None:
    """The egress-only internet gateway of a VPC with a router and IPv6 (one per VPC)."""
    found = min(view.keys(EGRESS_ONLY_GATEWAYS_BY_VPC, vpc), default=None)
    return found if found is not None and has_router(view, vpc) and ipv6_networks(view, vpc) else None


def _find_egress_only(view: View, route_table: str) -> bool:
    table = view.get(ROUTE_TABLES, route_table)
    if table is None:
        return False
    gateway = egress_gateway_of(view, table.vpc)
    return any(route.target.kind == "eigw" and route.target.id == gateway for route in table.routes)


EGRESS_ONLY = Query(name="egress_only", run=_find_egress_only)
"""Whether a route table leads to its VPC's egress-only internet gateway."""


class Peered(Record, frozen=True, kw_only=True, gc=False):
    """Two VPCs that are linked: an active connection between two that have routers."""

    vpcs: tuple[str, str]
    """Sorted."""
    same_region: bool

    def far(self, vpc: str) -> str | None:
        """The VPC at the other end; None for one that is at neither."""
        one, other = self.vpcs
        return {one: other, other: one}.get(vpc)


def _ends(row: VpcPeeringConnection) -> Peered | None:
    one, other = row.requester, row.accepter
    if row.status != "active" or one.vpc == other.vpc:
        return None
    return Peered(vpcs=(min(one.vpc, other.vpc), max(one.vpc, other.vpc)), same_region=one.region == other.region)


def _find_peered(view: View, peering: str) -> Peered | None:
    found = view.project("ends", _ends, PEERINGS, peering)
    return found if found is not None and all(has_router(view, vpc) for vpc in found.vpcs) else None


PEERED = Query(name="peered", run=_find_peered)
"""What a peering connection links; None while it carries nothing."""


def _find_shared(view: View, pair: str) -> str | None:
    for key in sorted(view.keys(PEERINGS_BY_PAIR, pair)):
        link = view.ask(PEERED, key)
        if link is not None and link.same_region:
            return key
    return None


_SHARED = Query(name="shares_groups", run=_find_shared)
"""The peering over which rules of one VPC may name groups of the other (VPC peering guide, "Update your security
groups")."""


def _find_group_vpcs(view: View, group: str) -> frozenset[str]:
    own = view.project("vpc", lambda row: row.vpc, GROUPS, group)
    if own is None:
        return frozenset()
    return frozenset({own, *(one.vpc for one in view.find(GROUP_ASSOCIATIONS_BY_GROUP, group))})


GROUP_VPCS = Query(name="group_vpcs", run=_find_group_vpcs)
"""The VPCs whose interfaces may have a group: its own and those it is associated with (VPC user guide, "Associate
security groups with multiple VPCs")."""


def peering_of(view: View, rule: SecurityGroupRule, vpc: str) -> str | None:
    """The peering over which a rule of `vpc` names a group; None for every other rule, and for a stale one."""
    if rule.peer_group is None or rule.peer_vpc is None or rule.peer_vpc == vpc:
        return None
    there = view.project("vpc", lambda group: group.vpc, GROUPS, rule.peer_group) == rule.peer_vpc
    return view.ask(_SHARED, vpc_pair(vpc, rule.peer_vpc)) if there else None


def _find_naming_vpcs(view: View, group: str) -> frozenset[tuple[str, str]]:
    found = set()
    for rule in view.find(RULES_BY_REMOTE_GROUP, group):
        for vpc in view.ask(GROUP_VPCS, rule.group):
            if rule.peer_vpc is not None and peering_of(view, rule, vpc) is not None:
                found.add((rule.peer_vpc, vpc))
    return frozenset(found)


NAMING_VPCS = Query(name="naming_vpcs", run=_find_naming_vpcs)
"""The other VPCs in which rules in force name a group across a peering, each after the VPC whose members it means."""


def nat_holds_interface(nat: NatGateway) -> bool:
    """A NAT gateway that has begun deleting carries nothing any more and its routes are black holes."""
    return nat.state in ("pending", "available") and nat.interface is not None and nat.private_ip is not None


def _task_interface(task: Task) -> str | None:
    return task.interface if holds_interface(task) else None


def _find_place(view: View, interface: str) -> Place | None:
    row = view.get(INTERFACES, interface)
    if row is None or row.attachment is None or not has_router(view, row.vpc):
        return None
    subnet = view.project("place", lambda subnet: (subnet.vpc, subnet.ordinal, subnet.cidr), SUBNETS, row.subnet)
    if subnet is None:
        return None
    vpc, number, network = subnet
    if vpc != row.vpc or (network is None) != (row.private_ip is None):
        return None
    owner = row.attachment.owner
    match row.attachment.owner_kind:
        case "task":
            held = view.project("held_interface", _task_interface, TASKS, owner)
            return (
                Place(kind="task", host=owner, index=0, number=number, network=network) if held == interface else None
            )
        case "nat":
            held = view.project(
                "held_interface", lambda n: n.interface if nat_holds_interface(n) else None, NAT_GATEWAYS, owner
            )
            return Place(kind="nat", host=owner, index=0, number=number, network=network) if held == interface else None
        case "load_balancer":
            nodes = view.project("interfaces", lambda b: tuple(n.interface for n in b.nodes), LOAD_BALANCERS, owner)
            if nodes is None or interface not in nodes:
                return None
            return Place(kind="balancer", host=owner, index=nodes.index(interface), number=number, network=network)
        case "instance":
            home = view.project("stack_in", lambda i: i.vpc if holds_stack(i) else None, INSTANCES, owner)
            index = view.ask(_DEVICE, interface) if home == row.vpc else None
            if index is None:
                return None
            return Place(kind="instance", host=owner, index=index, number=number, network=network)


def _find_instance_address(view: View, instance: str) -> IPv4Address | None:
    for key in sorted(view.keys(INTERFACES_BY_OWNER, instance)):
        found = view.project("primary", _primary, INTERFACES, key)
        if found is not None:
            return found
    return None


def _primary(row: NetworkInterface) -> IPv4Address | None:
    return row.private_ip if row.attachment is not None and row.attachment.device_index == 0 else None


INSTANCE_ADDRESS = Query(name="instance_address", run=_find_instance_address)
"""The primary private address of an instance's eth0."""


def _find_device(view: View, interface: str) -> int | None:
    """The index of an instance's interface; None when another one claims the same first."""
    row = view.get(INTERFACES, interface)
    if row is None or row.attachment is None:
        return None
    index = row.attachment.device_index
    for other in view.keys(INTERFACES_BY_OWNER, row.attachment.owner):
        claimed = view.project("device", lambda one: one.attachment and one.attachment.device_index, INTERFACES, other)
        if claimed == index and other < interface:
            return None
    return index


_DEVICE = Query(name="device", run=_find_device)


PLACE = Query(name="place", run=_find_place)
"""Where an interface is plugged in; None while nothing holds it."""


OpenFlow = tuple[Literal["in", "out"], Literal["tcp", "udp"], Literal[4, 6]]
"""Direction, protocol and IP version."""


def _find_open_flows(view: View, group: str) -> frozenset[OpenFlow]:
    found: set[OpenFlow] = set()
    for rule in view.find(RULES_BY_GROUP, group):
        if rule.cidr is None or rule.cidr.prefixlen != 0:
            continue
        direction: Literal["in", "out"] = "out" if rule.egress else "in"
        version: Literal[4, 6] = 4 if rule.cidr.version == 4 else 6
        if rule.protocol == "-1":
            found |= {(direction, "tcp", version), (direction, "udp", version)}
        elif _all_ports(rule) and rule.protocol == "tcp":
            found.add((direction, "tcp", version))
        elif _all_ports(rule) and rule.protocol == "udp":
            found.add((direction, "udp", version))
    return frozenset(found)


def _all_ports(rule: SecurityGroupRule) -> bool:
    return (rule.from_port <= 0 and rule.to_port == 65535) or (rule.from_port, rule.to_port) == (-1, -1)


OPEN_FLOWS = Query(name="open_flows", run=_find_open_flows)
"""Which directions and protocols a group opens for every port and every address."""
