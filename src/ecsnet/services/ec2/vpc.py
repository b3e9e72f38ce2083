"""VPCs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import (
    ACLS,
    ACLS_BY_VPC,
    EGRESS_ONLY_GATEWAYS_BY_VPC,
    GROUP_ASSOCIATIONS,
    GROUP_ASSOCIATIONS_BY_VPC,
    GROUPS_BY_VPC,
    INTERFACES_BY_VPC,
    INTERNET_GATEWAYS_BY_VPC,
    ROUTE_TABLE_ASSOCIATIONS,
    ROUTE_TABLES,
    ROUTE_TABLES_BY_VPC,
    SUBNETS_BY_VPC,
    VPC_ENDPOINTS_BY_VPC,
    VPCS,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.default_vpc import add_default_vpc, find_default_vpc
from ecsnet.services.ec2.filters import Filters, flag
from ecsnet.services.ec2.flow_logs import drop_flow_logs_of
from ecsnet.services.ec2.listing import Listing, each
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.security_groups import DEFAULT_NAME, default_group, forget_group_sets, remove_group
from ecsnet.services.ec2.tagging import specified, tag_set
from ecsnet.services.ec2.vpc_cidr import NOT_BUILT, association6_item, association_item, new_ipv6_block
from ecsnet.services.ec2.vpc_parts import add_vpc, default_acl, main_association
from ecsnet.services.ec2.vpc_peerings import live_of

_STATE = "available"
"""A VPC needs nothing to be built: its router appears with its first interface."""

_ATTRIBUTES = {
    "EnableDnsSupport": "dns_support",
    "EnableDnsHostnames": "dns_hostnames",
    "EnableNetworkAddressUsageMetrics": "address_usage_metrics",
}


def create_vpc(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateVpc. Raises InvalidVpc.Range, VpcLimitExceeded, MissingParameter."""
    for member in (*NOT_BUILT, "VpcEncryptionControl"):
        if request.get(member):
            raise not_implemented("CreateVpc", member)
    if not request.get("CidrBlock"):
        raise errors.missing_parameter("cidrBlock")
    block = cidrs.vpc_block(request["CidrBlock"])
    _check_quota(call)
    vpc = add_vpc(
        call,
        block,
        tenancy=request.get("InstanceTenancy") or "default",
        ipv6_cidrs=(new_ipv6_block(call),) if request.get("AmazonProvidedIpv6CidrBlock") else (),
        tags=specified(request, families.VPC.noun),
    )
    return {"Vpc": vpc_item(vpc)}


