"""The IPv6 block of a subnet, given at its creation or afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv6Network
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import (
    CIDR_RESERVATIONS,
    CIDR_RESERVATIONS_BY_SUBNET,
    INTERFACES_WITH_IPV6_BY_SUBNET,
    SUBNETS,
    SUBNETS_BY_CIDR_ASSOCIATION,
    SUBNETS_BY_VPC,
)
from ecsnet.services.call import AwsError, Call, Operation, Reply, Request, not_implemented, write
from ecsnet.services.ec2 import cidrs, errors, families


def new_block(call: Call, vpc: ec2.Vpc, text: str) -> ec2.CidrAssociation:
    """The association of an IPv6 block of the VPC with a subnet.

    Raises InvalidSubnet.Range outside the VPC's blocks and InvalidSubnet.Conflict for a block that another subnet has.
    """
    block = cidrs.subnet_block6(text, [one.cidr for one in vpc.ipv6_cidrs if isinstance(one.cidr, IPv6Network)])
    for other in call.tx.find(SUBNETS_BY_VPC, vpc.id):
        if other.ipv6_cidr is not None and other.ipv6_cidr.cidr.overlaps(block):
            raise AwsError("InvalidSubnet.Conflict", f"The CIDR '{block}' conflicts with another subnet")
    return ec2.CidrAssociation(id=call.ids.resource("subnet-cidr-assoc"), cidr=block)


def associate_subnet_cidr_block(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssociateSubnetCidrBlock (a subnet has one IPv6 block)."""
    for member in ("Ipv6IpamPoolId", "Ipv6NetmaskLength"):
        if request.get(member):
            raise not_implemented("AssociateSubnetCidrBlock", member)
    subnet = families.SUBNET.require(call, request["SubnetId"])
    if not request.get("Ipv6CidrBlock"):
        raise errors.missing_parameter("ipv6CidrBlock")
    if subnet.ipv6_cidr is not None:
        raise AwsError("InvalidSubnet.Conflict", f"The subnet '{subnet.id}' already has an IPv6 CIDR block")
    association = new_block(call, families.VPC.require(call, subnet.vpc), request["Ipv6CidrBlock"])
    call.tx.put(SUBNETS, msgspec.structs.replace(subnet, ipv6_cidr=association))
    return {"SubnetId": subnet.id, "Ipv6CidrBlockAssociation": association_item(association)}


def disassociate_subnet_cidr_block(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DisassociateSubnetCidrBlock. Raises DependencyViolation while an interface has an address of
    the block, and OperationNotPermitted for an IPv6-only subnet."""
    wanted = request["AssociationId"]
    found = next(iter(call.tx.find(SUBNETS_BY_CIDR_ASSOCIATION, wanted)), None)
    subnet = None if found is None else families.SUBNET.find(call, found.id)
    if subnet is None or subnet.ipv6_cidr is None:
        raise AwsError(
            "InvalidSubnetCidrBlockAssociationID.NotFound",
            f"The subnet CIDR block association ID '{wanted}' does not exist",
        )
    if subnet.cidr is None:
        raise AwsError("OperationNotPermitted", f"The IPv6 CIDR block of the IPv6-only subnet '{subnet.id}' must stay.")
    users = call.tx.keys(INTERFACES_WITH_IPV6_BY_SUBNET, subnet.id)
    if users:
        raise AwsError(
            "DependencyViolation",
            f"The subnet CIDR block with association ID {wanted} has dependencies and cannot be disassociated."
            + errors.named(users),
        )
    for reservation in list(call.tx.find(CIDR_RESERVATIONS_BY_SUBNET, subnet.id)):
        if reservation.cidr.version == 6:
            call.tx.delete(CIDR_RESERVATIONS, reservation.id)
    call.tx.put(SUBNETS, msgspec.structs.replace(subnet, ipv6_cidr=None, assign_ipv6_on_creation=False))
    gone = msgspec.structs.replace(subnet.ipv6_cidr, state="disassociated")
    return {"SubnetId": subnet.id, "Ipv6CidrBlockAssociation": association_item(gone)}


def association_item(one: ec2.CidrAssociation) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape SubnetIpv6CidrBlockAssociation)."""
    return {"AssociationId": one.id, "Ipv6CidrBlock": str(one.cidr), "Ipv6CidrBlockState": {"State": one.state}}


OPERATIONS: tuple[Operation, ...] = (
    write("AssociateSubnetCidrBlock", associate_subnet_cidr_block),
    write("DisassociateSubnetCidrBlock", disassociate_subnet_cidr_block),
)
