"""The CIDR blocks of a VPC: secondary IPv4 ones, and Amazon-provided IPv6 ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.base import IpNetwork
from ecsnet.model.tables import (
    ACLS,
    GROUPS_BY_VPC,
    ROUTE_TABLES,
    ROUTE_TABLES_BY_VPC,
    RULES_BY_GROUP,
    SUBNETS_BY_VPC,
    VPCS,
    VPCS_BY_CIDR_ASSOCIATION,
    VPCS_BY_IPV6_BLOCK,
)
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, write
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.security_groups import EVERYWHERE, EVERYWHERE_6, add_rule
from ecsnet.services.ec2.vpc_parts import LOCAL, default_acl, default_entries
from ecsnet.services.ec2.vpc_peerings import admit_block

IPV6_LENGTH = 56
"""Amazon-provided blocks (VPC User Guide, "IPv6 CIDR blocks" of "VPC CIDR blocks")."""

_DRAWS = 64

NOT_BUILT = ("Ipv4IpamPoolId", "Ipv6IpamPoolId", "Ipv6Pool", "Ipv6CidrBlock")
"""Pools of one's own (BYOIP, IPAM)."""


def new_ipv6_block(call: Call) -> ec2.CidrAssociation:
    """A /56 that no VPC has, of any account and region: they all meet on one internet.

    Raises InsufficientAddressCapacity when the pool is used up.
    """
    pool = call.settings.ipv6_pool
    size = 1 << (IPV6_LENGTH - pool.prefixlen)
    start = int(call.ids.hex(16), 16) % size
    for draw in range(size):
        number = int(call.ids.hex(16), 16) % size if draw < _DRAWS else (start + draw) % size
        block = IPv6Network((int(pool.network_address) + (number << (128 - IPV6_LENGTH)), IPV6_LENGTH))
        if not call.tx.keys(VPCS_BY_IPV6_BLOCK, str(block)):
            return ec2.CidrAssociation(id=call.ids.resource("vpc-cidr-assoc"), cidr=block)
    raise AwsError("InsufficientAddressCapacity", "Insufficient capacity to satisfy your address request.", status=500)


def associate_vpc_cidr_block(call: Call, request: Request) -> Reply:
    """Add a block; every route table of the VPC gets its local route.

    Source: EC2 API, AssociateVpcCidrBlock; VPC User Guide, "VPC CIDR blocks". Raises InvalidVpc.Range,
    InvalidVpc.Conflict, CidrLimitExceeded.
    """
    vpc = families.VPC.require(call, request["VpcId"])
    for member in NOT_BUILT:
        if request.get(member):
            raise not_implemented("AssociateVpcCidrBlock", member)
    if request.get("AmazonProvidedIpv6CidrBlock"):
        if request.get("CidrBlock"):
            raise errors.combination("Only one of cidrBlock and amazonProvidedIpv6CidrBlock may be given.")
        return _associate_ipv6(call, vpc)
    if not request.get("CidrBlock"):
        raise errors.missing_parameter("cidrBlock")
    return _associate_ipv4(call, vpc, cidrs.vpc_block(request["CidrBlock"]))


def _check_count(call: Call, vpc: ec2.Vpc, present: int, name: str) -> None:
    limit = quota(call, name)
    if present >= limit:
        raise AwsError(
            "CidrLimitExceeded", f"This network {vpc.id} has met its maximum number of allowed CIDRs: {limit}"
        )


def _associate_ipv4(call: Call, vpc: ec2.Vpc, block: IPv4Network) -> Reply:
    _check_count(call, vpc, len(vpc.cidrs), "cidrs_per_vpc")
    existing = [one.cidr for one in vpc.cidrs if isinstance(one.cidr, IPv4Network)]
    tables = call.tx.find(ROUTE_TABLES_BY_VPC, vpc.id)
    routed = [r.destination for t in tables for r in t.routes if isinstance(r.destination, IPv4Network)]
    if any(block.overlaps(other) for other in existing) or any(one.subnet_of(block) for one in routed):
        raise AwsError("InvalidVpc.Conflict", f"The CIDR '{block}' conflicts with another CIDR or route of {vpc.id}")
    if not cidrs.may_join(existing[0], existing, block):
        raise AwsError(
            "InvalidVpc.Range",
            f"The CIDR '{block}' is restricted. Use a CIDR from the same private address range as the current VPC "
            "CIDR, or use a publicly-routable CIDR.",
        )
    admit_block(call, vpc.id, block)
    association = ec2.CidrAssociation(id=call.ids.resource("vpc-cidr-assoc"), cidr=block)
    call.tx.put(VPCS, msgspec.structs.replace(vpc, cidrs=(*vpc.cidrs, association)))
    _add_local_routes(call, vpc, block)
    return {"VpcId": vpc.id, "CidrBlockAssociation": association_item(association)}


def _associate_ipv6(call: Call, vpc: ec2.Vpc) -> Reply:
    _check_count(call, vpc, len(vpc.ipv6_cidrs), "ipv6_cidrs_per_vpc")
    association = new_ipv6_block(call)
    admit_block(call, vpc.id, association.cidr)
    changed = call.tx.put(VPCS, msgspec.structs.replace(vpc, ipv6_cidrs=(*vpc.ipv6_cidrs, association)))
    _add_local_routes(call, vpc, association.cidr)
    if not vpc.ipv6_cidrs:
        _open_for_ipv6(call, changed)
    return {"VpcId": vpc.id, "Ipv6CidrBlockAssociation": association6_item(association, vpc.region)}


