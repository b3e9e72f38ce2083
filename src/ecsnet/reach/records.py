"""Looks things up in a snapshot: who has an address, what a subnet uses, what a target's state is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import Any, Concatenate, ParamSpec, TypeVar, assert_never

from ecsnet.model import ec2
from ecsnet.model import tables as t
from ecsnet.model.base import IpNetwork
from ecsnet.model.ecs import holds_interface
from ecsnet.reach.flow import IpAddress
from ecsnet.store.snapshot import Snapshot

P = ParamSpec("P")
T = TypeVar("T")


def once(read: Callable[Concatenate[Records, P], T]) -> Callable[Concatenate[Records, P], T]:
    """What follows from a snapshot and some facts stays true: it is found out once for all flows that share the facts.

    The arguments are all that `read` may look at beside the snapshot. They are ids and small values, never rows:
    hashing a whole row costs more than reading it.
    """

    @functools.wraps(read)
    def remembered(records: Records, /, *facts: P.args, **_never: P.kwargs) -> T:
        key = (read, *facts)
        try:
            found: T = records.kept[key]
        except KeyError:
            found = records.kept[key] = read(records, *facts)  # type: ignore[call-arg]
        return found

    return remembered


class Records:
    """Readings of one snapshot, remembered for who asks about many flows (`trace`). For one thread at a time."""

    __slots__ = ("kept", "snapshot")

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.kept: dict[tuple[object, ...], Any] = {}

    # ── VPCs and subnets ─────────────────────────────────────────────────────────────────────────────────────────────

    def has_interfaces(self, vpc: str) -> bool:
        """An empty VPC has nobody to send to."""
        return bool(self.snapshot.keys(t.INTERFACES_BY_VPC, vpc))

    @once
    def blocks(self, vpc: str) -> tuple[IpNetwork, ...]:
        """The address blocks of a VPC, IPv4 first; empty when it is not stored."""
        row = self.snapshot.get(t.VPCS, vpc)
        if row is None:
            return ()
        return tuple(block.cidr for block in (*row.cidrs, *row.ipv6_cidrs) if block.state == "associated")

    def contains(self, vpc: str, address: IpAddress) -> bool:
        return any(address in block for block in self.blocks(vpc))

    @once
    def subnet(self, key: str) -> ec2.Subnet | None:
        return self.snapshot.get(t.SUBNETS, key)

    @once
    def is_subnet_gateway(self, vpc: str, address: IpAddress) -> bool:
        """The second address of a subnet is the router's own (VPC user guide, "Subnet sizing")."""
        # The smallest subnet has sixteen addresses, so that most addresses need no look at the subnets.
        return int(address) % 16 == 1 and any(
            subnet.cidr is not None and address == subnet.cidr.network_address + 1
            for subnet in self.snapshot.find(t.SUBNETS_BY_VPC, vpc)
        )

    @once
    def is_external_machine(self, address: IpAddress) -> bool:
        """Whether an EXTERNAL container instance has the address; no router or filter is before it."""
        return bool(self.snapshot.keys(t.CONTAINER_INSTANCES_BY_ADDRESS, str(address)))

    @once
    def vpc_of_ipv6(self, address: IpAddress) -> str | None:
        """The VPC that has a public IPv6 address in one of its blocks."""
        for vpc in self.snapshot.rows(t.VPCS):
            if any(address in block.cidr for block in vpc.ipv6_cidrs if block.state == "associated"):
                return vpc.id
        return None

    @once
    def behind_egress_only(self, vpc: str, address: IpAddress) -> str | None:
        """The egress-only gateway to which the table of an IPv6 address's subnet leads."""
        gateway = self.egress_only_gateway(vpc)
        for subnet in self.snapshot.find(t.SUBNETS_BY_VPC, vpc):
            if in_subnet(subnet, address):
                table = self.table_of(subnet.id)
                leads = table is not None and any(
                    route.target.kind == "eigw" and route.target.id == gateway for route in table.routes
                )
                return gateway if leads else None
        return None

    # ── interfaces ───────────────────────────────────────────────────────────────────────────────────────────────────

    def interface(self, key: str) -> ec2.NetworkInterface | None:
        return self.snapshot.get(t.INTERFACES, key)

    @once
    def owner(self, vpc: str, address: IpAddress) -> ec2.NetworkInterface | None:
        """The interface of a VPC that has an address, delegated prefixes included."""
        for row in self.snapshot.find(t.INTERFACES_BY_ADDRESS, f"{vpc}/{address}"):
            return row
        for subnet in self.snapshot.find(t.SUBNETS_BY_VPC, vpc):
            if in_subnet(subnet, address):
                for row in self.snapshot.find(t.INTERFACES_WITH_PREFIXES_BY_SUBNET, subnet.id):
                    if has_address(row, address):
                        return row
        return None

    @once
    def held(self, interface: str) -> bool:
        """Whether something has the interface in its network stack: else no packet starts or ends there."""
        row = self.interface(interface)
        if row is None or row.attachment is None:
            return False
        owner = row.attachment.owner
        match row.attachment.owner_kind:
            case "task":
                task = self.snapshot.get(t.TASKS, owner)
                return task is not None and holds_interface(task) and task.interface == row.id
            case "nat":
                nat = self.snapshot.get(t.NAT_GATEWAYS, owner)
                return nat is not None and nat_works(nat) and nat.interface == row.id
            case "load_balancer":
                balancer = self.snapshot.get(t.LOAD_BALANCERS, owner)
                return balancer is not None and any(node.interface == row.id for node in balancer.nodes)
            case "instance":
                instance = self.snapshot.get(t.INSTANCES, owner)
                return instance is not None and ec2.holds_stack(instance)
            case _:
                assert_never(row.attachment.owner_kind)

    def machine_of(self, row: ec2.NetworkInterface) -> str | None:
        """The instance whose metadata an interface may ask for: its own, or its task's unless the agent forbids it."""
        if row.attachment is None or not self.held(row.id):
            return None
        owner = row.attachment.owner
        if row.attachment.owner_kind == "instance":
            return owner
        task = self.snapshot.get(t.TASKS, owner) if row.attachment.owner_kind == "task" else None
        host = self.snapshot.get(t.CONTAINER_INSTANCES, task.container_instance or "") if task is not None else None
        instance = self.snapshot.get(t.INSTANCES, host.instance) if host is not None else None
        if host is None or host.blocks_imds or instance is None or not ec2.holds_stack(instance):
            return None
        return instance.id

    def nat_of(self, row: ec2.NetworkInterface) -> ec2.NatGateway | None:
        """The NAT gateway whose interface it is."""
        if row.attachment is None or row.attachment.owner_kind != "nat":
            return None
        return self.snapshot.get(t.NAT_GATEWAYS, row.attachment.owner)

    # ── public addresses ─────────────────────────────────────────────────────────────────────────────────────────────

    @once
    def public_of(self, vpc: str, private: IpAddress) -> IPv4Address | None:
        """The public address of a private one. An Elastic IP replaces the automatic address (EC2 user guide)."""
        row = self.owner(vpc, private)
        if row is None:
            return None
        for elastic in self.snapshot.find(t.ELASTIC_IPS_BY_INTERFACE, row.id):
            if elastic.private_ip == private:
                return elastic.public_ip
        return row.auto_public_ip if private == row.private_ip else None

    @once
    def private_of(self, public: IpAddress) -> tuple[str, IPv4Address] | None:
        """(VPC, private address) of a public address that an interface has."""
        for elastic in self.snapshot.find(t.ELASTIC_IPS_BY_PUBLIC_IP, str(public)):
            row = self.interface(elastic.interface) if elastic.interface else None
            if row is not None and elastic.private_ip is not None:
                return row.vpc, elastic.private_ip
        for row in self.snapshot.find(t.INTERFACES_BY_PUBLIC_IP, str(public)):
            private = row.private_ip
            if private is not None and self.public_of(row.vpc, private) == public:
                return row.vpc, private
        return None

    # ── what a subnet or gateway uses ────────────────────────────────────────────────────────────────────────────────

    @once
    def table_of(self, subnet: str) -> ec2.RouteTable | None:
        """A subnet without an association of its own uses the main table (VPC user guide, "Subnet route tables")."""
        row = self.subnet(subnet)
        if row is None:
            return None
        own = next(self.snapshot.find(t.ASSOCIATIONS_BY_SUBNET, subnet), None)
        association = own or next(self.snapshot.find(t.MAIN_ASSOCIATION_BY_VPC, row.vpc), None)
        return None if association is None else self.snapshot.get(t.ROUTE_TABLES, association.route_table)

    @once
    def edge_table(self, gateway: str) -> ec2.RouteTable | None:
        """The table of a gateway (VPC user guide, "Gateway route tables")."""
        association = next(self.snapshot.find(t.ASSOCIATIONS_BY_GATEWAY, gateway), None)
        return None if association is None else self.snapshot.get(t.ROUTE_TABLES, association.route_table)

    @once
    def acl_of(self, subnet: str) -> ec2.NetworkAcl | None:
        """Every subnet has one ACL: its own or the VPC's default one (VPC user guide, "Network ACL basics")."""
        row = self.subnet(subnet)
        if row is None:
            return None
        for association in self.snapshot.find(t.ACL_ASSOCIATIONS_BY_SUBNET, subnet):
            own = self.snapshot.get(t.ACLS, association.acl)
            return own if own is not None and own.vpc == row.vpc else None
        return next((acl for acl in self.snapshot.find(t.ACLS_BY_VPC, row.vpc) if acl.is_default), None)

    @once
    def internet_gateway(self, vpc: str) -> str | None:
        return min(self.snapshot.keys(t.INTERNET_GATEWAYS_BY_VPC, vpc), default=None)

    @once
    def egress_only_gateway(self, vpc: str) -> str | None:
        return min(self.snapshot.keys(t.EGRESS_ONLY_GATEWAYS_BY_VPC, vpc), default=None)

    def prefixes(self, prefix_list: str) -> tuple[IpNetwork, ...]:
        """The blocks of a customer's prefix list. AWS's own lists hold none: their services are not in the network."""
        row = self.snapshot.get(t.PREFIX_LISTS, prefix_list)
        return () if row is None else tuple(entry.cidr for entry in row.entries)

    def peer(self, peering: str, vpc: str) -> str | None:
        """The VPC on the other side of an active peering connection of `vpc`."""
        row = self.snapshot.get(t.PEERINGS, peering)
        if row is None or row.status != "active":
            return None
        sides = (row.requester.vpc, row.accepter.vpc)
        return sides[1 - sides.index(vpc)] if vpc in sides else None

    @once
    def may_reference(self, vpc: str, other: str) -> bool:
        """Whether rules in `vpc` may name groups of `other`: the same VPC, or an active peering within one region.

        Source: VPC peering guide, "Update your security groups to reference peer security groups".
        """
        return vpc == other or any(
            row.status == "active"
            and row.requester.region == row.accepter.region
            and other in (row.requester.vpc, row.accepter.vpc)
            for row in self.snapshot.find(t.PEERINGS_BY_VPC, vpc)
        )

    # ── groups ───────────────────────────────────────────────────────────────────────────────────────────────────────

    @once
    def rules(self, groups: tuple[str, ...], vpc: str, egress: bool) -> tuple[ec2.SecurityGroupRule, ...]:
        """The rules of one direction of all groups of an interface; one that its VPC may not use means nothing."""
        rows = (self.snapshot.get(t.GROUPS, key) for key in groups)
        usable = (group.id for group in rows if group is not None and self.may_use(group, vpc))
        found = (rule for key in usable for rule in self.snapshot.find(t.RULES_BY_GROUP, key))
        return tuple(rule for rule in found if rule.egress == egress)

    def may_use(self, group: ec2.SecurityGroup, vpc: str) -> bool:
        """Source: VPC user guide, "Associate security groups with multiple VPCs"."""
        return group.vpc == vpc or self.snapshot.get(t.GROUP_ASSOCIATIONS, f"{group.id}/{vpc}") is not None

    @once
    def is_member(self, group: str, vpc: str, peer: str | None, address: IpAddress) -> bool:
        """Whether a private address is of an interface in a group, seen from `vpc` by a rule.

        The members are those of `vpc` itself, or of the peered VPC that the rule names (`peer`). A group that is used
        in several VPCs takes its rules along: there they mean that VPC's members.
        """
        row = self.snapshot.get(t.GROUPS, group)
        if row is None:
            return False
        home = peer or vpc
        if not self.may_reference(vpc, home) or not self.may_use(row, home):
            return False
        member = self.owner(home, address)
        return member is not None and group in member.groups and self.held(member.id)


