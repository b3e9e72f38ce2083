"""Subnet → Segment."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv6Network

from ecsnet.compile import facts
from ecsnet.compile.view import FragmentSpec, View
from ecsnet.logical.network import Segment
from ecsnet.model.ec2 import Subnet
from ecsnet.model.tables import (
    ACL_ASSOCIATIONS_BY_SUBNET,
    ACLS,
    ACLS_BY_VPC,
    ASSOCIATIONS_BY_SUBNET,
    MAIN_ASSOCIATION_BY_VPC,
    ROUTE_TABLES,
    SUBNETS,
)


def segment(view: View, key: str) -> Iterator[Segment]:
    """A subnet with its gateway (base plus one), its route table and its network ACL.

    Source: VPC user guide, "Subnet CIDR blocks" (reserved addresses), "Subnet route tables", "Network ACLs".
    """
    subnet = view.get(SUBNETS, key)
    if subnet is None or not facts.has_router(view, subnet.vpc):
        return
    table = route_table_of(view, subnet)
    yield Segment(
        router=subnet.vpc,
        id=subnet.id,
        number=subnet.ordinal,
        network=subnet.cidr,
        network6=ipv6_block(subnet),
        gateway=None if subnet.cidr is None else subnet.cidr.network_address + 1,
        table=None if table is None else view.project("ordinal", lambda row: row.ordinal, ROUTE_TABLES, table),
        inside_routes=table is not None and view.ask(facts.INSIDE_ROUTES, table),
        acl=acl_of(view, subnet),
    )


def ipv6_block(subnet: Subnet) -> IPv6Network | None:
    block = None if subnet.ipv6_cidr is None else subnet.ipv6_cidr.cidr
    return block if isinstance(block, IPv6Network) else None


def route_table_of(view: View, subnet: Subnet) -> str | None:
    """The associated table, or the main one: a subnet without an association of its own uses that."""
    own = list(view.find(ASSOCIATIONS_BY_SUBNET, subnet.id))
    for association in own or view.find(MAIN_ASSOCIATION_BY_VPC, subnet.vpc):
        return association.route_table
    return None


def acl_of(view: View, subnet: Subnet) -> str | None:
    """The associated ACL, or the VPC's default one: every subnet has exactly one."""
    for association in view.find(ACL_ASSOCIATIONS_BY_SUBNET, subnet.id):
        own = view.project("vpc", lambda acl: acl.vpc, ACLS, association.acl) == subnet.vpc
        return association.acl if own else None
    for acl in sorted(view.keys(ACLS_BY_VPC, subnet.vpc)):
        if view.project("is_default", lambda acl: acl.is_default, ACLS, acl):
            return acl
    return None


FRAGMENTS = (FragmentSpec(name="segment", table=SUBNETS, run=segment),)
