"""Subnets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from ipaddress import IPv4Network
from typing import Any

import msgspec

from ecsnet.model import ec2
from ecsnet.model.tables import (
    ACL_ASSOCIATIONS,
    ACL_ASSOCIATIONS_BY_SUBNET,
    ASSOCIATIONS_BY_SUBNET,
    CIDR_RESERVATIONS,
    CIDR_RESERVATIONS_BY_SUBNET,
    INTERFACES_BY_SUBNET,
    INTERFACES_WITH_SECONDARIES_BY_SUBNET,
    ROUTE_TABLE_ASSOCIATIONS,
    SUBNETS,
    SUBNETS_BY_VPC,
)
from ecsnet.services.call import AwsError, Cached, Call, Operation, Reply, Request, not_implemented, read, write
from ecsnet.services.ec2 import cidrs, errors, families
from ecsnet.services.ec2.addressing import free_count
from ecsnet.services.ec2.default_vpc import DEFAULT_BLOCK, DEFAULT_SUBNET_PREFIX, find_default_vpc
from ecsnet.services.ec2.filters import Filters, flag, some
from ecsnet.services.ec2.flow_logs import drop_flow_logs_of
from ecsnet.services.ec2.listing import Listing, drop_empty, each
from ecsnet.services.ec2.quotas import quota
from ecsnet.services.ec2.regions import Zone, arn, region_info
from ecsnet.services.ec2.subnet_cidr import association_item, new_block
from ecsnet.services.ec2.tagging import specified, tag_set
from ecsnet.services.ec2.vpc_parts import add_subnet

_STATE = "available"

_HOSTNAME_TYPE = "ip-name"
"""Resource names (HostnameType resource-name) need instances."""


def create_subnet(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateSubnet. Raises InvalidSubnet.Range, InvalidSubnet.Conflict, SubnetLimitExceeded."""
    for member in ("OutpostArn", "Ipv4IpamPoolId", "Ipv6IpamPoolId"):
        if request.get(member):
            raise not_implemented("CreateSubnet", member)
    vpc = families.VPC.require(call, request["VpcId"])
    only_ipv6 = bool(request.get("Ipv6Native"))
    if only_ipv6 and request.get("CidrBlock"):
        raise errors.combination("An IPv6-only subnet (ipv6Native) has no cidrBlock.")
    if only_ipv6 and not request.get("Ipv6CidrBlock"):
        raise errors.missing_parameter("ipv6CidrBlock")
    if not only_ipv6 and not request.get("CidrBlock"):
        raise AwsError("MissingParameter", "Either 'cidrBlock' or 'ipv6CidrBlock' should be provided.")
    zone = _zone(call, request.get("AvailabilityZone"), request.get("AvailabilityZoneId"))
    if len(call.tx.keys(SUBNETS_BY_VPC, vpc.id)) >= quota(call, "subnets_per_vpc"):
        raise errors.limit_exceeded("SubnetLimitExceeded", "subnets")
    subnet = add_subnet(
        call,
        vpc,
        zone,
        None if only_ipv6 else _ipv4_block(call, vpc, request["CidrBlock"]),
        ipv6_cidr=new_block(call, vpc, request["Ipv6CidrBlock"]) if request.get("Ipv6CidrBlock") else None,
        tags=specified(request, families.SUBNET.noun),
    )
    return {"Subnet": _item(subnet, free_count(call.tx, subnet))}


def _ipv4_block(call: Call, vpc: ec2.Vpc, text: str) -> IPv4Network:
    block = cidrs.subnet_block(text, [one.cidr for one in vpc.cidrs if isinstance(one.cidr, IPv4Network)])
    for other in call.tx.find(SUBNETS_BY_VPC, vpc.id):
        if other.cidr is not None and other.cidr.overlaps(block):
            raise AwsError("InvalidSubnet.Conflict", f"The CIDR '{block}' conflicts with another subnet")
    return block


def _zone(call: Call, name: str | None, zone_id: str | None) -> Zone:
    zones = region_info(call.region).zones
    if name is None and zone_id is None:
        return zones[0]
    for zone in zones:
        if (name is None or zone.name == name) and (zone_id is None or zone.id == zone_id):
            return zone
    parameter, given, known = (
        ("availabilityZone", name, [zone.name for zone in zones])
        if name is not None
        else ("availabilityZoneId", zone_id, [zone.id for zone in zones])
    )
    raise errors.invalid_value(
        parameter,
        given,
        f"Subnets can currently only be created in the following availability zones: {', '.join(known)}.",
    )


