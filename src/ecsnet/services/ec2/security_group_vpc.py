"""Security groups that other VPCs than their own may use.

An association is in force when its call is answered, so nothing is ever seen `associating`. A rule of such a group that
names a group means that group's members in the VPC in which the rule decides.

Source: VPC User Guide, "Associate security groups with multiple VPCs".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ecsnet.model import ec2
from ecsnet.model.tables import (
    GROUP_ASSOCIATIONS,
    GROUP_ASSOCIATIONS_BY_GROUP,
    GROUP_ASSOCIATIONS_BY_SCOPE,
    GROUP_ASSOCIATIONS_BY_VPC,
    INTERFACES,
    INTERFACES_BY_GROUP,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, read, write
from ecsnet.services.ec2 import errors, families
from ecsnet.services.ec2.family import Family
from ecsnet.services.ec2.filters import Filters
from ecsnet.services.ec2.listing import Listing, each
from ecsnet.services.ec2.security_groups import DEFAULT_NAME

_FAMILY = Family(
    noun="security-group-vpc-association",
    prefix="sg",
    table=GROUP_ASSOCIATIONS,
    scope=GROUP_ASSOCIATIONS_BY_SCOPE,
    missing="InvalidSecurityGroupVpcAssociation.NotFound",
    missing_text="The association '{id}' does not exist",
    malformed="InvalidGroupId.Malformed",
)


def associate_security_group_vpc(call: Call, request: Request) -> Reply:
    """Source: EC2 API, AssociateSecurityGroupVpc: not for default groups, not with the default VPC.

    Raises InvalidGroup.NotFound, InvalidVpcID.NotFound, InvalidParameterValue.
    """
    group = families.GROUP.require(call, request["GroupId"])
    vpc = families.VPC.require(call, request["VpcId"])
    if group.name == DEFAULT_NAME:
        raise errors.invalid_value("groupId", group.id, "A default security group cannot be associated with a VPC.")
    if vpc.is_default:
        raise errors.invalid_value("vpcId", vpc.id, "Security groups cannot be associated with the default VPC.")
    if vpc.id == group.vpc:
        raise errors.invalid_value("vpcId", vpc.id, f"It is the VPC of {group.id}.")
    call.tx.put(
        GROUP_ASSOCIATIONS,
        ec2.GroupAssociation(group=group.id, vpc=vpc.id, account=call.account, region=call.region),
    )
    return {"State": "associated"}


def disassociate_security_group_vpc(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DisassociateSecurityGroupVpc.

    AWS finds later that interfaces of the VPC still have the group; here DependencyViolation says so at once. Raises
    InvalidGroup.NotFound, InvalidVpcID.NotFound, InvalidSecurityGroupVpcAssociation.NotFound.
    """
    group = families.GROUP.require(call, request["GroupId"])
    vpc = families.VPC.require(call, request["VpcId"])
    row = _FAMILY.find(call, f"{group.id}/{vpc.id}")
    if row is None:
        raise AwsError(_FAMILY.missing, f"The security group '{group.id}' is not associated with VPC '{vpc.id}'")
    users = [key for key in call.tx.keys(INTERFACES_BY_GROUP, group.id) if _is_in(call, key, vpc.id)]
    if users:
        raise AwsError("DependencyViolation", f"resource {group.id} has a dependent object" + errors.named(users))
    call.tx.delete(GROUP_ASSOCIATIONS, f"{group.id}/{vpc.id}")
    return {"State": "disassociated"}


def _is_in(call: Call, interface: str, vpc: str) -> bool:
    row = call.tx.get(INTERFACES, interface)
    return row is not None and row.vpc == vpc


def _item(row: ec2.GroupAssociation) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape SecurityGroupVpcAssociation)."""
    return {
        "GroupId": row.group,
        "GroupOwnerId": row.account,
        "VpcId": row.vpc,
        "VpcOwnerId": row.account,
        "State": "associated",
    }


def _cached(call: Call, row: ec2.GroupAssociation) -> Cached:
    return Cached(key=("sg-vpc", row.group, row.vpc), sources=(row,), build=partial(_item, row))


_LISTING = Listing(
    family=_FAMILY,
    filters=Filters(
        fields={
            "group-id": lambda call, r: (r.group,),
            "group-owner-id": lambda call, r: (r.account,),
            "vpc-id": lambda call, r: (r.vpc,),
            "vpc-owner-id": lambda call, r: (r.account,),
            "state": lambda call, r: ("associated",),
        },
        indexes={"group-id": GROUP_ASSOCIATIONS_BY_GROUP, "vpc-id": GROUP_ASSOCIATIONS_BY_VPC},
    ),
    ids=None,
    members="SecurityGroupVpcAssociations",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("AssociateSecurityGroupVpc", associate_security_group_vpc),
    write("DisassociateSecurityGroupVpc", disassociate_security_group_vpc),
    read("DescribeSecurityGroupVpcAssociations", _LISTING.describe),
)