def has_address(row: ec2.NetworkInterface, address: IpAddress) -> bool:
    """Whether the address is the interface's own, delegated prefixes included (EC2 user guide, "Prefix delegation")."""
    return (
        address == row.private_ip
        or address in row.secondary_ips
        or address in row.ipv6_ips
        or any(address in prefix for prefix in row.ipv4_prefixes)
        or any(address in prefix for prefix in row.ipv6_prefixes)
    )


def nat_works(nat: ec2.NatGateway) -> bool:
    return nat.state in ("pending", "available") and nat.interface is not None and nat.private_ip is not None


def is_unfiltered(row: ec2.NetworkInterface) -> bool:
    """NAT gateways have no groups, and a network load balancer need not have any: everything may pass then."""
    if row.attachment is not None and row.attachment.owner_kind == "nat":
        return True
    return row.interface_type == "network_load_balancer" and not row.groups


def is_checked(row: ec2.NetworkInterface) -> bool:
    """Whether source and destination check are on."""
    return row.source_dest_check and not (row.attachment is not None and row.attachment.owner_kind == "nat")


def in_subnet(subnet: ec2.Subnet, address: IpAddress) -> bool:
    if address.version == 4:
        return subnet.cidr is not None and address in subnet.cidr
    return subnet.ipv6_cidr is not None and address in subnet.ipv6_cidr.cidr