def create_default_subnet(call: Call, request: Request) -> Reply:
    """Source: EC2 API, CreateDefaultSubnet. Raises DefaultVpcDoesNotExist and
    DefaultSubnetAlreadyExistsInAvailabilityZone."""
    if request.get("Ipv6Native"):
        raise not_implemented("CreateDefaultSubnet", "Ipv6Native")
    zone = _zone(call, request.get("AvailabilityZone"), request.get("AvailabilityZoneId"))
    vpc = find_default_vpc(call)
    if vpc is None:
        raise AwsError("DefaultVpcDoesNotExist", "No default VPC exists for this account in this region.")
    taken = []
    for subnet in call.tx.find(SUBNETS_BY_VPC, vpc.id):
        if subnet.default_for_az and subnet.az == zone.name:
            raise AwsError(
                "DefaultSubnetAlreadyExistsInAvailabilityZone",
                f"'{subnet.id}' is already the default subnet in {zone.name}.",
            )
        if subnet.cidr is not None:
            taken.append(subnet.cidr)
    for block in DEFAULT_BLOCK.subnets(new_prefix=DEFAULT_SUBNET_PREFIX):
        if not any(block.overlaps(other) for other in taken):
            subnet = add_subnet(call, vpc, zone, block, is_default=True)
            return {"Subnet": _item(subnet, free_count(call.tx, subnet))}
    raise AwsError("InvalidSubnet.Conflict", f"The default VPC {vpc.id} has no free /{DEFAULT_SUBNET_PREFIX} block")


def delete_subnet(call: Call, request: Request) -> Reply:
    """Source: EC2 API, DeleteSubnet. Raises DependencyViolation while interfaces are in it."""
    subnet = families.SUBNET.require(call, request["SubnetId"])
    interfaces = call.tx.keys(INTERFACES_BY_SUBNET, subnet.id)
    if interfaces:
        raise errors.dependency("subnet", subnet.id, interfaces)
    for key in list(call.tx.keys(ASSOCIATIONS_BY_SUBNET, subnet.id)):
        call.tx.delete(ROUTE_TABLE_ASSOCIATIONS, key)
    for key in list(call.tx.keys(ACL_ASSOCIATIONS_BY_SUBNET, subnet.id)):
        call.tx.delete(ACL_ASSOCIATIONS, key)
    for key in list(call.tx.keys(CIDR_RESERVATIONS_BY_SUBNET, subnet.id)):
        call.tx.delete(CIDR_RESERVATIONS, key)
    call.tx.delete(SUBNETS, subnet.id)
    drop_flow_logs_of(call, subnet.id)
    return {}


def modify_subnet_attribute(call: Call, request: Request) -> Reply:
    """Source: EC2 API, ModifySubnetAttribute (one attribute per call)."""
    subnet = families.SUBNET.require(call, request["SubnetId"])
    given = [name for name in request if name not in ("SubnetId", "DryRun") and request[name] is not None]
    if not given:
        raise errors.missing_parameter("mapPublicIpOnLaunch")
    if len(given) > 1:
        raise errors.combination(f"Only one attribute may be changed per call: {' and '.join(given)} were given.")
    (name,) = given
    value = request[name].get("Value") if isinstance(request[name], Mapping) else request[name]
    match name:
        case "MapPublicIpOnLaunch":
            call.tx.put(SUBNETS, msgspec.structs.replace(subnet, map_public_ip_on_launch=bool(value)))
        case "AssignIpv6AddressOnCreation" if value and subnet.ipv6_cidr is None:
            raise errors.invalid_value(
                "assignIpv6AddressOnCreation", "true", f"The subnet '{subnet.id}' has no IPv6 CIDR block."
            )
        case "AssignIpv6AddressOnCreation" if not value and subnet.cidr is None:
            raise errors.invalid_value(
                "assignIpv6AddressOnCreation", "false", f"The subnet '{subnet.id}' is IPv6-only."
            )
        case "AssignIpv6AddressOnCreation":
            call.tx.put(SUBNETS, msgspec.structs.replace(subnet, assign_ipv6_on_creation=bool(value)))
        case _ if value and value != _HOSTNAME_TYPE:
            raise not_implemented("ModifySubnetAttribute", name)
        case _:
            pass  # it asks for what is the case anyway
    return {}