def create_default_vpc(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateDefaultVpc. Raises DefaultVpcAlreadyExists, VpcLimitExceeded."""
    if find_default_vpc(call) is not None:
        raise AwsError("DefaultVpcAlreadyExists", "A Default VPC already exists for this account in this region.")
    _check_quota(call)
    return {"Vpc": vpc_item(add_default_vpc(call))}


def _check_quota(call: Call) -> None:
    if families.VPC.count(call) >= quota(call, "vpcs_per_region"):
        raise errors.limit_exceeded("VpcLimitExceeded", "VPCs")


def delete_vpc(call: Call, request: Request) -> Reply:
    """Delete a VPC with its default group, main route table and default ACL.

    Source: EC2 API, DeleteVpc. Raises DependencyViolation while anything else is left in it.
    """
    vpc = families.VPC.require(call, request["VpcId"])
    dependents = list(_dependents(call, vpc))
    if dependents:
        raise errors.dependency("vpc", vpc.id, dependents)
    remove_group(call, default_group(call.tx, vpc.id).id)
    main = main_association(call.tx, vpc.id)
    call.tx.delete(ROUTE_TABLE_ASSOCIATIONS, main.id)
    call.tx.delete(ROUTE_TABLES, main.route_table)
    call.tx.delete(ACLS, default_acl(call.tx, vpc.id).id)
    for association in list(call.tx.keys(GROUP_ASSOCIATIONS_BY_VPC, vpc.id)):
        call.tx.delete(GROUP_ASSOCIATIONS, association)
    forget_group_sets(call.tx, vpc.id)
    call.tx.delete(VPCS, vpc.id)
    drop_flow_logs_of(call, vpc.id)
    return {}


def _dependents(call: Call, vpc: ec2.Vpc) -> Iterator[str]:
    tx = call.tx
    yield from tx.keys(SUBNETS_BY_VPC, vpc.id)
    yield from tx.keys(INTERNET_GATEWAYS_BY_VPC, vpc.id)
    yield from tx.keys(EGRESS_ONLY_GATEWAYS_BY_VPC, vpc.id)
    yield from tx.keys(INTERFACES_BY_VPC, vpc.id)
    yield from tx.keys(VPC_ENDPOINTS_BY_VPC, vpc.id)
    yield from (row.id for row in live_of(tx, vpc.id))
    main = main_association(tx, vpc.id).route_table
    yield from (key for key in tx.keys(ROUTE_TABLES_BY_VPC, vpc.id) if key != main)
    yield from (group.id for group in tx.find(GROUPS_BY_VPC, vpc.id) if group.name != DEFAULT_NAME)
    yield from (acl.id for acl in tx.find(ACLS_BY_VPC, vpc.id) if not acl.is_default)


def modify_vpc_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyVpcAttribute (one attribute per call)."""
    vpc = families.VPC.require(call, request["VpcId"])
    given = {name: bool(request[name].get("Value")) for name in _ATTRIBUTES if request.get(name) is not None}
    if not given:
        raise errors.missing_parameter("enableDnsSupport")
    if len(given) > 1:
        raise errors.combination(f"Only one attribute may be changed per call: {' and '.join(given)} were given.")
    ((name, value),) = given.items()
    if name == "EnableDnsHostnames" and value and not vpc.dns_support:
        raise errors.invalid_value(
            "enableDnsHostnames", "true", f"DNS support is disabled in {vpc.id}. Enable enableDnsSupport first."
        )
    call.tx.put(VPCS, msgspec.structs.replace(vpc, **{_ATTRIBUTES[name]: value}))
    return {}


def modify_vpc_tenancy(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifyVpcTenancy: to default only. Raises InvalidParameterValue."""
    vpc = families.VPC.require(call, request["VpcId"])
    if request["InstanceTenancy"] != "default":
        raise errors.invalid_value("instanceTenancy", request["InstanceTenancy"], "Use default.")
    call.tx.put(VPCS, msgspec.structs.replace(vpc, instance_tenancy="default"))
    return {"ReturnValue": True}


def describe_vpc_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DescribeVpcAttribute."""
    vpc = families.VPC.require(call, request["VpcId"])
    wanted = request.get("Attribute")
    if not wanted:
        raise errors.missing_parameter("attribute")
    name = wanted[0].upper() + wanted[1:]
    if name not in _ATTRIBUTES:
        raise errors.invalid_value("attribute", wanted, "Unknown attribute.")
    return {"VpcId": vpc.id, name: {"Value": getattr(vpc, _ATTRIBUTES[name])}}


def vpc_item(vpc: ec2.Vpc) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape Vpc)."""
    return {
        "VpcId": vpc.id,
        "OwnerId": vpc.account,
        "State": _STATE,
        "CidrBlock": str(vpc.cidrs[0].cidr),
        "CidrBlockAssociationSet": [association_item(one) for one in vpc.cidrs],
        "Ipv6CidrBlockAssociationSet": [association6_item(one, vpc.region) for one in vpc.ipv6_cidrs],
        "DhcpOptionsId": vpc.dhcp_options,
        "InstanceTenancy": vpc.instance_tenancy,
        "IsDefault": vpc.is_default,
        "Tags": tag_set(vpc.tags),
    }


def _cached(call: Call, vpc: ec2.Vpc) -> Cached:
    return Cached(key=("vpc", vpc.id), sources=(vpc,), build=partial(vpc_item, vpc))


_LISTING = Listing(
    family=families.VPC,
    filters=Filters(
        fields={
            "cidr": lambda call, r: (str(r.cidrs[0].cidr),),
            "cidr-block-association.association-id": lambda call, r: [one.id for one in r.cidrs],
            "cidr-block-association.cidr-block": lambda call, r: [str(one.cidr) for one in r.cidrs],
            "cidr-block-association.state": lambda call, r: [one.state for one in r.cidrs],
            "dhcp-options-id": lambda call, r: (r.dhcp_options,),
            "ipv6-cidr-block-association.association-id": lambda call, r: [one.id for one in r.ipv6_cidrs],
            "ipv6-cidr-block-association.ipv6-cidr-block": lambda call, r: [str(one.cidr) for one in r.ipv6_cidrs],
            "ipv6-cidr-block-association.ipv6-pool": lambda call, r: ["Amazon" for _ in r.ipv6_cidrs],
            "ipv6-cidr-block-association.state": lambda call, r: [one.state for one in r.ipv6_cidrs],
            "is-default": lambda call, r: flag(r.is_default),
            "isDefault": lambda call, r: flag(r.is_default),
            "owner-id": lambda call, r: (r.account,),
            "state": lambda call, r: (_STATE,),
            "vpc-id": lambda call, r: (r.id,),
        },
        keys=frozenset({"vpc-id"}),
        tags=lambda r: r.tags,
    ),
    ids="VpcIds",
    members="Vpcs",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateVpc", create_vpc),
    write("CreateDefaultVpc", create_default_vpc),
    write("DeleteVpc", delete_vpc),
    read("DescribeVpcs", _LISTING.describe),
    write("ModifyVpcAttribute", modify_vpc_attribute),
    write("ModifyVpcTenancy", modify_vpc_tenancy),
    read("DescribeVpcAttribute", describe_vpc_attribute),
)