def _open_for_ipv6(call: Call, vpc: ec2.Vpc) -> None:
    """The VPC's first IPv6 block: rules that nobody changed get their IPv6 counterparts.

    Source: VPC User Guide, "Default network ACL" (rules 101 are added unless the default rules were modified) and
    "Security group rules" (an outbound rule for all IPv6 traffic is added unless the outbound rules were modified).
    """
    acl = default_acl(call.tx, vpc.id)
    if acl.entries == default_entries(ipv6=False):
        call.tx.put(ACLS, msgspec.structs.replace(acl, entries=default_entries(ipv6=True)))
    for group in list(call.tx.find(GROUPS_BY_VPC, vpc.id)):
        outbound = [rule for rule in call.tx.find(RULES_BY_GROUP, group.id) if rule.egress]
        if [(rule.protocol, rule.cidr) for rule in outbound] == [("-1", EVERYWHERE)]:
            add_rule(call, group, egress=True, cidr=EVERYWHERE_6)


def _add_local_routes(call: Call, vpc: ec2.Vpc, block: IpNetwork) -> None:
    local = ec2.Route(destination=block, target=LOCAL, origin="CreateRouteTable")
    for table in list(call.tx.find(ROUTE_TABLES_BY_VPC, vpc.id)):
        call.tx.put(ROUTE_TABLES, msgspec.structs.replace(table, routes=(*table.routes, local)))


def disassociate_vpc_cidr_block(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DisassociateVpcCidrBlock. Raises OperationNotPermitted for the primary block and
    DependencyViolation while a subnet lies in it."""
    wanted = request["AssociationId"]
    for vpc in call.tx.find(VPCS_BY_CIDR_ASSOCIATION, wanted):
        if families.VPC.find(call, vpc.id) is vpc:
            association = next(one for one in (*vpc.cidrs, *vpc.ipv6_cidrs) if one.id == wanted)
            return _remove_block(call, vpc, association)
    raise AwsError(
        "InvalidVpcCidrBlockAssociationID.NotFound", f"The vpc CIDR block association ID '{wanted}' does not exist"
    )


def _remove_block(call: Call, vpc: ec2.Vpc, association: ec2.CidrAssociation) -> Reply:
    if association is vpc.cidrs[0]:
        raise AwsError(
            "OperationNotPermitted",
            f"The vpc CIDR block with association ID {association.id} may not be disassociated. It is the primary "
            "IPv4 CIDR block of the VPC",
        )
    block = association.cidr
    inside = sorted(_subnets_in(call, vpc, block))
    if inside:
        raise AwsError(
            "DependencyViolation",
            f"The vpc CIDR block with association ID {association.id} may not be disassociated. It is in use by "
            f"{', '.join(inside)}.",
        )
    call.tx.put(
        VPCS,
        msgspec.structs.replace(
            vpc,
            cidrs=tuple(one for one in vpc.cidrs if one is not association),
            ipv6_cidrs=tuple(one for one in vpc.ipv6_cidrs if one is not association),
        ),
    )
    for table in list(call.tx.find(ROUTE_TABLES_BY_VPC, vpc.id)):
        routes = tuple(r for r in table.routes if not (r.destination == block and r.origin == "CreateRouteTable"))
        call.tx.put(ROUTE_TABLES, msgspec.structs.replace(table, routes=routes))
    gone = msgspec.structs.replace(association, state="disassociated")
    if isinstance(block, IPv6Network):
        return {"VpcId": vpc.id, "Ipv6CidrBlockAssociation": association6_item(gone, vpc.region)}
    return {"VpcId": vpc.id, "CidrBlockAssociation": association_item(gone)}


def _subnets_in(call: Call, vpc: ec2.Vpc, block: IpNetwork) -> Iterator[str]:
    for subnet in call.tx.find(SUBNETS_BY_VPC, vpc.id):
        used = (subnet.cidr, None if subnet.ipv6_cidr is None else subnet.ipv6_cidr.cidr)
        if any(one is not None and one.version == block.version and one.overlaps(block) for one in used):
            yield subnet.id


def association_item(one: ec2.CidrAssociation) -> Mapping[str, Any]:
    """The wire form of an IPv4 block (EC2 API, shape VpcCidrBlockAssociation)."""
    return {"AssociationId": one.id, "CidrBlock": str(one.cidr), "CidrBlockState": {"State": one.state}}


def association6_item(one: ec2.CidrAssociation, region: str) -> Mapping[str, Any]:
    """The wire form of an IPv6 block (EC2 API, shape VpcIpv6CidrBlockAssociation)."""
    return {
        "AssociationId": one.id,
        "Ipv6CidrBlock": str(one.cidr),
        "Ipv6CidrBlockState": {"State": one.state},
        "NetworkBorderGroup": region,
        "Ipv6Pool": "Amazon",
    }


OPERATIONS: tuple[Operation, ...] = (
    write("AssociateVpcCidrBlock", associate_vpc_cidr_block),
    write("DisassociateVpcCidrBlock", disassociate_vpc_cidr_block),
)