def _item(subnet: ec2.Subnet, free: int) -> Mapping[str, Any]:
    """The wire form (EC2 API, shape Subnet)."""
    return drop_empty(
        {
            "SubnetId": subnet.id,
            "SubnetArn": _arn(subnet),
            "OwnerId": subnet.account,
            "VpcId": subnet.vpc,
            "AvailabilityZone": subnet.az,
            "AvailabilityZoneId": subnet.az_id,
            "CidrBlock": None if subnet.cidr is None else str(subnet.cidr),
            "AvailableIpAddressCount": free,
            "State": _STATE,
            "DefaultForAz": subnet.default_for_az,
            "MapPublicIpOnLaunch": subnet.map_public_ip_on_launch,
            "MapCustomerOwnedIpOnLaunch": False,
            "AssignIpv6AddressOnCreation": subnet.assign_ipv6_on_creation,
            "Ipv6CidrBlockAssociationSet": [] if subnet.ipv6_cidr is None else [association_item(subnet.ipv6_cidr)],
            "EnableDns64": False,
            "Ipv6Native": subnet.cidr is None,
            "PrivateDnsNameOptionsOnLaunch": {
                "HostnameType": _HOSTNAME_TYPE,
                "EnableResourceNameDnsARecord": False,
                "EnableResourceNameDnsAAAARecord": False,
            },
            "Tags": tag_set(subnet.tags),
        }
    )


def _arn(subnet: ec2.Subnet) -> str:
    return arn(subnet.region, subnet.account, f"subnet/{subnet.id}")


def _cached(call: Call, subnet: ec2.Subnet) -> Cached:
    # The members of an index are immutable maps too: the same object means that the same interfaces are in it.
    return Cached(
        key=("subnet", subnet.id),
        sources=(
            subnet,
            call.tx.keys(INTERFACES_BY_SUBNET, subnet.id),
            *call.tx.find(INTERFACES_WITH_SECONDARIES_BY_SUBNET, subnet.id),
        ),
        build=partial(_item, subnet, free_count(call.tx, subnet)),
    )


_LISTING = Listing(
    family=families.SUBNET,
    filters=Filters(
        fields={
            "availability-zone": lambda call, r: (r.az,),
            "availabilityZone": lambda call, r: (r.az,),
            "availability-zone-id": lambda call, r: (r.az_id,),
            "availabilityZoneId": lambda call, r: (r.az_id,),
            "available-ip-address-count": lambda call, r: (str(free_count(call.tx, r)),),
            "cidr-block": lambda call, r: some(r.cidr),
            "cidr": lambda call, r: some(r.cidr),
            "cidrBlock": lambda call, r: some(r.cidr),
            "default-for-az": lambda call, r: flag(r.default_for_az),
            "defaultForAz": lambda call, r: flag(r.default_for_az),
            "enable-dns64": lambda call, r: flag(False),
            "ipv6-cidr-block-association.association-id": lambda call, r: some(r.ipv6_cidr and r.ipv6_cidr.id),
            "ipv6-cidr-block-association.ipv6-cidr-block": lambda call, r: some(r.ipv6_cidr and r.ipv6_cidr.cidr),
            "ipv6-cidr-block-association.state": lambda call, r: some(r.ipv6_cidr and r.ipv6_cidr.state),
            "ipv6-native": lambda call, r: flag(r.cidr is None),
            "map-customer-owned-ip-on-launch": lambda call, r: flag(False),
            "map-public-ip-on-launch": lambda call, r: flag(r.map_public_ip_on_launch),
            "mapPublicIpOnLaunch": lambda call, r: flag(r.map_public_ip_on_launch),
            "owner-id": lambda call, r: (r.account,),
            "outpost-arn": lambda call, r: (),
            "customer-owned-ipv4-pool": lambda call, r: (),
            "enable-lni-at-device-index": lambda call, r: (),
            "private-dns-name-options-on-launch.enable-resource-name-dns-a-record": lambda call, r: flag(False),
            "private-dns-name-options-on-launch.enable-resource-name-dns-aaaa-record": lambda call, r: flag(False),
            "private-dns-name-options-on-launch.hostname-type": lambda call, r: (_HOSTNAME_TYPE,),
            "state": lambda call, r: (_STATE,),
            "subnet-arn": lambda call, r: (_arn(r),),
            "subnet-id": lambda call, r: (r.id,),
            "vpc-id": lambda call, r: (r.vpc,),
        },
        indexes={"vpc-id": SUBNETS_BY_VPC},
        keys=frozenset({"subnet-id"}),
        tags=lambda r: r.tags,
    ),
    ids="SubnetIds",
    members="Subnets",
    items=each(_cached),
)

OPERATIONS: tuple[Operation, ...] = (
    write("CreateSubnet", create_subnet),
    write("CreateDefaultSubnet", create_default_subnet),
    write("DeleteSubnet", delete_subnet),
    read("DescribeSubnets", _LISTING.describe),
    write("ModifySubnetAttribute", modify_subnet_attribute),
)
